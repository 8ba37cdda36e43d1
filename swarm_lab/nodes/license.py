"""The license node: checks seats out to the other nodes, over mutual TLS."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.errors import OtherProtocol, PortTaken, SwarmLabError
from swarm_lab.facts.state import StateFile, StateName
from swarm_lab.identity.credentials import SERVER_OPTIONS, Authorizer, current_peer, server_credentials
from swarm_lab.identity.source import SvidSource
from swarm_lab.licensing.client import PROTOCOL
from swarm_lab.licensing.desk import LEASE_S, Grant, LicenseDesk
from swarm_lab.licensing.store import LicenseStore, license_root
from swarm_lab.licensing.token import SEAT_KINDS
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.run import run
from swarm_lab.protos import license_pb2, license_pb2_grpc

log = logging.getLogger(__name__)

RULES = {"/swarm.v1.License/": frozenset(SEAT_KINDS)}
IDENTITY_LIMIT_S = 600.0
LOOK_S = 3.0

Answer = TypeVar("Answer")
Context = grpc.aio.ServicerContext[Any, Any]


class LicenseService(license_pb2_grpc.LicenseServicer):
    """The desk as gRPC. The caller's verified identity says who asks and for which kind of seat."""

    def __init__(self, desk: LicenseDesk) -> None:
        self._desk = desk

    async def Acquire(self, request: license_pb2.AcquireRequest, context: Context) -> license_pb2.Lease:
        """Take a seat."""
        who = current_peer()
        package = f"swarm-lab {request.package[:40]}"
        grant = await _do(context, lambda: _checked(request.protocol, package, self._desk).acquire(who))
        log.info("gave a seat", extra={"peer": str(who), "lease": grant.lease_id})
        return _lease(grant)

    async def Renew(self, request: license_pb2.RenewRequest, context: Context) -> license_pb2.Lease:
        """Go on with a seat."""
        who = current_peer()
        return _lease(
            await _do(
                context,
                lambda: _checked(request.protocol, str(who), self._desk).renew(who, request.lease_id),
            )
        )

    async def Release(self, request: license_pb2.ReleaseRequest, context: Context) -> license_pb2.ReleaseReply:
        """Give a seat back."""
        who = current_peer()
        await _do(context, lambda: self._desk.release(who, request.lease_id))
        log.info("took a seat back", extra={"peer": str(who), "lease": request.lease_id[:64]})
        return license_pb2.ReleaseReply()

    async def Show(self, request: license_pb2.ShowRequest, context: Context) -> license_pb2.ShowReply:
        """License, seats and leases."""
        return license_pb2.ShowReply(json=json.dumps(await _do(context, self._desk.show)))


def main(config: NodeConfig) -> None:
    """Run the license node until it is told to end. Options: `license_dir`, `lease_s`."""
    run(config, serve)


async def serve(config: NodeConfig) -> None:
    """Serve leases at `config.address`; raises `PortTaken`, and identity errors."""
    state = StateFile(config.directory / "state.json")
    state.update("starting", "reads its identity", spiffe_id=str(config.spiffe_id))
    root = config.options.get("license_dir")
    store = LicenseStore(Path(root) if root else license_root())
    desk = LicenseDesk(store, life_s=float(config.options.get("lease_s", LEASE_S)))

    def waits(line: str) -> None:
        state.update("waiting", line)

    source = await SvidSource.open_async(config.workload_socket, config.spiffe_id, IDENTITY_LIMIT_S, waits)
    server = grpc.aio.server(interceptors=[Authorizer(source, RULES)], options=SERVER_OPTIONS)
    license_pb2_grpc.add_LicenseServicer_to_server(LicenseService(desk), server)  # type: ignore[no-untyped-call]
    try:
        _resume(desk, config.trust_domain)
        try:
            server.add_secure_port(config.address, server_credentials(source))
        except RuntimeError as error:
            raise PortTaken(f"{config.address}, the address of the node license, is in use") from error
        await server.start()
        log.info("serves leases", extra={"address": config.address})
        while True:
            await _look(desk, state, source)
            await asyncio.sleep(LOOK_S)
    finally:
        await server.stop(grace=0.5)
        source.close()


def _resume(desk: LicenseDesk, domain: str) -> None:
    try:
        desk.store.ensure()
        kept = desk.resume(domain)
        log.info("leases go on", extra={"leases": kept})
    except SwarmLabError as error:  # it starts all the same: each answer says what is wrong until it is put right
        log.error(error.message, extra={"code": error.code, "next": error.next_step})


async def _look(desk: LicenseDesk, state: StateFile, source: SvidSource) -> None:
    """Say in state.json what the license is worth, for `status`."""
    word: StateName = "ready"
    try:
        shown = await asyncio.to_thread(desk.show)
        message = "the license has expired" if shown["expired"] else ""
        facts: dict[str, Any] = {name: shown[name] for name in ("holder", "expires", "expired", "seats")}
    except SwarmLabError as error:
        message, facts = f"{error.code}: {error.message}", {}
    if message:
        word = "degraded"
    state.update(word, message, **source.facts(), license_file=facts or None)


def _checked(protocol: int, who: str, desk: LicenseDesk) -> LicenseDesk:
    if protocol != PROTOCOL:
        raise OtherProtocol(
            f"{who} speaks version {protocol} of the license protocol, this node {PROTOCOL} (swarm-lab {__version__})"
        )
    return desk


async def _do(context: Context, work: Callable[[], Answer]) -> Answer:
    """Run `work` beside the event loop: SQLite may wait for the disk or for another swarm's license node."""
    try:
        return await asyncio.to_thread(work)
    except SwarmLabError as error:
        log.warning("refused: %s", error.message, extra={"code": error.code, "peer": str(current_peer())})
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, json.dumps(error.to_dict()))
        raise AssertionError("abort returned") from error


def _lease(grant: Grant) -> license_pb2.Lease:
    return license_pb2.Lease(
        lease_id=grant.lease_id,
        life_s=grant.life_s,
        license_id=grant.license_id,
        license_left_s=grant.license_left_s,
        features=grant.features,
    )

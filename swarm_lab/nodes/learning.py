"""The SL node: takes part in trainings. It holds the identity and speaks to peers and ledger; programs run beside it.

Started too early it waits - for its identity, its license, an SN, its seats - says for what, and goes on by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import grpc.aio

from swarm_lab.errors import SeatsUnavailable
from swarm_lab.facts.patience import PatientLog
from swarm_lab.facts.state import StateFile
from swarm_lab.identity.credentials import SERVER_OPTIONS, Authorizer, server_credentials
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.source import SvidSource
from swarm_lab.ledger.network import Membership
from swarm_lab.licensing.client import LicenseLease
from swarm_lab.nodes import message_frames
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.control import Control
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.inbox import Inbox
from swarm_lab.nodes.launching import Process, ProgramSpec, start_cold
from swarm_lab.nodes.learner import Learner
from swarm_lab.nodes.relay import Relay
from swarm_lab.nodes.run import run
from swarm_lab.nodes.seats_client import SeatsClient
from swarm_lab.nodes.staging import Stage
from swarm_lab.nodes.stream_hub import StreamHub
from swarm_lab.nodes.transport import PeerAddress, Transport
from swarm_lab.nodes.workplace import Workplace
from swarm_lab.protos import peer_pb2_grpc

log = logging.getLogger(__name__)

RULES = {"/swarm.v1.Peer/": {"sl"}, "/swarm.v1.Control/": {"swci"}}
_SEATS_S = 300.0  # a cold disk may take a minute or two to import a framework
_IDENTITY_S = 600.0
_TELL_S = 2.0
_STOP_S = 0.2  # peers' streams stay open until then; what is on its way is sent again, to whoever comes next


def main(config: NodeConfig) -> None:
    """Run an SL node until it is told to end."""
    run(config, serve)


async def serve(config: NodeConfig) -> None:
    """Everything an SL node does."""
    state = StateFile(config.directory / "state.json")

    def waiting(text: str) -> None:
        log.info(text)
        state.update("waiting", text)

    state.update("starting", "fetching the identity")
    async with AsyncExitStack() as stack:
        source = await SvidSource.open_async(config.workload_socket, config.spiffe_id, _IDENTITY_S, waiting)
        stack.callback(source.close)
        dialer = Dialer(source)
        stack.push_async_callback(dialer.close)
        lease = LicenseLease.dial(dialer, config.license_address, config.peer_id("license", "license"), on_wait=waiting)
        await lease.start()
        stack.push_async_callback(lease.close)
        membership = await Membership.join(
            directory=config.directory,
            network=config.network,
            dialer=dialer,
            me=config.spiffe_id,
            address=config.address,
            platform=config.framework,
            on_wait=waiting,
        )
        stack.push_async_callback(membership.close)
        await _serve_trainings(config, state, source, dialer, lease, membership, stack)


async def _serve_trainings(
    config: NodeConfig,
    state: StateFile,
    source: SvidSource,
    dialer: Dialer,
    lease: LicenseLease,
    membership: Membership,
    stack: AsyncExitStack,
) -> None:
    directory = Directory(lambda: _roster(membership), membership.ledger.spiffe_id_of)
    await directory.refresh()
    transport = Transport(dialer)
    stack.push_async_callback(transport.close)
    streams = _streams(config, source, directory, transport)
    stack.push_async_callback(asyncio.to_thread, streams.close)
    stage = Stage(config.directory / "trainings")
    seats = None if config.options.get("cold") == "1" else SeatsClient(config.run_dir / "seats.sock")
    place = Workplace(
        config=config,
        ledger=membership.ledger,
        directory=directory,
        transport=transport,
        streams=streams,
        events=PatientLog(config.swarm_dir),
        state=state,
        stage=stage,
        start=start_cold if seats is None else partial(_start_warm, seats),
        start_cold=start_cold,
    )
    learner = Learner(place, lease)
    server = grpc.aio.server(interceptors=[Authorizer(source, RULES)], options=SERVER_OPTIONS)
    message_frames.add_to(
        server, Inbox(learner.recipient, streams.learn, Relay(membership.ledger.account, directory, transport))
    )
    peer_pb2_grpc.add_ControlServicer_to_server(Control(config.name, stage, learner), server)  # type: ignore[no-untyped-call]
    server.add_secure_port(config.address, server_credentials(source))
    await server.start()
    stack.push_async_callback(server.stop, _STOP_S)
    if seats is not None:
        state.update("waiting", f"waiting for the seat to import {config.framework}")
        await seats.ready(_SEATS_S)
    state.update("ready", "", spiffe_id=str(config.spiffe_id), account=membership.ledger.account)
    log.info("ready", extra={"address": config.address, "account": membership.ledger.account})
    async with asyncio.TaskGroup() as group:
        group.create_task(learner.run())
        group.create_task(directory.keep_fresh())
        group.create_task(_tell(state, source, lease, membership, seats))


def _streams(config: NodeConfig, source: SvidSource, directory: Directory, transport: Transport) -> StreamHub:
    """The node's tensor streams, on a free port of the host of its address; its messages tell which."""
    host = config.address.rpartition(":")[0].strip("[]")
    streams = StreamHub(source, transport.instance, host, 0, directory.knows)
    transport.streams = streams.port
    return streams


async def _start_warm(
    seats: SeatsClient, spec: ProgramSpec, environment: Mapping[str, str], stdout: int, stderr: int
) -> Process:
    """A warm seat; while the warm parent is away (it is being started again, say) a cold one."""
    try:
        return await seats.start(spec, environment, stdout, stderr)
    except SeatsUnavailable as error:
        log.warning("no warm seat, starting a cold one", extra={"reason": error.message})
        return await start_cold(spec, environment, stdout, stderr)


async def _roster(membership: Membership) -> list[PeerAddress]:
    roster = await membership.roster()
    return [PeerAddress(n.account, n.name, n.spiffe_id, n.address) for n in roster if n.kind == "sl"]


async def _tell(
    state: StateFile, source: SvidSource, lease: LicenseLease, membership: Membership, seats: SeatsClient | None
) -> None:
    """Keep the node's facts in `state.json` true: identity, license, SN in use, seat."""
    while True:
        held = {**lease.state(), "license_until": lease.until}
        state.amend(**source.facts(), sn=membership.sn, **held, seat=await _seat(seats))
        await asyncio.sleep(_TELL_S)


async def _seat(seats: SeatsClient | None) -> Mapping[str, Any]:
    """How programs start here; of a warm parent its share of memory in MB for one idle seat."""
    if seats is None:
        return {"start": "cold"}
    try:
        shown = await seats.show()
    except SeatsUnavailable:
        return {"start": "warm", "state": "the warm parent does not answer"}
    return {"start": "warm", "programs": shown.get("programs"), "memory_mb": shown.get("private_mb")}

"""What the sentinel and the other SNs have in common: identity, chain, service, and the roster they share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import grpc.aio

from swarm_lab.errors import PortTaken, SwarmLabError
from swarm_lab.facts.state import StateFile
from swarm_lab.identity.credentials import SERVER_OPTIONS, Authorizer, server_credentials
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.source import SvidSource
from swarm_lab.identity.svid import Svid
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.journal import Journal
from swarm_lab.ledger.relay import Relay, RelayState
from swarm_lab.ledger.roster import Roster
from swarm_lab.ledger.signing import LedgerKey
from swarm_lab.ledger.transport import HttpTransport
from swarm_lab.ledger.wire import PROTOCOL, roster_from_wire
from swarm_lab.licensing.client import LicenseLease
from swarm_lab.nodes import metrics
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.sn_service import RULES, NetworkService
from swarm_lab.protos import network_pb2, network_pb2_grpc

log = logging.getLogger(__name__)

IDENTITY_LIMIT_S = 600.0
SHARE_S = 0.5
_SHARE_LIMIT_S = 2.0
_BLOCK_WAIT_S = 2.0
_STOP_S = 1.0

_MESSAGES: dict[RelayState, str] = {
    "ready": "",
    "replaying": "replaying the journal to the chain",
    "unreachable": "the chain does not answer",
}


@dataclass
class SnNode:
    """One SN while it runs."""

    config: NodeConfig
    state: StateFile
    source: SvidSource
    dialer: Dialer
    key: LedgerKey
    relay: Relay
    roster: Roster = field(default_factory=Roster)
    serving: bool = False
    _found: asyncio.Event = field(default_factory=asyncio.Event)

    def waiting(self, what: str) -> None:
        """Say what this node waits for."""
        log.info(what)
        self.state.update("waiting", what)

    async def chain_is_there(self) -> None:
        """Wait for the chain, and for the journal to be in it."""
        if self.relay.state != "ready":
            self.waiting(f"waiting for the chain at {self.config.chain_url}")
        await self._found.wait()

    def on_chain(self, state: RelayState) -> None:
        """The relay's news."""
        if state == "ready":
            self._found.set()
        if self.serving:
            self.state.update("ready" if state == "ready" else "degraded", _MESSAGES[state])


@asynccontextmanager
async def opened(config: NodeConfig) -> AsyncIterator[SnNode]:
    """Identity, key, journal and the way to the chain of an SN; the chain is being followed inside."""
    state = StateFile(config.directory / "state.json")
    state.update("starting", spiffe_id=str(config.spiffe_id))
    source = await SvidSource.open_async(
        config.workload_socket, config.spiffe_id, IDENTITY_LIMIT_S, lambda why: _say(state, why)
    )
    state.amend(**source.facts())
    source.subscribe(partial(_renewed, state))
    dialer = Dialer(source)
    key = LedgerKey.create_or_load(config.directory / "ledger.key")
    journal = Journal(config.directory / "journal.jsonl")
    relay = Relay(HttpTransport(config.chain_url), journal)
    node = SnNode(config, state, source, dialer, key, relay)
    following = asyncio.create_task(relay.follow(node.on_chain), name="chain")
    lease = None
    try:
        lease = await _lease(node)
        yield node
    finally:
        await _cancel(following)
        if lease is not None:
            await lease.close()
        await dialer.close()
        await relay.close()
        source.close()
        journal.close()


async def serve(node: SnNode, ledger: Ledger) -> None:
    """Serve the SN API until cancelled. Raises `PortTaken`."""
    config = node.config
    server = grpc.aio.server(interceptors=[Authorizer(node.source, {**RULES, **metrics.RULES})], options=SERVER_OPTIONS)
    service = NetworkService(config, node.relay, ledger, node.roster)
    network_pb2_grpc.add_NetworkServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    metrics.add_to(server, config.swarm_dir)
    try:
        port = server.add_secure_port(config.address, server_credentials(node.source))
    except RuntimeError as error:
        raise PortTaken(f"{config.address} for the SN API of {config.name} is taken: {error}") from error
    if port == 0:
        raise PortTaken(f"{config.address} for the SN API of {config.name} is taken")
    await server.start()
    node.serving = True
    node.on_chain(node.relay.state)
    log.info("serves the SN API", extra={"address": config.address, "account": node.key.address})
    tasks = [asyncio.create_task(_share_roster(node), name="roster")]
    tasks += [asyncio.create_task(_hear_of_blocks(node, one), name=f"blocks-{one}") for one in _others(node)]
    try:
        await asyncio.Event().wait()
    finally:
        for task in tasks:
            await _cancel(task)
        await server.stop(_STOP_S)


async def _share_roster(node: SnNode) -> None:
    """Ask the other SNs whom they know, again and again."""
    stubs = [_stub(node, name) for name in _others(node)]
    request = network_pb2.RosterRequest(protocol=PROTOCOL)
    while stubs:
        for stub in stubs:
            try:
                node.roster.merge(roster_from_wire(await stub.Roster(request, timeout=_SHARE_LIMIT_S)))
            except (grpc.aio.AioRpcError, SwarmLabError, ValueError):
                continue  # it is down, or not up yet: its nodes come back with it or register elsewhere
        await asyncio.sleep(SHARE_S)


async def _hear_of_blocks(node: SnNode, other: str) -> None:
    """Look at the chain as soon as another SN has a new block: it may have sent the transaction itself."""
    stub, height = _stub(node, other), 0
    while True:
        try:
            request = network_pb2.RpcRequest(after=height, wait_s=_BLOCK_WAIT_S)
            reply = await stub.Rpc(request, timeout=_BLOCK_WAIT_S + _SHARE_LIMIT_S)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(SHARE_S)  # it is down, or not up yet; the chain is polled besides
            continue
        if reply.height > node.relay.height:
            node.relay.look()
        if reply.height == height:
            await asyncio.sleep(SHARE_S / 10)  # nothing new, and it may have answered at once
        height = reply.height


def _others(node: SnNode) -> list[str]:
    return [name for name in node.config.network if name != node.config.name]


def _stub(node: SnNode, name: str) -> Any:
    channel = node.dialer.channel(node.config.network[name], node.config.peer_id("sn", name))
    return network_pb2_grpc.NetworkStub(channel)  # type: ignore[no-untyped-call]


async def _lease(node: SnNode) -> LicenseLease | None:
    """The node's seat; None where the swarm has no license node."""
    config = node.config
    if not config.license_address:
        return None
    peer = config.peer_id("license", "license")
    lease = LicenseLease.dial(node.dialer, config.license_address, peer, on_wait=node.waiting)
    await lease.start()
    return lease


def _renewed(state: StateFile, svid: Svid) -> None:
    state.amend(**svid.facts())


def _say(state: StateFile, why: str) -> None:
    log.info(why)
    state.update("waiting", why)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

"""The SN API: registration, roster, contracts, relayed JSON-RPC, health; who may call what."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.errors import EnrolmentRefused, LedgerUnreachable, PlatformMixed, SwarmLabError, TransactionNotMined
from swarm_lab.identity.authorizer import current_peer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.ledger.abi import digest
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.relay import SEND, Relay
from swarm_lab.ledger.roster import Roster, RosterNode
from swarm_lab.ledger.transport import Call, RpcError
from swarm_lab.ledger.wire import PROTOCOL, check_version, details, roster_to_wire
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.protos import network_pb2, network_pb2_grpc

log = logging.getLogger(__name__)

RULES: Mapping[str, tuple[str, ...]] = {"/swarm.v1.Network/": ("sn", "sl", "swci")}
# Reading, and handing in what is signed. Nothing that makes an SN sign, and none of the chain's own knobs.
METHODS = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        SEND,
    }
)
MOST_CALLS = 64
MOST_BYTES = 1 << 20
MOST_WAIT_S = 10.0


class NetworkService(network_pb2_grpc.NetworkServicer):
    """Handlers behind `Authorizer(source, RULES)`."""

    def __init__(self, config: NodeConfig, relay: Relay, ledger: Ledger, roster: Roster) -> None:
        self._config = config
        self._relay = relay
        self._ledger = ledger
        self._roster = roster

    async def Register(self, request: network_pb2.RegisterRequest, context: Any) -> network_pb2.RegisterReply:
        """Enrol the caller and put it on the roster."""
        peer = current_peer()
        try:
            await self._register(peer, request)
        except SwarmLabError as error:
            await _refuse(context, error, peer)
        return network_pb2.RegisterReply(protocol=PROTOCOL, package=__version__, by=self._config.name)

    async def Roster(self, request: network_pb2.RosterRequest, context: Any) -> network_pb2.RosterReply:
        """Who registered, here or anywhere."""
        return roster_to_wire(self._roster.nodes())

    async def Contracts(self, request: network_pb2.ContractsRequest, context: Any) -> network_pb2.ContractsReply:
        """Where the contracts are."""
        try:
            check_version(request.protocol, request.package, str(current_peer()))
        except SwarmLabError as error:
            await _refuse(context, error, current_peer())
        at = self._ledger.contracts
        return network_pb2.ContractsReply(
            protocol=PROTOCOL,
            package=__version__,
            chain_id=at.chain_id,
            enrolment=at.enrolment,
            trainings=at.trainings,
            rounds=at.rounds,
            digest=digest(),
        )

    async def Rpc(self, request: network_pb2.RpcRequest, context: Any) -> network_pb2.RpcReply:
        """Pass calls on to the chain."""
        try:
            calls = _calls(request)
        except ValueError as error:
            log.warning("refused a call", extra={"event": "refused", "reason": str(error), "peer": str(current_peer())})
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            height, answers = await self._relay.batch_past(request.after, _wait_s(request), calls)
        except LedgerUnreachable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, error.message)
        return network_pb2.RpcReply(answers=[_answer(answer) for answer in answers], height=max(height, 0))

    async def Health(self, request: network_pb2.HealthRequest, context: Any) -> network_pb2.HealthReply:
        """Whether the chain is there."""
        return network_pb2.HealthReply(
            protocol=PROTOCOL, package=__version__, state=self._relay.state, height=self._relay.height
        )

    async def _register(self, peer: SpiffeId, request: network_pb2.RegisterRequest) -> None:
        check_version(request.protocol, request.package, str(peer))
        if peer.role == "sn" and self._config.kind != "sentinel":
            raise EnrolmentRefused(f"{peer} is an SN; SNs register with the sentinel, {self._config.name} is none")
        account = request.account.lower()
        known = self._roster.find(peer)
        if peer.role == "sl":
            await self._check_platform(peer, request.platform)
        if known is None or known.account != account:
            await self._ledger.enrol(str(peer), account, peer.role, request.proof)
            log.info("enrolled %s", peer.node, extra={"spiffe_id": str(peer), "account": account})
        self._roster.put(RosterNode(peer, account, request.address, request.platform))

    async def _check_platform(self, peer: SpiffeId, platform: str) -> None:
        """One network, one ML platform: of the first SL node that registered, else of the swarm's `--framework`."""
        others = (node for node in self._roster.nodes() if node.kind == "sl" and node.spiffe_id != peer)
        first = max(others, key=lambda node: node.age_s, default=None)
        fixed, by = (first.platform, first.name) if first else (self._config.framework, self._config.name)
        if platform != fixed:
            raise PlatformMixed(f"{peer.node} comes with {platform or 'no platform'}, but {by} has {fixed}")


def _calls(request: network_pb2.RpcRequest) -> list[Call]:
    """The calls of a request; raises `ValueError` for what is not on the list, too much, or no JSON array."""
    if len(request.calls) > MOST_CALLS or request.ByteSize() > MOST_BYTES:
        raise ValueError(f"at most {MOST_CALLS} calls and {MOST_BYTES} bytes at a time")
    calls: list[Call] = []
    for call in request.calls:
        if call.method not in METHODS:
            raise ValueError(f"an SN does not pass {call.method[:60]!r} on")
        params = json.loads(call.params or "[]")
        if not isinstance(params, list):
            raise ValueError("params is no array")
        if call.method == SEND:
            _check_raw(params)
        calls.append((call.method, params))
    return calls


def _wait_s(request: network_pb2.RpcRequest) -> float:
    return min(request.wait_s, MOST_WAIT_S) if request.wait_s > 0 else 0.0  # NaN is not above 0 either


def _check_raw(params: list[Any]) -> None:
    if len(params) != 1 or not isinstance(params[0], str) or not params[0].startswith("0x"):
        raise ValueError(f"{SEND} takes one signed transaction")
    bytes.fromhex(params[0][2:])


def _answer(answer: Any) -> network_pb2.RpcAnswer:
    if isinstance(answer, RpcError):
        failure = network_pb2.RpcFailure(code=answer.code, message=answer.message, data=answer.data)
        return network_pb2.RpcAnswer(error=failure)
    return network_pb2.RpcAnswer(result=json.dumps(answer))


async def _refuse(context: Any, error: SwarmLabError, peer: SpiffeId) -> None:
    if isinstance(error, LedgerUnreachable | TransactionNotMined):
        await context.abort(grpc.StatusCode.UNAVAILABLE, error.message)
    log.warning("refused a registration", extra={"code": error.code, "reason": error.message, "peer": str(peer)})
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, details(error))

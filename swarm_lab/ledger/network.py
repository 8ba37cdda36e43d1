"""A node's way to the ledger through the SNs: calls that move on to the next SN, registration, roster.

membership = await Membership.join(directory=..., network=config.network, dialer=dialer, me=config.spiffe_id,
                                   address=config.address, platform=config.framework, on_wait=say)
membership.ledger ; await membership.roster() ; await membership.close()
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.errors import LedgerUnreachable, OtherContracts, SwarmLabError
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import IdentitySource
from swarm_lab.ledger.abi import digest
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.records import Contracts
from swarm_lab.ledger.roster import RosterNode
from swarm_lab.ledger.signing import Domain, LedgerKey, sign_enrolment
from swarm_lab.ledger.transport import Call, RpcError
from swarm_lab.ledger.wire import PROTOCOL, check_version, error_of, roster_from_wire
from swarm_lab.protos import network_pb2, network_pb2_grpc

log = logging.getLogger(__name__)

CALL_LIMIT_S = 4.0
MISSES = 3
ALIVE_S = 5.0
JOIN_LIMIT_S = 600.0
_RETRY_S = 0.3
_ANSWER_S = 1.5  # on top of what a call may wait for a block
_LEAST_S = 0.04  # between two looks at an SN that answers at once although nothing is new

OnWait = Callable[[str], None]


class Dials(Protocol):
    """Gives channels that speak to one peer (`identity.dialer.Dialer`)."""

    def channel(self, address: str, peer: SpiffeId) -> grpc.aio.Channel:
        """The channel to use for the next call."""
        ...

    async def close(self) -> None:
        """Close all channels."""
        ...


class SnLink:
    """Calls to one SN at a time; to the next after three misses in a row, or one call without an answer in time.

    `network`: SN name -> address.
    """

    def __init__(self, dials: Dials, network: Mapping[str, str], me: SpiffeId) -> None:
        self._me = me
        self._names = sorted(network)
        self._stubs: list[Any] = [
            network_pb2_grpc.NetworkStub(dials.channel(network[name], SpiffeId(me.trust_domain, "sn", name)))  # type: ignore[no-untyped-call]
            for name in self._names
        ]
        # Not all of them at the first SN, and each at the same one again.
        self._at = zlib.crc32(me.node.encode()) % max(1, len(self._names))
        self._missed = 0

    @property
    def current(self) -> str:
        """The name of the SN in use."""
        return self._names[self._at]

    async def call(self, method: str, request: Any, limit_s: float = CALL_LIMIT_S) -> Any:
        """One call to the SN in use; raises `LedgerUnreachable` and what the SN refuses with."""
        if not self._names:
            raise LedgerUnreachable("the swarm has no SN")
        at = self._at
        try:
            reply = await getattr(self._stubs[at], method)(request, timeout=limit_s)
        except grpc.aio.AioRpcError as error:
            found = error_of(error, self._names[at])
            if isinstance(found, LedgerUnreachable):
                # One that does not answer in time has had as long as three that are refused: it hangs, or is frozen.
                hangs = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                self._miss(at, found, MISSES if hangs else 1)
            raise found from error
        self._missed = 0
        return reply

    def next(self) -> None:
        """Use the next SN from now on."""
        self._at, self._missed = (self._at + 1) % len(self._names), 0

    def _miss(self, at: int, error: LedgerUnreachable, misses: int) -> None:
        if at != self._at:
            return  # a call that began before the change
        self._missed += misses
        if self._missed >= MISSES and len(self._names) > 1:
            left = self.current
            self.next()
            log.warning("%s does not answer, using %s", left, self.current, extra={"reason": error.message})


class NetworkTransport:
    """`Transport` through the SNs."""

    def __init__(self, link: SnLink, dials: Dials | None = None) -> None:
        """`dials`: closed with the transport."""
        self._link = link
        self._dials = dials

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """See `Transport`."""
        return (await self._ask(network_pb2.RpcRequest(calls=_calls(calls)), CALL_LIMIT_S))[1]

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        """See `Transport`; the SN waits, and answers when the block is there."""
        wait_s = limit_s if height >= 0 else 0.0
        began = time.monotonic()
        request = network_pb2.RpcRequest(calls=_calls(calls), after=max(height, 0), wait_s=wait_s)
        reached, answers = await self._ask(request, wait_s + _ANSWER_S)
        if wait_s and reached <= height and time.monotonic() - began < _LEAST_S:
            await asyncio.sleep(_LEAST_S)
        return reached, answers

    async def _ask(self, request: network_pb2.RpcRequest, limit_s: float) -> tuple[int, list[Any]]:
        reply = await self._link.call("Rpc", request, limit_s)
        if len(reply.answers) != len(request.calls):
            raise LedgerUnreachable(f"{self._link.current} answered {len(reply.answers)} of {len(request.calls)} calls")
        return reply.height, [_answer(a) for a in reply.answers]

    async def close(self) -> None:
        """See `Transport`."""
        if self._dials is not None:
            await self._dials.close()


class Membership:
    """A node that has registered, and says so again every five seconds, at whichever SN answers."""

    def __init__(self, link: SnLink, ledger: Ledger, request: network_pb2.RegisterRequest) -> None:
        self.ledger = ledger
        self._link = link
        self._request = request
        self._task = asyncio.create_task(self._stay(), name="registration")

    @classmethod
    async def join(
        cls,
        *,
        directory: Path,
        network: Mapping[str, str],
        dialer: Dials,
        me: SpiffeId,
        address: str,
        platform: str,
        on_wait: OnWait | None = None,
        limit_s: float = JOIN_LIMIT_S,
    ) -> Self:
        """Wait for an SN with contracts, enrol, and go on saying that this node lives.

        `directory` holds `ledger.key`, made if it is not there. Raises `PlatformMixed`, `OtherProtocol`,
        `EnrolmentRefused`, `OtherContracts`; `LedgerUnreachable` after `limit_s`.
        """
        link = SnLink(dialer, network, me)
        ledger, request = await _enrol(link, directory, me, address, platform, None, on_wait, limit_s)
        return cls(link, ledger, request)

    @property
    def sn(self) -> str:
        """The SN in use."""
        return self._link.current

    async def roster(self) -> list[RosterNode]:
        """Everybody who is registered with any SN."""
        return roster_from_wire(await self._link.call("Roster", network_pb2.RosterRequest(protocol=PROTOCOL)))

    async def close(self) -> None:
        """Stop saying so; the dialer is the caller's to close."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_S)
            try:
                await self._link.call("Register", self._request)
            except LedgerUnreachable:
                continue  # SnLink counts and says it
            except SwarmLabError as error:
                log.warning("the registration was not renewed", extra={"code": error.code, "reason": error.message})


async def open_ledger(
    directory: Path,
    network: Mapping[str, str],
    source: IdentitySource,
    me: SpiffeId,
    limit_s: float = 30.0,
) -> Ledger:
    """The ledger for an operator's short call: enrolled, without an address and without signs of life."""
    dialer = Dialer(source)
    try:
        ledger, _ = await _enrol(SnLink(dialer, network, me), directory, me, "", "", dialer, None, limit_s)
    except BaseException:  # also a cancellation: the connections are this call's own
        await dialer.close()
        raise
    return ledger


async def read_contracts(link: SnLink) -> Contracts:
    """Where the contracts are, from the SN in use; raises `OtherProtocol` and `OtherContracts`."""
    reply = await link.call("Contracts", network_pb2.ContractsRequest(protocol=PROTOCOL, package=__version__))
    check_version(reply.protocol, reply.package, link.current)
    if reply.digest != digest():
        raise OtherContracts(
            f"{link.current} has contracts with digest {reply.digest[:16]}, this package {digest()[:16]}"
        )
    return Contracts(reply.chain_id, reply.enrolment, reply.trainings, reply.rounds)


def registration(
    key: LedgerKey, contracts: Contracts, me: SpiffeId, address: str, platform: str
) -> network_pb2.RegisterRequest:
    """What a node registers with: its account and the proof that it holds the key."""
    domain = Domain(contracts.chain_id, contracts.enrolment)
    return network_pb2.RegisterRequest(
        protocol=PROTOCOL,
        package=__version__,
        account=key.address,
        proof=sign_enrolment(key, domain, str(me), me.role),
        address=address,
        platform=platform,
    )


async def until_answered(
    link: SnLink, work: Callable[[], Any], waiting: str, on_wait: OnWait | None, limit_s: float
) -> Any:
    """Repeat `work` at one SN after the other until one answers; raises the last `LedgerUnreachable`."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return await work()
        except LedgerUnreachable as error:
            if time.monotonic() + _RETRY_S > deadline:
                raise
            if on_wait is not None:
                on_wait(f"waiting for {waiting}: {error.message}")
            link.next()
            await asyncio.sleep(_RETRY_S)


async def _enrol(
    link: SnLink,
    directory: Path,
    me: SpiffeId,
    address: str,
    platform: str,
    owned: Dials | None,
    on_wait: OnWait | None,
    limit_s: float,
) -> tuple[Ledger, network_pb2.RegisterRequest]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = LedgerKey.create_or_load(directory / "ledger.key")
    contracts = await until_answered(link, lambda: read_contracts(link), "an SN with contracts", on_wait, limit_s)
    request = registration(key, contracts, me, address, platform)
    reply = await until_answered(link, lambda: link.call("Register", request), "an SN to register", on_wait, limit_s)
    check_version(reply.protocol, reply.package, reply.by)
    log.info("registered", extra={"sn": reply.by, "account": key.address})
    return Ledger(NetworkTransport(link, owned), contracts, key), request


def _calls(calls: Sequence[Call]) -> list[network_pb2.RpcCall]:
    return [network_pb2.RpcCall(method=method, params=json.dumps(params)) for method, params in calls]


def _answer(answer: network_pb2.RpcAnswer) -> Any:
    if answer.WhichOneof("answer") == "error":
        return RpcError(answer.error.code, answer.error.message, answer.error.data)
    return json.loads(answer.result)

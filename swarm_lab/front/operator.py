"""The operator's side of a swarm: with the owner's identity it writes to the ledger and speaks to the seats."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from filelock import FileLock, Timeout

from swarm_lab.errors import Refused
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.identity.credentials import channel
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.source import SvidSource
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.records import CommittedRound, Terms, TrainingInfo
from swarm_lab.ledger.signing import Domain
from swarm_lab.nodes.staging import PROTOCOL, StageRequest, TrainingRules
from swarm_lab.protos import peer_pb2, peer_pb2_grpc

Answer = TypeVar("Answer")

_IDENTITY_S = 15.0
_LIMIT_S = 60.0
_CALL_S = 30.0
_CHUNK = 1024 * 1024
NAME = "operator"


class Operator:
    """A connection of the owner to a running swarm; a context manager that any thread, of any kernel, may use.

    One at a time: the account's transactions are numbered. Methods raise `Refused` with the node's own words,
    `LedgerUnreachable` and the like.
    """

    def __init__(self, paths: SwarmPaths, facts: SwarmFacts) -> None:
        self.paths = paths
        self.facts = facts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="operator", daemon=True)
        self._lock = FileLock(paths.root / ".operator.lock", timeout=_LIMIT_S, mode=0o600)
        self._source: SvidSource | None = None
        self._opened: Ledger | None = None

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout:
            raise Refused(f"another call has been using the operator's account for {_LIMIT_S:.0f} s") from None
        self._thread.start()
        try:
            self._run(self._open())
        except BaseException:  # also Ctrl-C: the account's lock and the thread are given back
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def create(self, training: str, rules: TrainingRules) -> None:
        """Create a training on the ledger for the rules' nodes."""
        self._run(self._create(training, rules))

    def cancel(self, training: str, nodes: Sequence[str]) -> None:
        """Take back a training that did not start everywhere."""
        self._run(self._cancel(training, nodes))

    def stage(self, requests: Mapping[str, StageRequest], payload: bytes) -> dict[str, str]:
        """Send each seat its request and the files; returns what each says, `queued` or `started`."""
        return self._run(self._stage_all(requests, payload))

    def assign(self, training: str, node: str) -> None:
        """Let one more seat take part in a training."""
        self._run(self._assign(training, node))

    def resume(self, training: str) -> None:
        """Let a training go on after its last round; raises `LedgerRefused` when that was the closing one."""
        self._run(self._ledger.resume(training))

    def resume_at(self, training: str, nodes: Sequence[str]) -> dict[str, str]:
        """Have seats go on with what they were given; returns by seat why one does not, "" for one that does."""
        return self._run(self._resume_all(training, nodes))

    def stop(self, training: str, nodes: Sequence[str]) -> None:
        """Ask seats to end a training with one closing round."""
        self._run(self._stop_all(training, nodes))

    def training(self, training: str) -> tuple[TrainingInfo, list[CommittedRound], dict[str, str]]:
        """What the ledger has of a training: its contract, its rounds, and node names by account."""
        return self._run(self._read(training))

    @property
    def domain(self) -> Domain:
        """What the swarm's signatures are good for."""
        return self._ledger.domain

    @property
    def _ledger(self) -> Ledger:
        assert self._opened is not None, "use it as a context manager"
        return self._opened

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return doing.result(_LIMIT_S * 2)
        except concurrent.futures.TimeoutError:
            doing.cancel()
            raise Refused(f"the swarm {self.facts.name!r} did not answer within {_LIMIT_S * 2:.0f} s") from None

    def _end(self) -> None:
        try:
            if self._opened is not None:
                self._run(self._opened.close())
            if self._source is not None:
                self._source.close()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CALL_S)
            if not self._thread.is_alive():
                self._loop.close()
            self._lock.release()

    async def _open(self) -> None:
        from swarm_lab.ledger.network import open_ledger

        me = SpiffeId(self.facts.trust_domain, "swci", NAME)
        self._source = await SvidSource.open_async(self.facts.run_dir / "operator.sock", me, _IDENTITY_S)
        self._opened = await open_ledger(self.paths.node(NAME), self.facts.network, self._source, me)

    async def _create(self, training: str, rules: TrainingRules) -> None:
        accounts = [await self._account(node) for node in rules.nodes]
        asked = Terms(
            rules.platform,
            rules.min_peers,
            rules.sync_frequency,
            rules.merge,
            rules.end_rule,
            adaptive=rules.adaptive_sync,
            early_stopping=rules.early_stopping,
        )
        await self._ledger.create_training(training, rules.program, rules.digest(), asked, tuple(accounts))

    async def _assign(self, training: str, node: str) -> None:
        await self._ledger.assign(training, await self._account(node))

    async def _account(self, node: str) -> str:
        account = await self._ledger.account_of(str(self._seat(node)))
        if account is None:
            raise Refused(f"{node} is not enrolled on the ledger yet", next_step="wait until `status` says ready")
        return account

    async def _cancel(self, training: str, nodes: Sequence[str]) -> None:
        await self._ledger.close_training(training, "failed", "not every node could be given it")
        await asyncio.gather(*(self._stop(training, node) for node in nodes), return_exceptions=True)

    async def _stage_all(self, requests: Mapping[str, StageRequest], payload: bytes) -> dict[str, str]:
        said = await _all(self._stage(node, request, payload) for node, request in requests.items())
        return dict(zip(requests, said, strict=True))

    async def _stage(self, node: str, request: StageRequest, payload: bytes) -> str:
        async def frames() -> AsyncIterator[peer_pb2.StageFrame]:
            yield peer_pb2.StageFrame(request=request.model_dump_json().encode())
            for start in range(0, len(payload), _CHUNK):
                yield peer_pb2.StageFrame(chunk=payload[start : start + _CHUNK])

        async with self._seat_channel(node) as opened:
            reply = await _said(node, _control(opened).Stage(frames(), timeout=_CALL_S))
        return str(reply.state)

    async def _resume_all(self, training: str, nodes: Sequence[str]) -> dict[str, str]:
        async def resume(node: str) -> str:
            request = peer_pb2.ResumeRequest(protocol=PROTOCOL, training=training)
            try:
                async with self._seat_channel(node) as opened:
                    await _said(node, _control(opened).Resume(request, timeout=_CALL_S))
            except Refused as error:
                return error.message
            return ""

        return dict(zip(nodes, await asyncio.gather(*map(resume, nodes)), strict=True))

    async def _stop_all(self, training: str, nodes: Sequence[str]) -> None:
        # One that is about to come back would train on: it is waited for.
        await _all(self._stop(training, node, wait=True) for node in nodes)

    async def _stop(self, training: str, node: str, *, wait: bool = False) -> None:
        request = peer_pb2.StopRequest(protocol=PROTOCOL, training=training)
        async with self._seat_channel(node) as opened:
            await _said(node, _control(opened).Stop(request, timeout=_CALL_S, wait_for_ready=wait))

    async def _read(self, training: str) -> tuple[TrainingInfo, list[CommittedRound], dict[str, str]]:
        info = await self._ledger.info(training)
        names = {}
        for account in info.nodes:
            spiffe_id = await self._ledger.spiffe_id_of(account)
            names[account] = SpiffeId.parse(spiffe_id).node if spiffe_id else account
        return info, await self._ledger.committed(training), names

    def _seat(self, node: str) -> SpiffeId:
        return SpiffeId(self.facts.trust_domain, "sl", node)

    def _seat_channel(self, node: str) -> grpc.aio.Channel:
        assert self._source is not None, "use it as a context manager"
        found = self.facts.named(node)
        if found is None:
            raise Refused(f"the swarm has no seat {node} any more")
        return channel(found.address, self._seat(node), self._source)


def _control(opened: grpc.aio.Channel) -> Any:
    return peer_pb2_grpc.ControlStub(opened)  # type: ignore[no-untyped-call]


async def _all(calls: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """What all calls answer; raises the first failure once each has ended: none is cut off by another's."""
    found = []
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found


async def _said(node: str, call: Any) -> Any:
    """A seat's answer, or its refusal in its own words."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise Refused(f"{node} did not answer within {_CALL_S:.0f} s") from error
        raise Refused(f"{node}: {error.details() or error.code().name}") from error

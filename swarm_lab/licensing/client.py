"""A node's lease: taken at its start, renewed in the background, counted down when the license node is lost.

lease = LicenseLease.dial(dialer, config.license_address, config.peer_id("license", "license"), on_wait=...)
await lease.start()                    # waits for the license node; raises NoSeat, LicenseExpired, ...
state.update("ready", **lease.state()) # {"license": "ok", "seconds_left": None}
...
lease.require()                        # before a new training: raises why none may begin
if lease.must_end(): ...               # a running training ends at its next closing round
await lease.close()                    # gives the seat back
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import grpc
import grpc.aio

from swarm_lab import __version__, errors
from swarm_lab.errors import LeaseUnknown, LicenseServerLost, RoleRefused, SwarmLabError
from swarm_lab.facts import metrics
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.licensing.desk import Grant
from swarm_lab.licensing.standing import Standing
from swarm_lab.protos import license_pb2, license_pb2_grpc

log = logging.getLogger(__name__)

PROTOCOL = 1
CALL_LIMIT_S = 5.0
RETRY_S = 5.0
START_RETRY_S = 0.5
START_LIMIT_S = 600.0

_REFUSALS: dict[str, type[SwarmLabError]] = {
    kind.code: kind
    for kind in (
        errors.NoLicense,
        errors.LicenseExpired,
        errors.LicenseTampered,
        errors.UnknownIssuer,
        errors.ClockMovedBack,
        errors.NoSeat,
        errors.LeaseUnknown,
        errors.OtherProtocol,
        errors.OtherVersion,
        errors.NoRoom,
    )
}


Reply = TypeVar("Reply")


class Unanswered(Exception):
    """The license node gave no answer; the text says why."""


class Desk(Protocol):
    """What a lease needs of the license node. Calls raise license errors, or `Unanswered`."""

    async def acquire(self) -> Grant:
        """Take a seat."""
        ...

    async def renew(self, lease_id: str) -> Grant:
        """Go on with it."""
        ...

    async def release(self, lease_id: str) -> None:
        """Give it back."""
        ...


class RemoteDesk:
    """The license node behind a gRPC channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = license_pb2_grpc.LicenseStub(channel)  # type: ignore[no-untyped-call]

    async def acquire(self) -> Grant:
        """See `Desk`."""
        request = license_pb2.AcquireRequest(protocol=PROTOCOL, package=__version__)
        return _grant(await _answer(lambda: self._stub.Acquire(request, timeout=CALL_LIMIT_S)))

    async def renew(self, lease_id: str) -> Grant:
        """See `Desk`."""
        request = license_pb2.RenewRequest(protocol=PROTOCOL, lease_id=lease_id)
        return _grant(await _answer(lambda: self._stub.Renew(request, timeout=CALL_LIMIT_S)))

    async def release(self, lease_id: str) -> None:
        """See `Desk`."""
        request = license_pb2.ReleaseRequest(lease_id=lease_id)
        await _answer(lambda: self._stub.Release(request, timeout=1.0))

    async def show(self) -> dict[str, object]:
        """License, seats and leases, as `swarm-lab license show` prints them."""
        request = license_pb2.ShowRequest()
        reply = await _answer(lambda: self._stub.Show(request, timeout=CALL_LIMIT_S))
        found: dict[str, object] = json.loads(reply.json)
        return found


class LicenseLease:
    """The seat of one node, held for as long as the node runs. Use it in one event loop."""

    def __init__(
        self,
        desk: Desk,
        *,
        on_wait: Callable[[str], object] = log.info,
        on_change: Callable[[str], object] = lambda word: None,
        standing: Standing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`on_wait` gets a line while `start` waits; `on_change` the new word of `state()` whenever it changes."""
        self._desk = desk
        self._on_wait = on_wait
        self._on_change = on_change
        self._standing = standing or Standing()
        self._monotonic = monotonic
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._reason = ""
        self._word = "none"

    @classmethod
    def dial(
        cls,
        dialer: Dialer,
        address: str,
        peer: SpiffeId,
        *,
        on_wait: Callable[[str], object] = log.info,
        on_change: Callable[[str], object] = lambda word: None,
    ) -> LicenseLease:
        """A lease from the license node `peer` at `address`."""
        return cls(RemoteDesk(dialer.channel(address, peer)), on_wait=on_wait, on_change=on_change)

    async def start(self, limit_s: float = START_LIMIT_S) -> None:
        """Take the seat and keep it from now on; waits for a license node that is not there yet.

        Raises `NoSeat`, `LicenseExpired` and the other refusals at once, `LicenseServerLost` after `limit_s` seconds.
        """
        until = self._monotonic() + limit_s
        told = ""
        while True:
            delay = await self._turn()
            if self._standing.grant is not None:
                break
            self.require()
            if self._monotonic() >= until:
                raise LicenseServerLost(f"no answer from the license node within {limit_s:g} s: {self._reason}")
            if self._reason != told:
                told = self._reason
                self._on_wait(f"waiting for the license node: {told}")
            await self._sleep(START_RETRY_S)
        self._task = asyncio.create_task(self._keep(delay), name="license lease")

    async def close(self) -> None:
        """Stop renewing and give the seat back if the license node is there; never raises, one second at most."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        grant = self._standing.grant
        if grant is not None:
            try:
                await self._desk.release(grant.lease_id)
            except (Unanswered, SwarmLabError) as error:
                log.info("the seat was not given back: it comes free by itself", extra={"reason": str(error)})

    def state(self) -> dict[str, object]:
        """For state.json: `license` is none, ok, grace, lost, expired or refused; `seconds_left` counts grace down."""
        now = self._monotonic()
        left = self._standing.grace_left(now)
        return {"license": self._standing.word(now), "seconds_left": None if left is None else int(left)}

    @property
    def until(self) -> float | None:
        """When the lease ends unless it is renewed, in unix seconds; None where there is none."""
        left = self._standing.lease_left(self._monotonic())
        return None if left is None else round(time.time() + left)

    @property
    def features(self) -> tuple[str, ...]:
        """The license's features; nothing here asks for one yet."""
        return self._standing.grant.features if self._standing.grant is not None else ()

    def trouble(self) -> SwarmLabError | None:
        """Why no new training may begin; None while the lease holds or the grace time runs."""
        return self._standing.trouble(self._monotonic())

    def require(self) -> None:
        """Raise `trouble`, if there is any."""
        trouble = self.trouble()
        if trouble is not None:
            raise trouble

    def allows_new_training(self) -> bool:
        """Whether a training may begin now."""
        return self._standing.word(self._monotonic()) in ("ok", "grace")

    def must_end(self) -> bool:
        """Whether running trainings must end at their next closing round."""
        return self.trouble() is not None

    async def _keep(self, delay: float) -> None:
        while True:
            await self._sleep(delay)
            delay = await self._turn()

    async def _turn(self) -> float:
        """Ask once; returns the seconds until the next time."""
        asked = self._monotonic()
        try:
            grant = await self._ask()
        except Unanswered as error:
            self._reason = str(error)
            self._standing.lost(self._monotonic())
            delay = RETRY_S
        except SwarmLabError as refusal:
            self._standing.refused(refusal)
            delay = RETRY_S
        else:
            self._standing.granted(grant, asked)
            delay = max(grant.life_s / 3, 0.1)
        self._tell()
        return delay

    async def _ask(self) -> Grant:
        held = self._standing.grant
        if held is None:
            return await self._desk.acquire()
        try:
            return await self._desk.renew(held.lease_id)
        except LeaseUnknown:
            return await self._desk.acquire()

    def _tell(self) -> None:
        now = self._monotonic()
        word = self._standing.word(now)
        metrics.license_ok.set({"ok": 1.0, "grace": 0.5}.get(word, 0.0))
        metrics.license_grace_seconds.set(self._standing.grace_left(now) or 0.0)
        if word == self._word:
            return
        level = logging.INFO if word == "ok" else logging.WARNING
        trouble = self.trouble()
        reason = trouble.message if trouble else self._reason if word == "grace" else ""
        log.log(level, "license: %s", word, extra={"before": self._word, "reason": reason})
        self._word = word
        self._on_change(word)


async def _answer(call: Callable[[], Awaitable[Reply]]) -> Reply:
    """The reply of a call; raises the license node's refusal, or `Unanswered`."""
    try:
        return await call()
    except grpc.aio.AioRpcError as error:
        details = error.details() or ""
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
            raise _refusal(details) from error
        if error.code() is grpc.StatusCode.PERMISSION_DENIED and RoleRefused.code in details:
            raise RoleRefused(details) from error
        raise Unanswered(f"{error.code().name.lower().replace('_', ' ')}: {details[:200]}") from error
    except SwarmLabError as error:  # our own identity is not there at the moment
        raise Unanswered(error.message) from error


def _refusal(details: str) -> Exception:
    try:
        found = json.loads(details)
        kind = _REFUSALS[found["code"]]
        return kind(str(found["message"]), next_step=str(found["next"]))
    except (ValueError, KeyError, TypeError):
        return Unanswered(f"the license node answered {details[:200]!r}")


def _grant(lease: license_pb2.Lease) -> Grant:
    left = lease.license_left_s if lease.HasField("license_left_s") else None
    return Grant(lease.lease_id, lease.life_s, lease.license_id, left, tuple(lease.features))

"""Calls that take longer than an answer may: each in a thread of its own, so many at a time, remembered for a while."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from swarm_lab.errors import GoneMeanwhile, NoSuchOperation, ServerBusy, SwarmLabError
from swarm_lab.jupyter.server.failures import of_validation, told
from swarm_lab.jupyter.server.models import Operation

log = logging.getLogger(__name__)

AT_A_TIME = 16
KEPT = 100
_SAID = 200


@dataclass(frozen=True, slots=True)
class Target:
    """What an operation is about."""

    verb: str
    swarm: str | None = None
    node: str | None = None
    training: str | None = None


class Out:
    """Where a verb says things while it works; see `swarm_lab.verbs.Out`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def say(self, line: str) -> None:
        """A line of progress."""
        self._say(line)

    def event(self, event: Mapping[str, Any]) -> None:
        """Clients get events from the swarm's facts."""

    def line(self, node: str, line: str) -> None:
        """Clients follow logs by themselves."""


Run = Callable[[Out], Any]
"""Does it and returns its answer, a pydantic model or what JSON knows; may raise `SwarmLabError`."""


@dataclass(slots=True)
class _Work:
    id: str
    target: Target
    by: str
    started: float
    said: list[str] = field(default_factory=list)
    ended: float | None = None
    answer: Any = None
    error: SwarmLabError | None = None

    def shown(self) -> Operation:
        state = "running" if self.ended is None else "done" if self.error is None else "failed"
        return Operation(
            id=self.id,
            verb=self.target.verb,
            swarm=self.target.swarm,
            node=self.target.node,
            training=self.target.training,
            state=state,
            started=self.started,
            ended=self.ended,
            said=list(self.said),
            answer=self.answer,
            error=None if self.error is None else told(self.error, self.target.swarm),
        )


class Operations:
    """Starts and remembers operations. Its methods belong to the event loop; `changed` is called there too.

    What is asked for twice is done once: the second caller gets the operation that runs.
    """

    def __init__(self, changed: Callable[[Operation], None]) -> None:
        self._changed = changed
        self._works: dict[str, _Work] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, target: Target, run: Run, by: str = "") -> Operation:
        """Begin; raises `ServerBusy` where too many run."""
        running = [work for work in self._works.values() if work.ended is None]
        twin = next((work for work in running if work.target == target and target.verb not in _EACH), None)
        if twin is not None:
            return twin.shown()
        if len(running) >= AT_A_TIME:
            raise ServerBusy(f"{len(running)} operations run")
        work = _Work(secrets.token_hex(6), target, by, time.time())
        self._works[work.id] = work
        self._forget()
        self._idle.clear()
        self._run(work, run)
        self._changed(work.shown())
        return work.shown()

    def get(self, id: str) -> Operation:
        """One by its id; raises `NoSuchOperation`."""
        if id not in self._works:
            raise NoSuchOperation(f"there is no operation {id[:40]!r}")
        return self._works[id].shown()

    def all(self) -> list[Operation]:
        """Those that run and the last ones that have ended, oldest first."""
        return [work.shown() for work in self._works.values()]

    def check_gone(self, swarm: str, node: str | None = None) -> None:
        """Raise `GoneMeanwhile` where somebody else has removed what a call is meant for."""
        for work in reversed(self._works.values()):
            target = work.target
            taken = target.verb == "remove" and node is not None and target.node == node
            taken = taken or (target.verb == "down" and bool((work.answer or {}).get("purged")))
            if taken and target.swarm == swarm and work.ended is not None and work.error is None:
                when = time.strftime("%H:%M", time.localtime(work.ended))
                who = f", by {work.by}" if work.by else ""
                raise GoneMeanwhile(f"{node or swarm} was already removed{who} at {when}")

    async def finish(self, limit_s: float) -> None:
        """Wait for what runs, `limit_s` seconds at most; what goes on then ends with the process."""
        try:
            await asyncio.wait_for(self._idle.wait(), limit_s)
        except TimeoutError:
            log.warning("the server ends while %d operations run", sum(w.ended is None for w in self._works.values()))

    def _run(self, work: _Work, run: Run) -> None:
        loop = asyncio.get_running_loop()
        future: Future[Any] = Future()

        def say(line: str) -> None:
            work.said[:] = [*work.said, line][-_SAID:]
            _back(loop, lambda: self._changed(work.shown()))

        def body() -> None:
            try:
                future.set_result(run(Out(say)))
            except BaseException as error:  # noqa: BLE001 - told by the future: a thread has nobody else to raise to
                future.set_exception(error)

        future.add_done_callback(lambda done: _back(loop, lambda: self._ended(work, done)))
        # A daemon: a server that ends must not wait minutes for a verb, whose work lies on disk anyway.
        threading.Thread(target=body, name=f"swarm-lab {work.target.verb}", daemon=True).start()

    def _ended(self, work: _Work, future: Future[Any]) -> None:
        error = future.exception()
        if error is None:
            answer = future.result()
            work.answer = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
        elif isinstance(error, SwarmLabError):
            work.error = error
        elif isinstance(error, ValidationError):
            work.error = of_validation(error)
        else:
            log.error("%s failed", work.target.verb, exc_info=error)
            work.error = SwarmLabError(f"{type(error).__name__}: {error}")
        work.ended = time.time()
        if all(other.ended is not None for other in self._works.values()):
            self._idle.set()
        self._changed(work.shown())

    def _forget(self) -> None:
        over = [work.id for work in self._works.values() if work.ended is not None]
        for id in over[: max(len(self._works) - KEPT, 0)]:
            del self._works[id]


# Twice is twice: two trainings, two seats more.
_EACH = frozenset({"train", "add", "demo", "fault"})


def _back(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call in the loop; not at all where it has ended."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        log.debug("the server has ended")

"""A node's end of the link: launches one program, speaks with it, and says how it ended.

    program = await Program.launch(spec, start_cold, on_line=show)
    hello = await program.hello(limit=3600)
    await program.welcome(interval=16, seed=7)
    while True:
        parked = await program.parked()              # raises the program's failure when it ends before
        update = bytes(program.contribution())       # one buffer in `program.layout`
        await program.release(Release(model=True, round=1, interval=16), merged)
    exit = await program.exit()

What a program sends is checked before it is believed; one that breaks the rules of the link is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import psutil

from swarm_lab.callback.messages import (
    PROTOCOL,
    Argument,
    Bye,
    Evaluated,
    Failed,
    FromProgram,
    Hello,
    Refused,
    Release,
    Sync,
    Welcome,
)
from swarm_lab.errors import (
    ProgramEndedEarly,
    ProgramFailed,
    ProgramKilled,
    ProgramMisbehaved,
    ProgramNeverSynced,
    SwarmLabError,
)
from swarm_lab.facts.process import record_of, write_record
from swarm_lab.nodes.launching import Process, ProgramSpec, Start, end_session
from swarm_lab.nodes.output import OnLine, Output
from swarm_lab.nodes.program_edge import Limits, Misbehaviour, checked_layout, decode_from_program
from swarm_lab.nodes.program_link import ProgramLink
from swarm_lab.nodes.segment import Progress, Segment
from swarm_lab.rounds.layout import Buffer, Layout

log = logging.getLogger(__name__)

Phase = Literal["started", "connected", "greeted", "running", "parked", "left"]
# What a program may send in each phase; everything else ends it.
_MAY_SEND: dict[Phase, tuple[type[FromProgram], ...]] = {
    "started": (),
    "connected": (Hello, Failed),
    "greeted": (Failed,),
    "running": (Sync, Evaluated, Bye, Failed),
    "parked": (Failed,),
    "left": (Failed,),
}
# After the end of a program or of its link: for what was written before it, and for the other of the two.
LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended: `code` is its exit status, negative for a signal, None when nobody could know it.

    `finished` is true when its `on_train_end` was over; `error` says what went wrong, None if nothing did.
    """

    code: int | None
    finished: bool
    evaluated: Evaluated | None
    failed: Failed | None
    error: SwarmLabError | None


class Program:
    """One running program; make it with `launch`. All methods belong to one event loop.

    `phase` is where the program stands; `layout` is there after `hello`.
    """

    def __init__(self, spec: ProgramSpec, limits: Limits, on_line: OnLine) -> None:
        self.spec = spec
        self.phase: Phase = "started"
        self.layout = Layout(())
        self._limits = limits
        self._output = Output(spec.output, on_line)
        self._process: Process
        self._link = ProgramLink(spec.link)
        self._segment: Segment | None = None
        self._hello: Hello | None = None
        self._syncs: asyncio.Queue[Sync | None] = asyncio.Queue()
        self._greeted = asyncio.Event()
        self._over = asyncio.Event()
        self._exit: Exit | None = None
        self._failed: Failed | None = None
        self._evaluated: Evaluated | None = None
        self._broke = ""
        self._killed = False
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @classmethod
    async def launch(
        cls,
        spec: ProgramSpec,
        start: Start,
        *,
        inherited: Mapping[str, str] = os.environ,
        limits: Limits | None = None,
        on_line: OnLine = lambda stream, text: None,
    ) -> Program:
        """Start the program; `start` is `launching.start_cold` or `SeatsClient.start`.

        The program sees the allowed part of `inherited`. Raises ProgramNotStarted or SeatsUnavailable.
        """
        self = cls(spec, limits or Limits(), on_line)
        ends = [self._output.add("stdout"), self._output.add("stderr")]
        try:
            self._process = await start(spec, spec.environment(inherited), *ends)
        except BaseException:  # also a cancellation: a program that did not start leaves no socket and no pipe
            self._link.close()
            await self._output.ended(0)
            raise
        finally:
            for end in ends:
                os.close(end)
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended already
            write_record(spec.record, record_of(self._process.pid))
        link = asyncio.create_task(self._serve(), name="program link")
        self._tasks = (link, asyncio.create_task(self._watch(link), name="program exit"))
        return self

    @property
    def pid(self) -> int:
        """The program's process, the leader of its session."""
        return self._process.pid

    async def hello(self, limit: float) -> Hello:
        """What the program says when its training begins; raises the program's failure, or TimeoutError."""
        async with asyncio.timeout(limit):
            await self._greeted.wait()
        if self._hello is None:
            raise (await self.exit()).error or ProgramNeverSynced(f"{self.spec.program.name} never began to train")
        return self._hello

    async def welcome(
        self,
        *,
        interval: int,
        seed: int | None = None,
        arguments: Mapping[str, Argument] | None = None,
        resume: Mapping[str, int] | None = None,
    ) -> None:
        """Let the program take part; it comes back with `Sync("begin")`. Raises ModelTooLarge, after telling it so."""
        if self.phase != "greeted" or self._hello is None:
            raise RuntimeError(f"welcome in phase {self.phase}")
        try:
            # Touching every page of a large model takes a while.
            self._segment = await asyncio.to_thread(Segment, self.layout.nbytes)
        except SwarmLabError as error:
            await self.refuse(error)
            raise
        offsets = tuple(self.layout.offsets[spec.name] for spec in self._hello.layout)
        message = Welcome(
            PROTOCOL, interval, self._segment.size, offsets, seed, dict(arguments or {}), dict(resume or {})
        )
        self.phase = "running"
        await self._link.send(message, self._segment.descriptor)

    async def refuse(self, error: SwarmLabError) -> None:
        """Answer hello or a sync with no: the program raises with this reason."""
        self.phase = "left"
        await self._link.send(Refused(error.code, error.message, error.next_step))

    async def parked(self) -> Sync:
        """Wait until the program is at a sync point; raises its failure when it ends before.

        The wait is bounded by the caller (`progress` tells a hung program) and by the program's end.
        """
        sync = await self._syncs.get()
        if sync is None:
            self._syncs.put_nowait(None)
            raise (await self.exit()).error or ProgramEndedEarly(f"{self.spec.program.name} has ended")
        return sync

    def contribution(self) -> memoryview:
        """The parked program's tensors in `layout`, always the same buffer; a hostile program may write to it."""
        if self._segment is None or self.phase != "parked":
            raise RuntimeError(f"no contribution in phase {self.phase}")
        return self._segment.contribution

    @property
    def segment(self) -> Segment:
        """The memory that is shared with the program, from `welcome` on."""
        if self._segment is None:
            raise RuntimeError(f"no segment in phase {self.phase}")
        return self._segment

    @property
    def held(self) -> bool:
        """Whether the program waits to write its next contribution."""
        return self._segment is not None and self._segment.held

    async def release(self, release: Release, model: Buffer | None = None) -> None:
        """Let the parked program go on; with `release.model` it loads first what lies in `segment.merged`.

        `model` (a buffer in `layout`) is put there before.
        """
        if self._segment is None or self.phase != "parked":
            raise RuntimeError(f"release in phase {self.phase}")
        if model is not None:
            if not release.model or len(model) != self.layout.nbytes:
                raise ValueError(f"a model of {len(model)} bytes for a layout of {self.layout.nbytes}")
            self._segment.merged[:] = model
        self._segment.attend(False)
        self.phase = "running"
        await self._link.send(release)

    def attention(self) -> None:
        """Ask the running program to a sync point after its present batch; a parked one is there already."""
        if self._segment is not None and self.phase == "running":
            self._segment.attend(True)

    def progress(self) -> Progress:
        """How far the program says it is."""
        return Progress(0, 0, 0.0, None) if self._segment is None else self._segment.progress()

    async def exit(self) -> Exit:
        """Wait for the program's end."""
        await self._over.wait()
        assert self._exit is not None
        return self._exit

    async def kill(self, limit: float = 2.0) -> Exit:
        """End the program: SIGTERM, and after `limit` seconds SIGKILL; nothing of it is left afterwards."""
        self._killed = True
        if not self._over.is_set():
            self._process.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    return await self.exit()
            self._process.signal(signal.SIGKILL)
        return await self.exit()

    async def _serve(self) -> None:
        try:
            await self._link.accept(self.pid, self._limits.connect)
            self.phase = "connected"
            async for body in self._link.frames(lambda: self.phase == "left"):
                self._take(decode_from_program(body, self._limits))
            self._end_soon()
        except Misbehaviour as broken:
            self._broke = str(broken)
            log.warning("program %s %s", self.spec.program.name, self._broke)
            self._process.signal(signal.SIGKILL)
        except OSError as error:
            log.info("the program's link ended: %s", error)

    def _take(self, message: FromProgram) -> None:
        if not isinstance(message, _MAY_SEND[self.phase]):
            raise Misbehaviour(f"sent {message.kind} while it was {self.phase}")
        if isinstance(message, Hello):
            self.layout = checked_layout(message, self._limits)
            self._hello = message
            self._link.heard()
            self.phase = "greeted"
            self._greeted.set()
        elif isinstance(message, Sync):
            self.phase = "parked"
            self._syncs.put_nowait(message)
        elif isinstance(message, Evaluated):
            self._evaluated = message
        elif isinstance(message, Bye):
            self.phase = "left"
        else:
            self._failed = message
            self.phase = "left"
            self._output.write(message.traceback)
            self._end_soon()

    def _end_soon(self) -> None:
        """A program that has failed, or closed its link, may still hang: in a thread, or at its exit."""
        asyncio.get_running_loop().call_later(self._limits.end, self._end_now)

    def _end_now(self) -> None:
        if not self._over.is_set():
            self._process.signal(signal.SIGKILL)

    async def _watch(self, link: asyncio.Task[None]) -> None:
        code = await self._process.wait()
        end_session(self.pid)
        # What it said last is still in the pipes and on the link.
        await asyncio.wait([link], timeout=LAST_WORDS_S)
        link.cancel()
        await asyncio.wait([link])
        await self._output.ended(LAST_WORDS_S)
        self._link.close()
        if self._segment is not None:
            self._segment.close()
        self.spec.record.unlink(missing_ok=True)
        finished = self.phase == "left" and self._failed is None and not self._broke
        self._exit = Exit(code, finished, self._evaluated, self._failed, self._error(code, finished))
        self._over.set()
        self._greeted.set()
        self._syncs.put_nowait(None)

    def _error(self, code: int | None, finished: bool) -> SwarmLabError | None:
        name = self.spec.program.name
        if self._failed is not None:
            return ProgramFailed.of(name, self._failed)
        if self._broke:
            return ProgramMisbehaved(f"{name} {self._broke}")
        if code is not None and code < 0:
            return ProgramKilled(f"{name} was ended by {_signal_name(-code)}")
        if finished and code is None:  # the seats' parent died first; the program itself did all it had to
            return None
        if code != 0:
            last = " / ".join(list(self._output.tail)[-3:])
            status = "an unknown status" if code is None else f"status {code}"
            return ProgramFailed(f"{name} left with {status}" + (f": {last}" if last else ""))
        if finished:
            return None
        if self._hello is None:
            return ProgramNeverSynced(f"{name} ended without a SwarmCallback that began to train")
        return ProgramEndedEarly(f"{name} ended without on_train_end()")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

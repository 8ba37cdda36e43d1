"""A small node for tests of programs: it launches real ones and averages what they contribute; two fixtures."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from swarm_lab.callback.messages import Release, Sync
from swarm_lab.nodes.launching import ProgramSpec, Start, start_cold
from swarm_lab.nodes.program import Exit, Program
from swarm_lab.rounds.layout import Layout

LIMIT = 60.0


@dataclass
class Member:
    """One program and what it did."""

    program: Program
    lines: list[tuple[str, str]]
    syncs: list[Sync] = field(default_factory=list)
    over: bool = False
    exit: Exit | None = None
    model: bytes = b""


class Averager:
    """Runs the rounds of several programs: everyone that still trains syncs, the mean goes back."""

    def __init__(self, interval: int = 4, stop_at: int | None = None) -> None:
        self.interval = interval
        self.stop_at = stop_at
        self.rounds = 0

    async def run(self, members: Sequence[Member]) -> None:
        async with asyncio.timeout(LIMIT):
            for member in members:
                await member.program.hello(LIMIT)
                await member.program.welcome(interval=self.interval)
            while not all(member.over for member in members):
                await self._round(members)
            for member in members:
                member.exit = await member.program.exit()

    async def _round(self, members: Sequence[Member]) -> None:
        for member in members:
            member.syncs.append(await member.program.parked())
            member.model = bytes(member.program.contribution())
        merged = mean(members[0].program.layout, [member.model for member in members])
        finished = all(member.syncs[-1].reason == "end" for member in members)
        for member in members:
            member.over = finished
            stop = self.rounds == self.stop_at
            release = Release(model=True, round=self.rounds, interval=self.interval, stop=stop, finished=finished)
            await member.program.release(release, merged)
        self.rounds += 1


def mean(layout: Layout, buffers: Sequence[bytes]) -> bytearray:
    merged = bytearray(layout.nbytes)
    views = [layout.views(buffer) for buffer in buffers]
    for name, target in layout.views(merged).items():
        if target.dtype.kind in "iub":
            target[...] = views[0][name]
        else:
            target[...] = np.mean([view[name].astype(np.float64) for view in views], axis=0)
    return merged


@pytest.fixture
def averager() -> type[Averager]:
    """The class of the small node."""
    return Averager


Launch = Callable[..., Awaitable[Member]]


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    """launch(source, name=..., framework=..., start=..., ...) -> Member; everything is ended afterwards."""
    started: list[Program] = []

    async def launch_program(
        source: str,
        name: str = "p1",
        framework: str = "torch",
        start: Start = start_cold,
        inherited: dict[str, str] | None = None,
        **more: object,
    ) -> Member:
        directory = tmp_path / name
        directory.mkdir()
        program = directory / "program.py"
        program.write_text(textwrap.dedent(source))
        limits = more.pop("limits", None)
        spec = ProgramSpec(
            program=program,
            directory=directory,
            link=tmp_path / f"{name}.sock",
            output=directory / "output.log",
            record=directory / "process.json",
            framework=framework,
            **more,
        )
        lines: list[tuple[str, str]] = []
        launched = await Program.launch(
            spec,
            start,
            inherited=os.environ if inherited is None else inherited,
            limits=limits,
            on_line=lambda stream, text: lines.append((stream, text)),
        )
        started.append(launched)
        return Member(launched, lines)

    yield launch_program
    for program in started:
        await program.kill(0.5)

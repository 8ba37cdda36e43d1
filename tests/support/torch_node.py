"""A small node for PyTorch programs: it launches real ones and gives them the models that a test wants."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.warm_seats import launched

from swarm_lab.callback.messages import Release, Sync
from swarm_lab.nodes.program import Exit, Program
from swarm_lab.nodes.seats_client import SeatsClient
from swarm_lab.rounds.layout import Layout

LIMIT = 100.0
# What a program of these tests may use: `bits` of tensors, `keep` for what the test wants to see of it.
PRELUDE = """
import os, torch
from torch import nn
from swarm_lab import SwarmCallback
def bits(tensors):
    return {name: (str(t.dtype), list(t.shape), t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).clone())
            for name, t in tensors.items()}
def keep(**values):
    kept = torch.load("kept.pt") if os.path.exists("kept.pt") else {}
    torch.save(kept | values, "kept.pt")
"""
Give = Callable[[int, Layout, bytes], bytes | None]


@dataclass
class Trained:
    """One program after its end, and what its node saw."""

    program: Program
    layout: Layout
    lines: list[tuple[str, str]]
    syncs: list[Sync] = field(default_factory=list)
    contributions: list[bytes] = field(default_factory=list)
    given: list[bytes] = field(default_factory=list)
    exit: Exit | None = None

    @property
    def kept(self) -> dict[str, Any]:
        """What the program kept."""
        return torch.load(self.program.spec.directory / "kept.pt")

    @property
    def text(self) -> str:
        """All that the program wrote."""
        return "\n".join(line for _, line in self.lines)

    def bits(self, buffer: bytes) -> dict[str, bytes]:
        """A model by name, as bytes."""
        return {name: view.tobytes() for name, view in self.layout.views(buffer).items()}


def random_bits(layout: Layout, seed: int) -> bytes:
    """A model of any bits that its dtypes can have: NaNs with payloads, denormals, the largest integers."""
    rng = np.random.default_rng(seed)
    buffer = bytearray(rng.bytes(layout.nbytes))
    for view in layout.views(buffer).values():
        if view.dtype == np.bool_:
            view.view(np.uint8)[...] &= 1
    return bytes(buffer)


class Node:
    """Launches programs one after the other and answers them."""

    def __init__(self, directory: Path, client: SeatsClient) -> None:
        self._directory = directory
        self._client = client
        self._number = 0
        self._started: list[Program] = []

    async def train(
        self,
        source: str,
        give: Give = lambda round_, layout, contribution: contribution,
        *,
        interval: int = 2,
        stop_at: int | None = None,
        attention_after: int | None = None,
        resume: Mapping[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
        hello: bool = True,
    ) -> Trained:
        """Run one program to its end: at each sync it gets what `give` returns of its contribution.

        `stop_at`: the sync at which the swarm stops it; `attention_after`: batches after which it is asked to park.
        """
        trained = await self._launch(source, dict(variables or {}))
        program = trained.program
        async with asyncio.timeout(LIMIT):
            if hello:
                await program.hello(LIMIT)
                trained.layout = program.layout
                await program.welcome(interval=interval, resume=resume)
                await self._answer(trained, give, stop_at, attention_after)
            trained.exit = await program.exit()
        return trained

    async def _answer(self, trained: Trained, give: Give, stop_at: int | None, after: int | None) -> None:
        program = trained.program
        over = False
        while not over:
            watch = asyncio.create_task(self._attend(program, after))
            parked = asyncio.create_task(program.parked())
            ended = asyncio.create_task(program.exit())
            await asyncio.wait([parked, ended], return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            ended.cancel()
            if not parked.done() or parked.exception() is not None:
                parked.cancel()
                return
            number = len(trained.syncs)
            trained.syncs.append(parked.result())
            trained.contributions.append(bytes(program.contribution()))
            model = give(number, trained.layout, trained.contributions[-1])
            if model is not None:
                trained.given.append(model)
            over = trained.syncs[-1].reason == "end"
            stop = stop_at is not None and number >= stop_at
            await program.release(Release(model is not None, number, None, stop, over), model)

    async def _attend(self, program: Program, after: int | None) -> None:
        while after is not None:
            if program.progress().batches >= after:
                program.attention()
                return
            await asyncio.sleep(0.005)

    async def _launch(self, source: str, variables: dict[str, str]) -> Trained:
        self._number += 1
        program, lines = await launched(
            self._directory, self._number, PRELUDE + textwrap.dedent(source), "torch", self._client.start, variables
        )
        self._started.append(program)
        return Trained(program, Layout(()), lines)

    async def close(self) -> None:
        """End what still runs."""
        for program in self._started:
            await program.kill(0.5)

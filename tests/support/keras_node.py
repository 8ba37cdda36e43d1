"""A small node for Keras programs: it launches real ones, warm, and gives them the models that a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from support.warm_seats import launched

from swarm_lab.callback.messages import Release, Sync
from swarm_lab.errors import SwarmLabError
from swarm_lab.nodes.launching import Start
from swarm_lab.nodes.program import Exit, Program
from swarm_lab.rounds.layout import Layout

LIMIT = 60.0
# What programs of these tests have: data, a model, and `tell` for what the test wants to know.
PRELUDE = """
import json, os
import numpy as np
import keras
from swarm_lab import SwarmCallback
L = keras.layers
X = np.random.default_rng(0).random((32, 4)).astype("float32")
Y = (X[:, 0] > 0.5).astype("int64")
def tell(**facts):
    print("FACT " + json.dumps(facts), flush=True)
def net(**compiled):
    model = keras.Sequential([L.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dense(2, "softmax")])
    loss = "sparse_categorical_crossentropy"
    model.compile(**({"optimizer": "sgd", "loss": loss, "metrics": ["accuracy"]} | compiled))
    return model
def first(model):
    return float(np.array(model.weights[0]).ravel()[0])
class Watch(keras.callbacks.Callback):
    def on_train_begin(self, logs=None): tell(begin=first(self.model))
    def on_epoch_begin(self, epoch, logs=None): tell(epoch=epoch)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the node does at a sync: the model it gives, None for none, and the release around it."""

    model: bytes | bytearray | None = None
    interval: int | None = None
    stop: bool = False
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Parked:
    """A program at a sync: the how manieth, what it said, and its tensors."""

    number: int
    sync: Sync
    layout: Layout
    contribution: bytes


Give = Callable[[Parked], Answer]


@dataclass
class Trained:
    """One program after its end, and what its node saw."""

    program: Program
    lines: list[tuple[str, str]]
    parked: list[Parked] = field(default_factory=list)
    exit: Exit | None = None

    @property
    def text(self) -> str:
        """All that the program wrote."""
        return "\n".join(line for _, line in self.lines)

    @property
    def syncs(self) -> list[tuple[str, int]]:
        """Reason and batches of each sync."""
        return [(one.sync.reason, one.sync.batches) for one in self.parked]

    def facts(self, name: str) -> list[Any]:
        """What the program told under this name, in its order."""
        told = [json.loads(line.removeprefix("FACT ")) for _, line in self.lines if line.startswith("FACT ")]
        return [facts[name] for facts in told if name in facts]


def keep(parked: Parked) -> Answer:
    """The program goes on with what it has; at its end that is the final model."""
    return Answer(parked.contribution, finished=parked.sync.reason == "end")


def filled(layout: Layout, value: float) -> bytes:
    """A model of this one value."""
    buffer = bytearray(layout.nbytes)
    for view in layout.views(buffer).values():
        view[...] = np.asarray(value).astype(view.dtype)
    return bytes(buffer)


class Node:
    """Launches programs one after the other and answers them."""

    def __init__(self, directory: Path, start: Start) -> None:
        self._directory = directory
        self._start = start
        self._started: list[Program] = []

    async def train(
        self,
        source: str,
        give: Give = keep,
        *,
        interval: int = 2,
        resume: Mapping[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Trained:
        """Run one program to its end; an early one is no error here: see `exit`."""
        trained = await self._launch(source, dict(variables or {}))
        async with asyncio.timeout(LIMIT):
            with contextlib.suppress(SwarmLabError):  # its end says what it was
                await trained.program.hello(LIMIT)
                await trained.program.welcome(interval=interval, resume=resume)
                await self._answer(trained, give)
            trained.exit = await trained.program.exit()
        return trained

    async def _answer(self, trained: Trained, give: Give) -> None:
        program, finished = trained.program, False
        while not finished:
            sync = await program.parked()
            parked = Parked(len(trained.parked), sync, program.layout, bytes(program.contribution()))
            trained.parked.append(parked)
            answer = give(parked)
            finished = answer.finished
            release = Release(answer.model is not None, parked.number, answer.interval, answer.stop, finished)
            await program.release(release, answer.model)

    async def _launch(self, source: str, variables: dict[str, str]) -> Trained:
        program, lines = await launched(
            self._directory, len(self._started), PRELUDE + textwrap.dedent(source), "keras", self._start, variables
        )
        self._started.append(program)
        return Trained(program, lines)

    async def close(self) -> None:
        """End what still runs."""
        for program in self._started:
            await program.kill(0.5)

"""An ML program: a vector that each batch changes, parked and released as a driver does it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from rounds_sim.registry import Vector, root

from swarm_lab.rounds.events import Load, Train
from swarm_lab.rounds.messages import Digest


@dataclass(frozen=True)
class Contribution:
    """What stood in the program at a sync point: its weights, the batches in them, the base that they started from."""

    vector: Vector
    batches: tuple[int, ...]
    base: Digest


class Trainer:
    """`x` is the model, `pending` the batches in it since its base. A batch is a random step with a number."""

    def __init__(self, start: Vector, epochs: int, rng: random.Random, number: Callable[[], int]) -> None:
        self.x, self.total_wanted = start, epochs
        self.rng, self.number = rng, number
        self.base = root(start)
        self.pending: tuple[int, ...] = ()
        self.lost: set[int] = set()
        self.total = self.count = 0
        self.interval = 0
        self.running = self.at_sync = self.done = self.stopping = False
        self.reported: tuple[Digest, Digest] | None = None

    def step(self) -> bool:
        """One batch; True when the program parks after it."""
        self.x = tuple(a + self.rng.randint(-500_000, 500_000) for a in self.x)
        self.pending = (*self.pending, self.number())
        self.total += 1
        self.count += 1
        self.done = self.stopping or self.total >= self.total_wanted
        self.at_sync = self.done or self.count >= self.interval
        if self.at_sync:
            self.running = False
        return self.at_sync

    def load(self, order: Load, tensors: dict[Digest, Vector], contributions: dict[Digest, Contribution]) -> None:
        new = tensors[order.root]
        if order.kind == "rebase":
            old = tensors[order.base]
            self.x = tuple(m + a - b for m, a, b in zip(new, self.x, old, strict=True))
            self.base = order.root
            return
        if order.kind == "restore":
            kept = contributions.get(order.root, Contribution(new, (), order.base))
            self.lost |= set(self.pending)
            self.x, self.pending, self.base = kept.vector, kept.batches, order.base
            self.lost -= set(self.pending)
            return
        if order.kind == "reset":
            self.lost |= set(self.pending)
        self.x, self.pending, self.base = new, (), order.root

    def end(self) -> None:
        """The training is over, wherever it stands."""
        self.running, self.at_sync, self.done = False, False, True

    def train(self, order: Train) -> None:
        assert not self.done, "a program that is over is released"
        self.interval = order.interval
        if not order.keep_count:
            self.count = 0
        self.at_sync = False
        self.running = True
        if self.stopping:
            self.running, self.at_sync, self.done = False, True, True

"""Faults by chance: what a seed has happen to a training, and how each of it is done to a patient."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.patients import Patient

_PROGRAMS = Path(__file__).parent / "programs"
KINDS = ("node", "node", "node", "program", "freeze", "sn-2", "sentinel", "chain", "license", "identity")
SEATS = 4


@dataclass(frozen=True, slots=True)
class Stroke:
    """After `pause` seconds: the kill of a node, of a seat's node or program, or a freeze of `lasts` seconds."""

    pause: float
    kind: str
    seat: str
    lasts: float


@dataclass(frozen=True, slots=True)
class Chance:
    """A training and its strokes, which begin when round `after` is committed. `wide`: its model goes in shards."""

    seed: int
    wide: bool
    min_peers: int
    after: int
    strokes: tuple[Stroke, ...]

    @classmethod
    def of(cls, seed: int) -> Chance:
        """What follows from a seed."""
        draw = random.Random(seed)
        strokes = [
            Stroke(
                draw.choice((0.0, 0.1, 0.7, 1.5)),
                draw.choice(KINDS),
                f"sl-{draw.randint(1, SEATS)}",
                round(draw.uniform(0.5, 6.0), 1),
            )
            for _ in range(draw.randint(1, 3))
        ]
        return cls(seed, draw.random() < 0.5, draw.randint(2, SEATS), draw.randint(2, 5), tuple(strokes))

    def train(self, patient: Patient) -> Any:
        """Start it."""
        if self.wide:
            wide = {"COUNT": "3000000", "ROUNDS": "20", "PAUSE": "0.02"}
            return patient.swarm.train(
                _PROGRAMS / "wide.py", data=patient.data, env=wide, sync=1, min_peers=self.min_peers
            )
        small = {"KEEP": "1", "EPOCHS": "12", "PAUSE": "0.02"}
        return patient.swarm.train(
            _PROGRAMS / "returning.py", data=patient.data, env=small, sync=4, min_peers=self.min_peers, seed=1
        )

    def befall(self, patient: Patient, training: Any) -> None:
        """Do all of it; what is gone already is passed over."""
        for stroke in self.strokes:
            time.sleep(stroke.pause)
            if (pid := _victim(patient, training, stroke)) is None:
                continue
            if stroke.kind == "freeze":
                _signal(pid, signal.SIGSTOP)
                threading.Timer(stroke.lasts, _signal, (pid, signal.SIGCONT)).start()
            else:
                _signal(pid, signal.SIGKILL)


def _victim(patient: Patient, training: Any, stroke: Stroke) -> int | None:
    if stroke.kind == "program":
        found = patient.record(training, stroke.seat)
        return None if found is None else found.pid
    name = stroke.seat if stroke.kind in ("node", "freeze") else stroke.kind
    return next(node.pid for node in patient.swarm.status().nodes if node.name == name)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended meanwhile: that is the stroke then
        os.kill(pid, number)

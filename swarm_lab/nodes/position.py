"""Where a node is in its training, as its `state.json` says it: phase, since when, round, for whom it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from swarm_lab.facts.phases import WAITING_FOR_PEERS
from swarm_lab.facts.state import StateFile
from swarm_lab.rounds.messages import Phase

WRITE_S = 0.3

NAMES = {
    Phase.STARTING: WAITING_FOR_PEERS,
    Phase.FETCHING: WAITING_FOR_PEERS,
    Phase.TRAINING: "TRAINING",
    Phase.CHECKED_IN: "CHECKED_IN",
    Phase.PLANNED: "PLANNED",
    Phase.EXCHANGING: "EXCHANGING",
    Phase.CONFIRMING: "MERGED",
    Phase.FINISHED: "FINISHED",
    Phase.FAILED: "FAILED",
}
"""The machine's phases under the names that users see."""

# What is waited for here is that a peer is there at all, whatever the machine's phase.
_FOR_PEERS = frozenset({"peers", "start", "model", "transfer", "announce", "program"})


class Position:
    """Gathers what changes and writes it a few times a second at most. `clock` is unix seconds.

    A phase is a fact at once; what a node waits for is told by whoever knows that the wait has lasted.
    """

    def __init__(self, training: str, state: StateFile, clock: Callable[[], float] = time.time) -> None:
        self._training = training
        self._state = state
        self._clock = clock
        self._phase = self._machines = WAITING_FOR_PEERS
        self._message = ""
        self._facts: dict[str, Any] = {}
        self._written = 0.0
        self._dirty = False

    @property
    def phase(self) -> str:
        """The name that users see."""
        return self._phase

    def begins(self) -> None:
        """The program is being started."""
        self._facts = {"round": None, "reached": None, "waiting_for": None}
        self._move(WAITING_FOR_PEERS, "starting the program")
        self.flush(now=True)

    def enters(self, phase: str, round_: int | None = None) -> None:
        """A phase of the machine; `round_` is the one that it works for."""
        name = self._machines = NAMES[Phase(phase)]
        if round_ is not None:
            self._facts["round"] = round_
        self._facts["waiting_for"] = None
        self._move(name, "training" if name == "TRAINING" else "")

    def reached(self, what: str) -> None:
        """How far the last round is while the next one is trained: MERGED or COMMITTED."""
        self._facts["reached"] = what
        self._dirty = True

    def waits(self, kind: str, text: str, nodes: list[str], since: float) -> None:
        """It has waited for a while; `kind` is the machine's word for the wait, `since` unix seconds."""
        phase = WAITING_FOR_PEERS if kind in _FOR_PEERS else self._machines
        if phase != self._phase:
            self._phase, self._facts["phase_since"] = phase, since
        self._message, self._dirty = text, True
        self._facts["waiting_for"] = nodes or None

    def ends(self, phase: str, message: str = "") -> None:
        """FINISHED, or FAILED with its code."""
        self._facts["waiting_for"] = None
        self._move(phase, message)
        self.flush(now=True)

    def flush(self, *, now: bool = False) -> None:
        """Write what has changed, unless that was done a moment ago."""
        at = self._clock()
        if self._dirty and (now or not 0 <= at - self._written < WRITE_S):
            self._written, self._dirty = at, False
            text = f"{self._training}: {self._message}" if self._message else self._training
            write = self._state.update if now else self._state.update_soon
            write("training", text, training=self._training, phase=self._phase, **self._facts)

    def _move(self, phase: str, message: str) -> None:
        if phase != self._phase or "phase_since" not in self._facts:
            self._phase, self._facts["phase_since"] = phase, self._clock()
        self._message, self._dirty = message, True

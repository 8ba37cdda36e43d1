"""How long a node trained, waited and exchanged in each round; told a few times a second at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from swarm_lab.rounds.messages import Phase

TELL_S = 0.25

_KINDS = {
    Phase.TRAINING: "training_s",
    Phase.PLANNED: "exchanging_s",
    Phase.EXCHANGING: "exchanging_s",
    Phase.CONFIRMING: "exchanging_s",
}
_ALL = ("training_s", "waiting_s", "exchanging_s")


class Spent:
    """Adds up phases by the round that they are of. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now: tuple[str, int, float] | None = None
        self._rounds: dict[int, dict[str, float]] = {}
        self._told = -TELL_S

    def begins(self, round_: int) -> None:
        """The program has trained a batch: in its first round no phase says so."""
        if self._now is None:
            self.enters(Phase.TRAINING, round_)

    def enters(self, phase: str, round_: int) -> None:
        """The node has come to a phase of a round."""
        self._settle()
        self._now = _KINDS.get(Phase(phase), "waiting_s"), round_, self._clock()

    def committed(self, round_: int) -> Mapping[str, float] | None:
        """Seconds by kind of a round that is over; None where nothing is known, or one was told a moment ago."""
        self._settle()
        found = self._rounds.get(round_)
        self._rounds = {number: spent for number, spent in self._rounds.items() if number > round_}
        now = self._clock()
        if found is None or now - self._told < TELL_S:
            return None
        self._told = now
        return {kind: round(found.get(kind, 0.0), 4) for kind in _ALL}

    def _settle(self) -> None:
        if self._now is None:
            return
        kind, number, since = self._now
        now = self._clock()
        spent = self._rounds.setdefault(number, {})
        spent[kind] = spent.get(kind, 0.0) + now - since
        self._now = kind, number, now

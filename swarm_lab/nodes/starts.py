"""The starts of one training's program on one node: how many there were, and whether and when there is another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from swarm_lab.facts.state import write_json

FRUITLESS = 4  # starts in a row that gave no round, after which the program is given up
SHORT = 10  # starts in a row that lived shorter than `SHORT_S`, rounds or not: it dies of itself
SHORT_S = 10.0
_ACCIDENTS = 3  # so many short starts with rounds may be kills from outside
_LONGEST_PAUSE_S = 16.0


class Starts:
    """Counts in `starts.json` of the training's folder, so that it goes on counting when the node is started anew.

    A start in which a round was committed that holds this node's contribution was of use: kills that are far apart
    never use the starts up. Those that end soon come after longer and longer pauses.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / "starts.json"
        self._clock = clock
        self._fruitless = 0
        self._short = 0
        self._began = 0.0
        self.number = _read(self._path)

    def begin(self) -> int:
        """Another start; returns its number, 1 for the first one of the training on this node."""
        self.number += 1
        write_json(self._path, {"starts": self.number})
        self._began = self._clock()
        return self.number

    def killed(self, rounds: int) -> float | None:
        """The program was killed after `rounds` such rounds of this start: seconds until the next, None for never."""
        self._fruitless = 0 if rounds else self._fruitless + 1
        self._short = self._short + 1 if self._clock() - self._began < SHORT_S else 0
        if self._fruitless >= FRUITLESS or self._short >= SHORT:
            return None
        bad = max(min(self._fruitless, self._short), self._short - _ACCIDENTS)
        return min(_LONGEST_PAUSE_S, 2.0 ** (bad - 2)) if bad > 1 else 0.0


def resume_of(start: int, round_: int) -> dict[str, int]:
    """What `Welcome.resume` says: nothing to a training's first start, else its number and the round it starts from."""
    return {"start": start, "round": round_} if start > 1 else {}


def _read(path: Path) -> int:
    try:
        return max(0, int(json.loads(path.read_text("utf-8"))["starts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0

"""Where a program stands, on disk: what it needs beside the swarm's model to go on after it was killed."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarm_lab.callback.arrays import read_arrays, write_arrays
from swarm_lab.callback.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT = 3
# At the program's end: for the writing that still runs.
LAST_WRITE_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """The place after a release: round of the model, batches and epochs done, state that stays local.

    `epoch` is the number of whole epochs: the one that was begun is done again from its first batch.
    """

    round: int
    batches: int
    epoch: int
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Places:
    """The last places of one program in a folder of its own, written by a thread; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, log: logging.Logger) -> None:
        self._folder = folder
        self._log = log
        self._writing: threading.Thread | None = None
        self._told = False
        self.first = 0  # what a caller whose numbers begin anew adds to them

    @classmethod
    def at(cls, folder: str | None, log: logging.Logger) -> Places:
        """In the folder of this name; an empty one or None keeps nothing."""
        return cls(Path(folder) if folder else None, log)

    def keep(self, make: Callable[[], Place]) -> None:
        """Write what `make` returns, in the background; nothing while the last one is still being written.

        `make` runs at once and gives copies: the program goes on to change what it holds.
        """
        if self._folder is None or (self._writing is not None and self._writing.is_alive()):
            return
        place = make()
        self._writing = threading.Thread(target=self._write, args=(place,), name="swarm place", daemon=True)
        self._writing.start()

    def newest(self, at_most: int) -> Place | None:
        """The last place whose round is not above; later ones, of models that were never committed, are removed."""
        for path in reversed(self._paths()):
            number = _round(path)
            if number > at_most:
                path.unlink(missing_ok=True)
                continue
            try:
                arrays, facts = read_arrays(path)
                return Place(number, int(facts["batches"]), int(facts["epoch"]), arrays, facts["state"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._log.warning("the program's place in %s cannot be read: %s", path.name, error)
        return None

    def close(self) -> None:
        """Wait for the writing that still runs."""
        if self._writing is not None:
            self._writing.join(LAST_WRITE_S)

    def _write(self, place: Place) -> None:
        assert self._folder is not None
        facts = {"batches": place.batches, "epoch": place.epoch, "state": dict(place.facts)}
        try:
            json.dumps(facts)
            self._folder.mkdir(parents=True, exist_ok=True)
            write_arrays(self._folder / f"place-{place.round:09d}.safetensors", place.arrays, facts)
            for path in self._paths()[:-KEPT]:
                path.unlink(missing_ok=True)
        except (OSError, TypeError, ValueError, ModelError) as error:
            if not self._told:  # a full disk must not end the training, nor fill the log
                self._told = True
                self._log.warning("the program's place is not kept: %s", error)

    def _paths(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob("place-*.safetensors"))


def _round(path: Path) -> int:
    digits = path.stem.removeprefix("place-")
    return int(digits) if digits.isdecimal() else 0

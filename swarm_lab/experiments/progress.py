"""Progress of a notebook that trains on a swarm, in a shell: what its cells say, and every round as it is committed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from swarm_lab.facts.events import EventReader

_LOOK_S = 0.2
_QUIET_S = 2.0
# Pictures, papermill's own announcements, and what the watcher tells better.
_NOT_SHOWN = ("<Figure", "Executing", "Ending", "Input Notebook", "Output Notebook", "Working directory", "Training t-")


class Progress:
    """Prints lines with the seconds since the beginning; a line that is soon replaced stays in place on a terminal."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._since = clock()
        self._lock = threading.Lock()
        self._passing = False
        self._last_passing = -_QUIET_S

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._since

    def say(self, text: str) -> None:
        """A line that stays; a text of several lines, a table for example, stands below the time as it is."""
        with self._lock:
            self._clear()
            lines = text.rstrip().splitlines() or [""]
            whole = lines[0] if len(lines) == 1 else "\n" + "\n".join(f"    {line}" for line in lines)
            self._out.write(f"{self.seconds:6.1f} s  {whole}\n")
            self._out.flush()

    def passing(self, text: str) -> None:
        """A line that the next one replaces; where lines cannot be replaced, only one every two seconds is printed."""
        with self._lock:
            if self._out.isatty():
                self._clear()
                self._out.write(f"{self.seconds:6.1f} s  {text}"[:110])
                self._passing = True
            elif self.seconds - self._last_passing >= _QUIET_S:
                self._last_passing = self.seconds
                self._out.write(f"{self.seconds:6.1f} s  {text}\n")
            self._out.flush()

    def _clear(self) -> None:
        if self._passing:
            self._out.write("\r\x1b[K")
            self._passing = False


class Watcher:
    """Follows the events of a swarm that may not exist yet; use it as a context. `first_round` is in seconds."""

    def __init__(self, swarm_dir: Path, progress: Progress) -> None:
        self.first_round: float | None = None
        self._reader = EventReader(swarm_dir)
        self._progress = progress
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="swarm-lab progress", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._ended.wait(_LOOK_S):
            for event in self._reader.poll():
                self._show(event)

    def _show(self, event: Mapping[str, Any]) -> None:
        kind, training = event.get("event"), event.get("training")
        if kind == "swarm_up":
            self._progress.say(f"the swarm is up: {', '.join(event.get('nodes') or [])}")
        elif kind == "training_created":
            self._progress.say(f"training {training} on {', '.join(event.get('nodes') or [])}")
        elif kind == "round":
            if self.first_round is None:
                self.first_round = self._progress.seconds
                self._progress.say("the first round is committed")
            self._progress.passing(f"{training}: round {event.get('round')}{_means(event)}")
        elif kind == "node_failed":
            self._progress.say(f"{training}: {event.get('node')} failed: {event.get('message')}")
        elif kind == "finished":
            self._progress.say(f"{training}: {event.get('state')} after {event.get('rounds')} rounds")


class CellLog(logging.Handler):
    """Shows what papermill logs of a running notebook: its cells' texts, without pictures and announcements."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Show one output."""
        text = record.getMessage().rstrip()
        if text.strip() and not text.lstrip().startswith(_NOT_SHOWN):
            self._progress.say(text.strip("\n"))


def _means(event: Mapping[str, Any]) -> str:
    metrics = (event.get("metrics") or {}).values()
    parts = []
    for name in ("loss", "metric"):
        values = [said[name] for said in metrics if said and said.get(name) is not None]
        if values:
            parts.append(f"{name} {sum(values) / len(values):.3f}")
    return f", {', '.join(parts)} (mean of the nodes)" if parts else ""

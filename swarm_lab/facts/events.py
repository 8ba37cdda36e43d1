"""The facts of a swarm, one JSON object a line with a sequence number: append, read, follow."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from swarm_lab.facts.views import TrainingView, fold

__all__ = [
    "EVENT_VERSION",
    "Event",
    "EventLog",
    "EventReader",
    "TrainingView",
    "conclude",
    "fold",
    "follow",
    "parse",
    "read",
]

EVENT_VERSION = 1
_LOCK_LIMIT_S = 30.0
_LOCK_POLL_S = 0.002  # whoever holds it writes a line: a node's event loop must not sleep the usual 50 ms for that

Event = dict[str, Any]


class EventReader:
    """Reads what was added to a swarm's events since it last looked; a half written line waits for next time."""

    def __init__(self, swarm_dir: Path, after: int = 0) -> None:
        self.path = swarm_dir / "events.jsonl"
        self._offset = 0
        self._after = after

    @property
    def last(self) -> int:
        """The sequence number of the last event read."""
        return self._after

    def poll(self) -> list[Event]:
        """The events added since the last call, in order; never waits."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                block = file.read()
        except FileNotFoundError:
            return []
        end = block.rfind(b"\n") + 1
        self._offset += end
        found = [event for line in block[:end].splitlines() if (event := parse(line)) is not None]
        fresh = [event for event in found if event["seq"] > self._after]
        if fresh:
            self._after = int(fresh[-1]["seq"])
        return fresh


class EventLog:
    """Appends facts to a swarm's `events.jsonl`; any of its processes may, one at a time by a file lock."""

    def __init__(self, swarm_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = swarm_dir / "events.jsonl"
        self._clock = clock
        self._lock = FileLock(str(self.path) + ".lock", timeout=_LOCK_LIMIT_S, mode=0o600)
        self._reader = EventReader(swarm_dir)
        self._keys: set[str] = set()
        self._thread = threading.Lock()

    def append(self, event: str, **fields: Any) -> int:
        """Add a fact; returns its sequence number. Raises `OSError` when the disk does not take it."""
        with self._thread, self._lock.acquire(poll_interval=_LOCK_POLL_S):
            self._catch_up()
            return self._write(event, fields)

    def append_once(self, key: str, event: str, **fields: Any) -> int | None:
        """Add a fact that several would report, like a round: the first with `key` writes, others get None."""
        with self._thread, self._lock.acquire(poll_interval=_LOCK_POLL_S):
            self._catch_up()
            if key in self._keys:
                return None
            seq = self._write(event, {"key": key, **fields})
            self._keys.add(key)
            return seq

    def _catch_up(self) -> None:
        self._keys.update(event["key"] for event in self._reader.poll() if "key" in event)

    def _write(self, event: str, fields: dict[str, Any]) -> int:
        seq = self._reader.last + 1
        record = {"v": EVENT_VERSION, "seq": seq, "time": self._clock(), "event": event, **fields}
        line = json.dumps(_clean(record), separators=(",", ":"), default=str).encode() + b"\n"
        with self.path.open("ab") as file:
            if file.tell() and not _ends_line(self.path):
                # A writer died in the middle of its line: that stays behind as a line that nobody reads.
                line = b"\n" + line
            file.write(line)
        return seq


def read(swarm_dir: Path, after: int = 0) -> Iterator[Event]:
    """The facts so far with a sequence number above `after`."""
    yield from EventReader(swarm_dir, after).poll()


def follow(
    swarm_dir: Path,
    after: int = 0,
    limit_s: float = 3600.0,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """The facts as they come; ends when none came for `limit_s` seconds."""
    reader = EventReader(swarm_dir, after)
    until = clock() + limit_s
    while clock() < until:
        found = reader.poll()
        if found:
            yield from found
            until = clock() + limit_s
        else:
            sleep(0.05)


def conclude(swarm_dir: Path, training: str) -> Event | None:
    """Add the `finished` event once every node of the training has ended; whoever sees it last calls this.

    Returns the training's `finished` event where there is one, else None.
    """
    events = list(read(swarm_dir))
    view = fold(events).get(training)
    if view is None:
        return None
    if not view.over:
        outcome = view.outcome()
        if outcome is None:
            return None
        EventLog(swarm_dir).append_once(view.key("finished"), "finished", training=training, **outcome)
        events = list(read(swarm_dir))
    ends = [e for e in events if e["event"] == "finished" and e.get("training") == training]
    return ends[-1] if ends else None


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _clean(value: Any) -> Any:
    """NaN and infinities as null: JSON has neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return value


def parse(line: bytes) -> Event | None:
    """A line of `events.jsonl`; None for one that is not whole."""
    try:
        found = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    whole = isinstance(found, dict) and isinstance(found.get("seq"), int) and "event" in found
    return found if whole else None

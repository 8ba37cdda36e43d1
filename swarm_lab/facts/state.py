"""What a node says of itself: `state.json`, replaced atomically, so that a reader never sees half of it."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from swarm_lab.facts.retry import later

log = logging.getLogger(__name__)

STATE_VERSION = 1

StateName = Literal["starting", "waiting", "ready", "training", "degraded", "failed", "stopped"]
STATES: tuple[StateName, ...] = get_args(StateName)
_writer = ThreadPoolExecutor(1, "state-file")


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node's own word: its state, a line for people, since when (unix seconds), and named facts beside it."""

    state: StateName
    message: str
    since: float
    extra: Mapping[str, Any] = field(default_factory=dict)


class StateFile:
    """A node's `state.json`, which only the node itself writes. Calls from several threads are fine.

    A disk that does not take it costs nobody the node: its last word is written again until it stands.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        run: Callable[[Callable[[], None]], object] = _writer.submit,
    ) -> None:
        """`run` takes what `update_soon` leaves to another thread."""
        self.path = path
        self._clock = clock
        self._run = run
        self._queued = False
        self._lock = threading.Lock()
        self._extra: dict[str, Any] = {}
        self._state: StateName | None = None
        self._message = ""
        self._since = 0.0
        self._unwritten: NodeState | None = None

    def update(self, state: StateName, message: str = "", **extra: Any) -> NodeState:
        """Say where the node is. Facts given before stay until given again; one given as None goes away."""
        with self._lock:
            now = self._say(state, message, extra)
            self._write(now)
            return now

    def update_soon(self, state: StateName, message: str = "", **extra: Any) -> None:
        """`update` without waiting for the disk, for an event loop; what is said in between is written with it."""
        with self._lock:
            self._say(state, message, extra)
            queued, self._queued = self._queued, True
        if not queued:
            self._run(self._write_latest)

    def amend(self, **extra: Any) -> NodeState:
        """Change facts and leave state and message as they are."""
        with self._lock:
            state, message = self._state or "starting", self._message
        return self.update(state, message, **extra)

    def _say(self, state: StateName, message: str, extra: Mapping[str, Any]) -> NodeState:
        if state not in STATES:
            raise ValueError(f"a node's state is one of {', '.join(STATES)}, not {state!r}")
        if state != self._state:
            self._state, self._since = state, self._clock()
        self._message = message
        merged = {**self._extra, **extra}
        self._extra = {key: value for key, value in merged.items() if value is not None}
        return NodeState(state, message, self._since, dict(self._extra))

    def _write_latest(self) -> None:
        with self._lock:
            self._queued = False
            self._write(self._say(self._state or "starting", self._message, {}))

    def _write(self, now: NodeState) -> None:
        waiting, self._unwritten = self._unwritten is not None, None
        try:
            write_json(self.path, {"v": STATE_VERSION, **asdict(now)})
        except OSError as error:
            self._unwritten = now
            if not waiting:
                log.warning("the node's state cannot be written: %s", error)
                self._again_later()

    def _again_later(self) -> None:
        later(self._again)

    def _again(self) -> None:
        with self._lock:
            if self._unwritten is not None:
                self._write(self._unwritten)
            if self._unwritten is not None:
                self._again_later()


def read_state(path: Path) -> NodeState | None:
    """A node's last word; None where it has said nothing yet, or in a version that this one does not read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not isinstance(found, dict) or found.get("v") != STATE_VERSION or found.get("state") not in STATES:
        return None
    since = float(found.get("since", 0.0))
    return NodeState(found["state"], str(found.get("message", "")), since, found.get("extra") or {})


def write_json(path: Path, value: Any, *, mode: int = 0o600) -> None:
    """Replace `path` by `value` as JSON, as `write_text` does."""
    write_text(path, json.dumps(value), mode=mode)


def write_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace `path` by `text` in one step: a reader sees the old or the new, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
    except BaseException:  # also Ctrl-C: half a file is not left behind
        part.unlink(missing_ok=True)
        raise

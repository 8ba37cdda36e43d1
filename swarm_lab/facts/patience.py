"""Facts of a node that goes on while its disk is full: kept in memory, written in their order once there is room."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarm_lab.facts.events import EventLog
from swarm_lab.facts.retry import later

log = logging.getLogger(__name__)

# An hour of one training's facts; of a longer wait the oldest are lost.
MOST_KEPT = 20_000


class PatientLog(EventLog):
    """An `EventLog` that does not raise when the disk takes nothing: such facts are written later, with their time.

    Its calls return the sequence number, 0 for a fact that is kept; `append_once` None for what another has written.
    """

    def __init__(
        self,
        swarm_dir: Path,
        clock: Callable[[], float] = time.time,
        retry: Callable[[Callable[[], None]], None] = later,
    ) -> None:
        super().__init__(swarm_dir, clock)
        self._retry = retry
        self._kept: deque[tuple[str | None, str, dict[str, Any]]] = deque(maxlen=MOST_KEPT)
        self._waiting = False
        self._order = threading.RLock()

    def append(self, event: str, **fields: Any) -> int:
        """Add a fact."""
        return self._add(None, event, fields) or 0

    def append_once(self, key: str, event: str, **fields: Any) -> int | None:
        """Add a fact that several would report."""
        return self._add(key, event, fields)

    def _add(self, key: str | None, event: str, fields: dict[str, Any]) -> int | None:
        with self._order:
            if not self._kept:
                try:
                    return self._put(key, event, fields)
                except OSError as error:
                    log.warning("facts cannot be written and are kept: %s", error)
            self._kept.append((key, event, {"time": self._clock(), **fields}))
            if not self._waiting:
                self._waiting = True
                self._retry(self._again)
            return 0

    def _again(self) -> None:
        with self._order:
            try:
                while self._kept:
                    self._put(*self._kept[0])
                    self._kept.popleft()
            except OSError:
                self._retry(self._again)
                return
            self._waiting = False

    def _put(self, key: str | None, event: str, fields: dict[str, Any]) -> int | None:
        return super().append(event, **fields) if key is None else super().append_once(key, event, **fields)

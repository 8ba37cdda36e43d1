"""Logs that clients follow: each is read once for all who follow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.jupyter.server.logpages import lines_of

_BLOCK = 256 << 10


class Follower(Protocol):
    """Who may follow a log; compared by identity."""


class _Log:
    """A log that is followed, and by whom."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = self.size
        self.followers: dict[Any, int] = {}  # each with where it goes on, until it has caught up

    @property
    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


class Following:
    """Who follows which log. `follow` and `forget` come from the event loop, `poll` from the reader's thread."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, str], _Log] = {}

    def follow(self, client: Any, swarm: str, node: str, start: int | None) -> None:
        """From `start`, a byte offset, or from the end."""
        key = swarm, node
        log = self._logs.get(key) or _Log(SwarmPaths.of(swarm).log(node))
        log.followers = {**log.followers, client: log.size if start is None else max(start, 0)}
        self._logs = {**self._logs, key: log}

    def unfollow(self, client: Any, swarm: str, node: str) -> None:
        """No more of this log."""
        log = self._logs.get((swarm, node))
        if log is not None:
            log.followers = {other: start for other, start in log.followers.items() if other is not client}
            if not log.followers:
                self._logs = {key: found for key, found in self._logs.items() if found is not log}

    def forget(self, client: Any) -> None:
        """No more of any."""
        for swarm, node in list(self._logs):
            self.unfollow(client, swarm, node)

    def poll(self) -> list[tuple[Any, dict[str, Any]]]:
        """What is new, for each follower; those at the same place share what was read."""
        told = []
        for (swarm, node), log in self._logs.items():
            size, read = log.size, {}
            for client, start in list(log.followers.items()):
                if start == size:
                    continue
                begin = start if start < size else 0  # a shorter file is a new one: it was rotated
                if begin not in read:
                    read[begin] = _lines(log.path, begin)
                lines, end = read[begin]
                if end != start and client in log.followers:
                    log.followers[client] = end
                if lines:
                    told.append((client, {"type": "log", "swarm": swarm, "node": node, "lines": lines, "size": size}))
        return told


def _lines(path: Path, start: int) -> tuple[list[Any], int]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            block = file.read(_BLOCK)
    except OSError:
        return [], start
    end = block.rfind(b"\n") + 1
    if not end and len(block) == _BLOCK:
        end = len(block)  # a line without an end is cut
    return lines_of(block[:end], start), start + end

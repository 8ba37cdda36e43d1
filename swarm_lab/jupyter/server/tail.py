"""The facts of one swarm, read once each as they are added, with an index so that any page of them is found again."""

from __future__ import annotations

from pathlib import Path

from swarm_lab.facts.events import Event, parse

PAGE = 2000
_BLOCK = 4 << 20
_EVERY = 256
_HEAD = 128


class FactTail:
    """Reads `events.jsonl`. `last` is the number of the last fact read; `rewound` counts how often it began anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = 0
        self.rewound = 0
        self._seen = (0, 0, 0)
        self._head = b""
        self._offset = 0
        self._index: list[tuple[int, int]] = []  # (number of a fact, where its line begins), every 256th

    def poll(self) -> list[Event]:
        """The facts added since the last call; all of them where the file is another one than before."""
        try:
            found = self.path.stat()
            seen = found.st_ino, found.st_size, found.st_mtime_ns
            return [] if seen == self._seen else self._read(seen)
        except FileNotFoundError:
            return []

    def _read(self, seen: tuple[int, int, int]) -> list[Event]:
        found: list[Event] = []
        with self.path.open("rb") as file:
            # A swarm that was removed and made again has other first lines, if not another inode and less of them.
            head = file.read(_HEAD)
            if seen[1] < self._offset or not head.startswith(self._head):
                self.last, self._offset, self._index = 0, 0, []
                self.rewound += 1
            self._seen, self._head = seen, head
            file.seek(self._offset)
            # A line that is longer than a block, or half written, waits for its end.
            while lines := _whole(file.read(_BLOCK)):
                found += self._take(lines)
                file.seek(self._offset)
        return found

    def _take(self, block: bytes) -> list[Event]:
        found = []
        for line in block.splitlines(keepends=True):
            event = parse(line)
            if event is not None and event["seq"] > self.last:
                if not self._index or event["seq"] >= self._index[-1][0] + _EVERY:
                    self._index.append((event["seq"], self._offset))
                self.last = event["seq"]
                found.append(event)
            self._offset += len(line)
        return found

    def page(self, since: int, limit: int = PAGE) -> list[Event]:
        """Up to `limit` facts after number `since`."""
        start = 0
        for number, offset in self._index:
            if number > since:
                break
            start = offset
        found: list[Event] = []
        if not self.path.exists():
            return found
        with self.path.open("rb") as file:
            file.seek(start)
            while len(found) < limit and file.tell() < self._offset:
                event = parse(file.readline())
                if event is not None and event["seq"] > since:
                    found.append(event)
        return found


def _whole(block: bytes) -> bytes:
    """The lines of a block that have their end."""
    return block[: block.rfind(b"\n") + 1]

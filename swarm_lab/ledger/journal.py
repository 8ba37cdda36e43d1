"""An SN's memory of the chain: each signed transaction before it is relayed, and the order in which all were mined.

One JSON object a line, synced to disk before `relay` and `mined` return. A chain that comes back empty gets them again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm_lab.errors import JournalDamaged

log = logging.getLogger(__name__)

VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A signed transaction: its hash and its bytes, both `0x` hex."""

    tx: str
    raw: str


class Journal:
    """Appends to one file. Its methods block for a disk write: call them in a thread; one at a time."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut by a crash is dropped. Raises `JournalDamaged`."""
        self._path = path
        self._raw: dict[str, str] = {}
        self._mined: dict[str, None] = {}
        self._refused: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        length = self._read()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(descriptor, length)
        os.lseek(descriptor, 0, os.SEEK_END)
        self._descriptor = descriptor

    @property
    def mined(self) -> list[Entry]:
        """What the chain had, in its order."""
        return [Entry(tx, self._raw[tx]) for tx in self._mined]

    @property
    def relayed(self) -> list[Entry]:
        """What was relayed, not refused, and not seen in a block, in the order of relaying."""
        return [Entry(tx, raw) for tx, raw in self._raw.items() if tx not in self._mined and tx not in self._refused]

    def add_relayed(self, entry: Entry) -> None:
        """Note a transaction that is about to be relayed."""
        if entry.tx not in self._raw:
            self._append([{"relayed": entry.tx, "raw": entry.raw}])
        elif entry.tx in self._refused:
            self._append([{"relayed": entry.tx}])

    def add_refused(self, tx: str) -> None:
        """The chain did not take it."""
        if tx not in self._mined:
            self._append([{"refused": tx}])

    def add_mined(self, entries: Iterable[Entry]) -> None:
        """Note transactions in the order in which blocks hold them; known ones are skipped."""
        lines = [
            {"mined": e.tx} if e.tx in self._raw else {"mined": e.tx, "raw": e.raw}
            for e in entries
            if e.tx not in self._mined
        ]
        if lines:
            self._append(lines)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, lines: list[dict[str, Any]]) -> None:
        block = b"".join(json.dumps({"v": VERSION, **line}).encode() + b"\n" for line in lines)
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:  # what a full disk took of the block would spoil the line after it
            os.ftruncate(self._descriptor, start)
            raise
        for line in lines:
            self._apply(line)

    def _apply(self, line: dict[str, Any]) -> None:
        tx = line.get("relayed") or line.get("mined") or line["refused"]
        if "raw" in line:
            self._raw[tx] = line["raw"]
        if "refused" in line:
            self._refused.add(tx)
            return
        self._refused.discard(tx)
        if tx not in self._raw:
            raise KeyError(tx)
        if "mined" in line:
            self._mined[tx] = None

    def _read(self) -> int:
        """Fold the file; returns the number of bytes that are whole lines."""
        try:
            block = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        end = block.rfind(b"\n") + 1
        if end != len(block):
            log.warning("the last line of %s was cut off; it is dropped", self._path.name)
        for number, text in enumerate(block[:end].splitlines(), 1):
            try:
                line = json.loads(text)
                if line["v"] != VERSION:
                    raise JournalDamaged(f"{self._path} has version {line['v']}; this package reads {VERSION}")
                self._apply(line)
            except (ValueError, KeyError, TypeError) as error:
                raise JournalDamaged(f"line {number} of {self._path} cannot be read") from error
        return end

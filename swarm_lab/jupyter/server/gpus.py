"""The GPUs of this machine, as `nvidia-smi` tells them; there are none where it is not installed."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Collection

from swarm_lab.jupyter.server.models import GpuInfo

log = logging.getLogger(__name__)

_LIMIT_S = 5.0
_MIB = 1 << 20
_CARDS = "--query-gpu=index,name,memory.total,memory.used,utilization.gpu"
_PROGRAMS = "--query-compute-apps=pid,used_memory"
_FORMAT = "--format=csv,noheader,nounits"


class Gpus:
    """What `nvidia-smi` said last. `ask` may take a second; the rest answers at once."""

    def __init__(self, command: str | None = None) -> None:
        self._command = command or shutil.which("nvidia-smi")
        self._cards: list[GpuInfo] = []
        self._memory: dict[int, int] = {}
        self._shares: dict[int, float] = {}

    @property
    def there(self) -> bool:
        """Whether there is anything to ask."""
        return self._command is not None

    def ask(self) -> None:
        """Ask for cards, the memory of each program and its share of its card; what fails leaves nothing behind."""
        self._cards = cards(self._say(_CARDS, _FORMAT))
        self._memory = memory_by_program(self._say(_PROGRAMS, _FORMAT))
        self._shares = shares_by_program(self._say("pmon", "-c", "1", "-s", "u"))

    def all(self) -> list[GpuInfo]:
        """The cards."""
        return self._cards

    def of(self, pids: Collection[int]) -> tuple[float | None, int | None]:
        """Percent of a card and bytes that these processes use together; None where they use none."""
        shares = [self._shares[pid] for pid in pids if pid in self._shares]
        memory = [self._memory[pid] for pid in pids if pid in self._memory]
        return (sum(shares) if shares else None), (sum(memory) if memory else None)

    def _say(self, *arguments: str) -> str:
        if self._command is None:
            return ""
        try:
            done = subprocess.run(
                [self._command, *arguments], capture_output=True, text=True, timeout=_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.debug("nvidia-smi does not answer: %s", error)
            return ""
        return done.stdout if done.returncode == 0 else ""


def cards(text: str) -> list[GpuInfo]:
    """Lines of index, name, memory, memory in use (MiB), load (percent)."""
    found = []
    for row in _rows(text, 5):
        index, name, total, used, load = row
        memory = _number(total), _number(used)
        if index.isdigit():
            found.append(
                GpuInfo(
                    index=int(index),
                    name=name,
                    memory=int((memory[0] or 0) * _MIB),
                    memory_used=int((memory[1] or 0) * _MIB),
                    load=_number(load),
                )
            )
    return found


def memory_by_program(text: str) -> dict[int, int]:
    """Lines of pid and memory in use (MiB), by pid in bytes; a program may be on several cards."""
    found: dict[int, int] = {}
    for pid, memory in _rows(text, 2):
        used = _number(memory)
        if pid.isdigit() and used is not None:
            found[int(pid)] = found.get(int(pid), 0) + int(used * _MIB)
    return found


def shares_by_program(text: str) -> dict[int, float]:
    """`pmon`: columns card, pid, type, share of the card (percent, `-` where it is not known)."""
    found: dict[int, float] = {}
    for line in text.splitlines():
        columns = line.split()
        if not line.startswith("#") and len(columns) > 3 and columns[1].isdigit():
            share = _number(columns[3])
            if share is not None:
                found[int(columns[1])] = found.get(int(columns[1]), 0.0) + share
    return found


def _rows(text: str, columns: int) -> list[list[str]]:
    rows = ([part.strip() for part in line.split(",")] for line in text.splitlines())
    return [row for row in rows if len(row) == columns]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # `[N/A]`, `-`

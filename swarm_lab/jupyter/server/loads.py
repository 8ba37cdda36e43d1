"""What processes use: processor and memory of each node with its program, and of this machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from swarm_lab.facts.process import ProcessRecord
from swarm_lab.jupyter.server.gpus import Gpus
from swarm_lab.jupyter.server.models import HostInfo, Load

Key = tuple[str, str]
"""A swarm and a node of it."""


class Loads:
    """Samples loads; a processor's share is counted since the sample before. One thread uses it."""

    def __init__(self, gpus: Gpus) -> None:
        self._gpus = gpus
        self._spent: dict[tuple[int, float], float] = {}
        self._at = time.monotonic()

    def sample(self, roots: Mapping[Key, Sequence[ProcessRecord]]) -> dict[Key, Load]:
        """The load of the processes of each node, with all that they started."""
        now = time.monotonic()
        seconds, self._at = max(now - self._at, 0.001), now
        processes, children = _all() if roots else ({}, {})
        spent: dict[tuple[int, float], float] = {}
        loads = {}
        for key, records in roots.items():
            pids = _below((record.pid for record in records if _is(record, processes.get(record.pid))), children)
            cpu, memory = 0.0, 0
            for pid in pids:
                used = self._used(processes[pid], spent)
                if used is not None:
                    cpu, memory = cpu + used[0], memory + used[1]
            gpu, gpu_memory = self._gpus.of(pids)
            loads[key] = Load(cpu=round(100 * cpu / seconds, 1), memory=memory, gpu=gpu, gpu_memory=gpu_memory)
        self._spent = spent
        return loads

    def _used(self, process: psutil.Process, spent: dict[tuple[int, float], float]) -> tuple[float, int] | None:
        """Seconds of processor time since the sample before, and resident bytes; None for a process that is gone."""
        try:
            times, memory = process.cpu_times(), process.memory_info()
            key = process.pid, process.create_time()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        total = spent[key] = times.user + times.system
        return max(total - self._spent.get(key, total), 0.0), memory.rss

    def host(self, data: Path) -> HostInfo:
        """This machine; `data` lies on the disk that swarms are on."""
        memory = psutil.virtual_memory()
        return HostInfo(
            name=socket.gethostname(),
            cpus=psutil.cpu_count() or 1,
            cpu=psutil.cpu_percent(interval=None),
            memory=memory.total,
            memory_used=memory.total - memory.available,
            disk_free=psutil.disk_usage(str(_that_exists(data))).free,
            gpus=self._gpus.all(),
        )


def _all() -> tuple[dict[int, psutil.Process], dict[int, list[int]]]:
    """All processes of this machine and who started whom, in one pass."""
    processes: dict[int, psutil.Process] = {}
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter():  # keeps what it has made, with pid and start time
        try:
            children.setdefault(process.ppid(), []).append(process.pid)
            processes[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return processes, children


def _is(record: ProcessRecord, process: psutil.Process | None) -> bool:
    return process is not None and abs(process.create_time() - record.start_time) <= 1.0


def _below(pids: Iterable[int], children: Mapping[int, Sequence[int]]) -> set[int]:
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def _that_exists(path: Path) -> Path:
    return next(part for part in (path, *path.parents) if part.exists())

"""The machine that numbers are of: what it is, how loaded it was, and what the bench's own processes took of it."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

OWN_NETWORK = "SWARM_BENCH_NETWORK"
# Reading a process's memory holds it up: the watch takes a twentieth of its time at most.
_SHARE = 20
_EVERY_S = 0.1


def facts() -> dict[str, Any]:
    """Processor, cores, memory, load and what others use at this moment."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []  # fmt: skip
    memory = psutil.virtual_memory()
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory.total / 1e9, 1),
        "memory_available_gb": round(memory.available / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": load(),
        "other_cpu_pct": psutil.cpu_percent(1.0),
        "own_network": own_network(),
    }


def load() -> float:
    """Processes that ran or waited over the last minute."""
    return round(os.getloadavg()[0], 2)


def wait_until_quiet(limit_s: float, busy_pct: float = 20.0) -> None:
    """Wait until the processors are nearly idle for three seconds, `limit_s` at most."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until and psutil.cpu_percent(3.0) > busy_pct:
        continue


def own_network() -> bool:
    """Whether loopback is the bench's alone."""
    return os.environ.get(OWN_NETWORK) == "1"


def enter_own_network(arguments: list[str]) -> None:
    """Start the bench again in a network namespace, where that is allowed: then loopback counts its bytes alone."""
    if own_network() or sys.platform != "linux" or os.geteuid() != 0:
        return
    inside = 'ip link set lo up && exec "$0" "$@"'
    command = ["unshare", "-n", "--", "sh", "-c", inside, sys.executable, "-m", "tests.bench", *arguments]
    if _can_unshare():
        os.environ[OWN_NETWORK] = "1"
        sys.stdout.flush()
        os.execvp(command[0], command)


def _can_unshare() -> bool:
    import shutil
    import subprocess

    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-n", "--", "ip", "link", "set", "lo", "up"], capture_output=True, timeout=10, check=False
    )
    return tried.returncode == 0


class Watch:
    """Samples memory (PSS: shared pages count once) and processor time of the processes that `find` names.

    Use it as a context manager; `found` is what it saw. Peaks shorter than its steps are missed, and what a process did
    after the last sample counts as work of others.
    """

    def __init__(self, find: Callable[[], Iterable[psutil.Process]]) -> None:
        self._find = find
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._peak = 0
        self._most = 0
        self._cpu: dict[int, float] = {}
        self._samples = 0
        self.found: dict[str, Any] = {}

    def __enter__(self) -> Watch:
        self._load, self._began, self._busy = load(), time.monotonic(), busy()
        self._mine = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        wall = max(time.monotonic() - self._began, 1e-3)
        own = sum(self._cpu.values()) + time.process_time() - self._mine
        others = max(busy() - self._busy - own, 0.0) / (wall * (os.cpu_count() or 1))
        self.found = {
            "load_before": self._load,
            "other_cpu_pct": round(100 * others, 1),
            "pss_mb": round(self._peak / 1e6),
            "processes": self._most,
            "memory_samples": self._samples,
        }

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self._sample()
            self._over.wait(max(_EVERY_S, (_SHARE - 1) * (time.monotonic() - began)))

    def _sample(self) -> None:
        whole = 0
        processes = list(self._find())
        for process in processes:
            try:
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
                whole += pss(process.pid)
            except (psutil.Error, OSError):
                continue
        self._samples += 1
        self._most = max(self._most, len(processes))
        self._peak = max(self._peak, whole)


def pss(pid: int) -> int:
    """A process's proportional share of memory in bytes; resident size where the kernel does not tell."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if not rollup.exists():
        return int(psutil.Process(pid).memory_info().rss)
    lines = rollup.read_text("ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def busy() -> float:
    """Seconds that all processors have worked since the machine started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "steal", 0.0) \
        - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # fmt: skip

"""What a test session must not leave behind: processes, found by a token that they inherit and by their records.

The token is an environment variable, so that it finds a daemon whose parent is long gone; the records are the
`process.json` files below the session's data directory, for a process that was started with a bare environment.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil

TOKEN = "SWARM_LAB_TEST_SESSION"
GRACE_S = 5.0


def leftovers(token: str, data_home: Path, spared: set[int]) -> list[psutil.Process]:
    """The session's processes that still run `GRACE_S` seconds after its last test."""
    found = {process.pid: process for process in [*_with_token(token), *_recorded(data_home)]}
    for pid in spared | {os.getpid()}:
        found.pop(pid, None)
    found = {pid: process for pid, process in found.items() if not _is_own_tracker(process)}
    _gone, alive = psutil.wait_procs(list(found.values()), timeout=GRACE_S)
    return [process for process in alive if _is_running(process)]


def describe(process: psutil.Process) -> str:
    """One line for the report."""
    try:
        return f"pid {process.pid}: {' '.join(process.cmdline())[:160]}"
    except psutil.Error:
        return f"pid {process.pid}"


def end(processes: list[psutil.Process]) -> None:
    """Kill each by its pid."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(processes, timeout=GRACE_S)


def _with_token(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token and _is_running(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _recorded(data_home: Path) -> list[psutil.Process]:
    found = []
    for path in data_home.glob("**/process.json"):
        try:
            record = json.loads(path.read_text("utf-8"))
            process = psutil.Process(int(record["pid"]))
            if abs(process.create_time() - float(record["start_time"])) < 1.0 and _is_running(process):
                found.append(process)
        except (OSError, ValueError, KeyError, psutil.Error):
            continue
    return found


def _is_own_tracker(process: psutil.Process) -> bool:
    """Python keeps one beside a process that has used a pool of processes; it ends with this one."""
    try:
        return process.ppid() == os.getpid() and "multiprocessing.resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

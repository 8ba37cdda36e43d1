"""Which process a node is: pid and start time on disk, so that nobody else's process is ever taken for it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from swarm_lab.facts.state import write_json

# Set for every process of a swarm and inherited by its children, which write no record of their own.
SWARM_VARIABLE = "SWARM_LAB_SWARM_DIR"
# Start times come from the boot time and clock ticks; a clock that is being slewed moves them a little.
_TOLERANCE_S = 1.0


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process: `start_time` (unix seconds) tells it from a later one with the same pid."""

    pid: int
    start_time: float

    def process(self) -> psutil.Process | None:
        """The process if it still runs, else None (also for a zombie: it holds nothing any more)."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.start_time) <= _TOLERANCE_S
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None


@dataclass(frozen=True, slots=True)
class Look:
    """A process that runs, as one look at it shows; `frozen` is stopped by a signal."""

    pid: int
    start_time: float
    frozen: bool


def look(pid: int) -> Look | None:
    """The process with this pid; None where none runs any more."""
    try:
        found = psutil.Process(pid)
        status = found.status()
        if status == psutil.STATUS_ZOMBIE:
            return None
        return Look(pid, found.create_time(), status == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return None


def look_at(record: ProcessRecord) -> Look | None:
    """The process of a record; None where it does not run any more."""
    found = look(record.pid)
    return found if found is not None and abs(found.start_time - record.start_time) <= _TOLERANCE_S else None


def record_of(pid: int) -> ProcessRecord:
    """The record of a running process; raises `psutil.NoSuchProcess`."""
    return ProcessRecord(pid, psutil.Process(pid).create_time())


def record_self(directory: Path) -> ProcessRecord:
    """Write the caller's `process.json` into a node's directory; an exec afterwards changes nothing."""
    record = record_of(os.getpid())
    write_record(directory / "process.json", record)
    return record


def write_record(path: Path, record: ProcessRecord) -> None:
    """Write a record for a process that does not write its own."""
    write_json(path, {"pid": record.pid, "start_time": record.start_time})


def read_record(path: Path) -> ProcessRecord | None:
    """The record in a file, None where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return ProcessRecord(int(found["pid"]), float(found["start_time"]))
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def recorded(swarm_dir: Path) -> list[psutil.Process]:
    """Every running process that the swarm's records name: supervisor, nodes and what they recorded."""
    paths = [swarm_dir / "supervisor.json", *swarm_dir.glob("nodes/*/process.json")]
    paths += swarm_dir.glob("nodes/*/trainings/*/process.json")
    records = (read_record(path) for path in paths)
    return [found for record in records if record is not None and (found := record.process()) is not None]


def marked(swarm_dir: Path) -> list[psutil.Process]:
    """Every running process of this user that was started with the swarm's directory in its environment."""
    mine, wanted = os.getuid(), str(swarm_dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.uids().real == mine and _mark(process) == wanted:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def all_of(swarm_dir: Path) -> list[psutil.Process]:
    """Whatever still runs of a swarm: recorded processes, their descendants, and marked ones; each once."""
    found = {process.pid: process for process in [*recorded(swarm_dir), *marked(swarm_dir)]}
    for process in list(found.values()):
        try:
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.NoSuchProcess:
            continue
    found.pop(os.getpid(), None)
    return [process for process in found.values() if _runs(process)]


def end(processes: Iterable[psutil.Process], *, term_s: float = 5.0, kill_s: float = 5.0) -> list[psutil.Process]:
    """SIGTERM, then SIGKILL after `term_s` seconds; returns what still runs `kill_s` seconds after that."""
    alive = list(processes)
    for process in alive:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(alive, timeout=term_s)
    alive = [process for process in alive if _runs(process)]
    for process in alive:
        _signal(process, kill=True)
    _, alive = psutil.wait_procs(alive, timeout=kill_s)
    return [process for process in alive if _runs(process)]


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _mark(process: psutil.Process) -> str | None:
    return process.environ().get(SWARM_VARIABLE)

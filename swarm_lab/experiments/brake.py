"""Holds a node up for a while: `python -m swarm_lab.experiments.brake SWARM_DIR NODE KIND SECONDS DELAY_MS`.

Started by `faults`. It stops the node's processes (SIGSTOP) and lets them go on (SIGCONT): for `pause` once, for `slow`
again and again, so that the node stands still half of the time, DELAY_MS at a time. It needs no rights beyond those of
the swarm's owner. It always ends, and whenever it ends, even by SIGKILL, the node goes on: a second process waits on a
pipe for its end and sees to that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from swarm_lab.facts.process import ProcessRecord, read_record, record_of
from swarm_lab.facts.state import write_json

_LOOK_S = 0.25


def main(arguments: list[str]) -> None:
    """Hold the node up, and let it go on at the end."""
    swarm_dir, node, kind, seconds, delay_ms = Path(arguments[0]), *arguments[1:]
    own = swarm_dir / "nodes" / node
    first = read_record(own / "process.json")
    if first is None or not first.alive:
        return
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = told_at(swarm_dir, node)
    guard = _guard(own, told)
    until = time.monotonic() + float(seconds)
    delay = float(delay_ms) / 1000
    try:
        send(own, signal.SIGSTOP)
        now = time.time()
        fault = {"kind": kind, "since": now, "until": now + float(seconds), "delay_ms": int(delay_ms)}
        write_json(told, {**fault, **asdict(record_of(os.getpid()))})
        while time.monotonic() < until and _goes_on(own, first, guard):
            send(own, signal.SIGSTOP)
            _sleep(_LOOK_S if kind == "pause" else delay, until)
            if kind == "slow":
                send(own, signal.SIGCONT)
                _sleep(delay, until)
    finally:
        _let_go(own, told)


def told_at(swarm_dir: Path, node: str) -> Path:
    """The file that says what is being done to a node; it is there as long as that goes on."""
    return swarm_dir / "faults" / f"{node}.json"


def send(own: Path, number: signal.Signals) -> None:
    """Signal the groups of a node and of its programs, each known by pid and start time."""
    for record in processes(own):
        if not record.alive:
            continue
        with contextlib.suppress(ProcessLookupError):
            # Each is the first of its own group; if one were not, only it is meant.
            lead = os.getpgid(record.pid) == record.pid
            os.killpg(record.pid, number) if lead else os.kill(record.pid, number)


def processes(own: Path) -> Iterator[ProcessRecord]:
    """The node and its programs, the node first."""
    for path in (own / "process.json", *sorted(own.glob("trainings/*/process.json"))):
        record = read_record(path)
        if record is not None:
            yield record


def _goes_on(own: Path, first: ProcessRecord, guard: int) -> bool:
    """Whether this is still the process that was to be held up, and the guard is there."""
    return read_record(own / "process.json") == first and first.alive and os.waitpid(guard, os.WNOHANG) == (0, 0)


def _let_go(own: Path, told: Path) -> None:
    send(own, signal.SIGCONT)
    told.unlink(missing_ok=True)


def _guard(own: Path, told: Path) -> int:
    """A child that lets the node go on when this process is gone, however it went."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(read_end)
        return child
    os.close(write_end)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(read_end, 1)  # returns at the end of the other side
    _let_go(own, told)
    os._exit(0)


def _sleep(seconds: float, until: float) -> None:
    time.sleep(max(min(seconds, until - time.monotonic()), 0.0))


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

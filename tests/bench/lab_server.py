"""What the panel's server costs: facts through to a socket, and its share of a core, at 4 and 100 nodes.

`PYTHONPATH=tests python -m bench.lab_server [--nodes 4 100] [--seconds 20]`. Nodes are processes that sleep and say
something of themselves every two seconds, as real ones do; facts are written ten times a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from support.lab_server import LabServer, Live
from support.paper import Paper

from swarm_lab.facts.process import record_of, write_record

FACTS_A_SECOND = 10
SAY_S = 2.0
_WORK = 2_000_000


def main() -> None:
    """Print a row for each number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[4, 100])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(f"{_WORK / 1e6:.0f} million additions take {_calibration():.2f} s here (0.05 s on a fast core)")
    print(f"{'nodes':>6} {'clients':>8} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'% of a core':>12} {'MB':>6}")
    for nodes in options.nodes:
        with tempfile.TemporaryDirectory() as folder:
            _row(Path(folder), nodes, options.seconds)


def _row(folder: Path, count: int, seconds: float) -> None:
    os.environ["XDG_DATA_HOME"] = str(folder)
    paper = Paper("bench", seats=count)
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in paper.seats]
    for seat, process in zip(paper.seats, sleepers, strict=True):
        paper.says(seat, "training", phase="TRAINING", expires=time.time() + 3600)
        write_record(paper.paths.process(seat), record_of(process.pid))
    paper.trains(rounds=20)
    server = LabServer(folder, folder)
    try:
        server.start()
        live = server.live()
        live.ask(type="watch", swarm="bench", facts=True)
        live.next("hosts", limit=60)
        _measure(paper, server, live, count, seconds)
    finally:
        server.stop()
        for process in sleepers:
            process.kill()
            process.wait(10)


def _measure(paper: Paper, server: LabServer, live: Live, count: int, seconds: float) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before, began = process.cpu_times(), time.monotonic()
    late: list[float] = []
    number, said = 21, 0.0
    while time.monotonic() - began < seconds:
        if time.monotonic() - said > SAY_S:
            said = time.monotonic()
            for seat in paper.seats:
                paper.says(seat, "training", phase="TRAINING", expires=time.time())
        due = time.monotonic() + 1 / FACTS_A_SECOND
        paper.round("t-1", number)
        number += 1
        told = live.next("facts")
        late += [1000 * (time.time() - fact["time"]) for fact in told["facts"]]
        time.sleep(max(due - time.monotonic(), 0))
    after, took = process.cpu_times(), time.monotonic() - began
    share = 100 * (after.user + after.system - before.user - before.system) / took
    late.sort()
    p95 = late[int(0.95 * len(late)) - 1]
    memory = process.memory_info().rss / 2**20
    row = (
        f"{count:>6} {1:>8} {statistics.median(late):>8.0f} {p95:>8.0f} {late[-1]:>8.0f} {share:>12.1f} {memory:>6.0f}"
    )
    print(row, flush=True)


def _calibration() -> float:
    began, total = time.process_time(), 0
    for number in range(_WORK):
        total += number
    return time.process_time() - began


if __name__ == "__main__":
    main()

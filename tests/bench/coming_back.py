"""How long a swarm takes to have a killed program or node back: `python tests/bench/coming_back.py [TIMES]`.

From kill -9 until the program trains again, and until a round is committed that holds the node's contribution; seconds,
median and worst of some kills. On a swarm of three warm seats with a small PyTorch program: what is measured is the way
back, not the model.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.patients import Patient

from swarm_lab.facts.process import read_record
from swarm_lab.swarm import Swarm

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "returning.py"
VICTIM = "sl-2"
_LIMIT_S = 60.0


def main(times: int) -> None:
    """Bring a swarm up, kill, measure, print, and take it down."""
    os.environ.setdefault("XDG_DATA_HOME", tempfile.mkdtemp(prefix="swl-back-", dir="/tmp"))
    swarm = Swarm.up("back", sl=3, framework="torch")
    try:
        data = Path(tempfile.mkdtemp(prefix="swl-data-"))
        for seat in swarm.seats:
            (data / seat).mkdir()
        patient = Patient(swarm, data)
        env = {"KEEP": "1", "EPOCHS": "100000", "PAUSE": "0.01"}
        training = swarm.train(PROGRAM, data=data, env=env, sync=8, min_peers=2)
        patient.until_round(training, 3)
        print("| killed | times | trains again, median | worst | in a round again, median | worst |")
        print("|---|---|---|---|---|---|")
        victims: dict[str, Callable[[], int]] = {
            "program": lambda: _pid(swarm.paths.root / "nodes" / VICTIM / "trainings" / training.id),
            "SL node": lambda: patient.pid(VICTIM),
        }
        for what, pid in victims.items():
            row([way_back(training, pid()) for _ in range(times)], what)
        swarm.stop(training.id)
    finally:
        swarm.down(purge=True)


def row(found: list[tuple[float, float]], what: str) -> None:
    """Print a line of the table."""
    trains, rounds = zip(*found, strict=True)
    cells = [f"{value:.2f} s" for seen in (trains, rounds) for value in (statistics.median(seen), max(seen))]
    print(f"| {what} | {len(found)} | {' | '.join(cells)} |", flush=True)


def way_back(training: Any, pid: int) -> tuple[float, float]:
    """Seconds from the kill until the node's program does batches, and until the node is in a round."""
    calm(training)
    os.kill(pid, 9)
    killed = time.time()
    trained = 0.0
    until = time.monotonic() + _LIMIT_S
    after = training.view.rounds[-1].round
    for event in training.events(after=last_seq(training), limit=_LIMIT_S):
        assert time.monotonic() < until, "it did not come back"
        if event["event"] == "progress" and event["node"] == VICTIM and not trained and event["time"] > killed + 0.05:
            trained = event["time"] - killed
        if event["event"] == "round" and trained and VICTIM in event["nodes"] and event["round"] > after:
            return trained, event["time"] - killed
    raise AssertionError("the training ended")


def calm(training: Any) -> None:
    """Wait until all three have been in three rounds in a row."""
    until = time.monotonic() + _LIMIT_S
    while any(len(done.nodes) < 3 for done in training.view.rounds[-3:]) or len(training.view.rounds) < 3:
        assert time.monotonic() < until, training.view
        time.sleep(0.1)
    time.sleep(0.5)


def last_seq(training: Any) -> int:
    """The sequence number of the last event."""
    from swarm_lab.facts.events import EventReader

    reader = EventReader(training.paths.root)
    reader.poll()
    return reader.last


def _pid(folder: Path) -> int:
    record = read_record(folder / "process.json")
    assert record is not None
    return record.pid


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

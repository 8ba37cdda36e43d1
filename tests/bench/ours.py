"""Ours: a real swarm with identity, digests, signatures and ledger, in a data directory of its own."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import phases, rows
from tests.bench.machine import Watch, own_network
from tests.bench.rows import Row

if TYPE_CHECKING:
    from swarm_lab.front.training import Training
    from swarm_lab.swarm import Swarm

PROGRAM = Path(__file__).with_name("adding.py")
NAME = "bench"
WARM = 2
_LOOK_S = 0.1


@contextmanager
def home() -> Iterator[Path]:
    """A data directory that is gone afterwards; short, as Unix sockets may end up below it."""
    before = os.environ.get("XDG_DATA_HOME")
    place = tempfile.mkdtemp(prefix="swl-bench-", dir="/tmp")
    os.environ["XDG_DATA_HOME"] = place
    try:
        yield Path(place)
    finally:
        if before is None:
            del os.environ["XDG_DATA_HOME"]
        else:
            os.environ["XDG_DATA_HOME"] = before
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def swarm_of(n: int, until: float) -> Iterator[Swarm]:
    """A swarm of `n` seats, taken down and removed at the end."""
    from swarm_lab.swarm import Swarm

    swarm = Swarm.up(NAME, sl=n, framework="torch", wait=max(until - time.monotonic(), 10.0))
    try:
        yield swarm
    finally:
        swarm.down(purge=True)


def train(swarm: Swarm, told: Path, params: int, rounds: int, **options: Any) -> Training:
    """Start the adding program on all seats; `min_peers` and `pause` (seconds a batch) are options."""
    n = len(swarm.seats)
    least = options.get("min_peers", n)
    data = told.parent / "data"
    for index, seat in enumerate(swarm.seats):
        (data / seat).mkdir(parents=True, exist_ok=True)
        (data / seat / "index").write_text(str(index))
    variables = {
        "COUNT": params, "ROUNDS": rounds, "NODES": n, "MIN_PEERS": least, "INSTANTS": told,
        "PAUSE": options.get("pause", 0),
    }  # fmt: skip
    env = {name: str(value) for name, value in variables.items()}
    files = (PROGRAM.with_name("instants.py"),)
    return swarm.train(PROGRAM, data=data, files=files, sync=1, min_peers=least, seed=1, env=env)


def run(params: int, n: int, rounds: int, until: float) -> Row:
    """One swarm, one training; the row has the time of a round, its phases, bytes, memory and cold start."""
    row = Row("swarm-lab", params, n)
    with home() as place:
        begun = time.time()  # the import of swarm_lab is part of a cold start
        from swarm_lab.facts import process
        from swarm_lab.facts.paths import SwarmPaths

        root = SwarmPaths.of(NAME).root
        told = place / "instants.jsonl"
        with Watch(lambda: process.all_of(root)) as watch, swarm_of(n, until) as swarm:
            training = train(swarm, told, params, rounds)
            row.note = _wait(training, told, n, rounds, until)
            lines = rows.read_lines(told)
            measured = rows.window(lines, n, WARM)
            row.phases_s = phases.per_round(root, swarm.seats, measured, len(rows.complete(lines, n)) - WARM)
            row.committed_s = _committed(training)
            row.work_s, row.bytes_per_node = phases.work(root)
        for name, value in watch.found.items():
            setattr(row, name, value)
        return rows.fill(row, lines, begun, WARM, counted=own_network())


def _committed(training: Training) -> float | None:
    """Median `seconds` of the `round` events after the first ones."""
    taken = [done.seconds for done in training.view.rounds[WARM:] if done.seconds is not None]
    return round(statistics.median(taken), 4) if taken else None


def _wait(training: Training, told: Path, n: int, rounds: int, until: float) -> str:
    """Until all averages are held; why not, in words."""
    look = 0
    while time.monotonic() < until:
        if rows.finished(rows.read_lines(told), n, rounds):
            return ""
        look += 1
        if look % 20 == 0 and training.view.failed:
            return "; ".join(f"{node}: {end.get('message')}" for node, end in training.view.failed.items())[:200]
        time.sleep(_LOOK_S)
    return "cut off by --limit"

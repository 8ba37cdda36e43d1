"""Recovery: kill -9 of a member and of the coordinator, while batches train and within a round that is being made;
seconds to the next committed round."""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench import ours
from tests.bench.machine import load

PAUSE_S = 0.3  # of a batch, so that a death falls where it is meant to
MOMENTS = {"training": 0.0, "a round is made": PAUSE_S + 0.06}  # seconds after a commit
CALM = 3  # rounds with all nodes before a kill


def run(params: int, n: int, kills: int, until: float) -> dict[str, Any]:
    """Kill each kind of node `kills` times at each moment, one after the other; the worst of them are the figures.

    What cannot be had by `until` (monotonic seconds) is missing, and a note says so.
    """
    found: dict[str, Any] = {"params": params, "n": n, "batch_s": PAUSE_S, "load_before": load(), "kills": []}
    with ours.home() as place, ours.swarm_of(n, until) as swarm:
        least = max(n - 1, 1)
        training = ours.train(swarm, place / "instants.jsonl", params, 10**6, min_peers=least, pause=PAUSE_S)
        rounds = _rounds(training.paths.root, until)
        for what, moment in list(itertools.product(("member", "coordinator"), MOMENTS)) * kills:
            if (done := _kill(swarm, rounds, what, moment)) is None:
                found["note"] = "cut off by --limit"
                break
            found["kills"].append(done)
    for what in ("member", "coordinator"):
        taken = [kill["next_round_s"] for kill in found["kills"] if kill["killed"] == what and kill["next_round_s"]]
        found[f"{what}_s"] = max(taken, default=None)
    return found


def _kill(swarm: Any, rounds: Iterator[dict[str, Any]], what: str, moment: str) -> dict[str, Any] | None:
    """One death and what followed; None where the time is over before it."""
    n = len(swarm.seats)
    usual = _calm(rounds, n)
    if usual is None:
        return None
    last, seconds = usual
    # The ledger's order of coordinators: the last round's participants, turned by the number of the next.
    turn = (last["round"] + 1) % n
    victim = last["nodes"][turn if what == "coordinator" else (turn + 1) % n]
    pid = _pid(swarm, victim)
    time.sleep(max(last["time"] + MOMENTS[moment] - time.time(), 0))
    os.kill(pid, signal.SIGKILL)
    killed = time.time()
    return {"killed": what, "while": moment, "node": victim, "usual_s": seconds, **_after(rounds, victim, killed)}


def _rounds(root: Any, until: float) -> Iterator[dict[str, Any]]:
    """Committed rounds as they come, until the time is over."""
    from swarm_lab.facts.events import EventReader

    reader = EventReader(root)
    while time.monotonic() < until:
        yield from (event for event in reader.poll() if event["event"] == "round")
        time.sleep(0.01)


def _calm(rounds: Iterator[dict[str, Any]], n: int) -> tuple[dict[str, Any], float] | None:
    """A round that has just been committed after some others with all nodes, and how long rounds take then."""
    row: list[dict[str, Any]] = []
    for done in rounds:
        row = [*row, done] if len(done["nodes"]) == n else []
        fresh = time.time() - done["time"] < PAUSE_S / 3
        if len(row) > CALM and fresh:
            return done, round(statistics.median(one["time"] - two["time"] for one, two in _pairs(row[-CALM - 1 :])), 2)
    return None


def _pairs(row: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    return zip(row[1:], row, strict=False)


def _after(rounds: Iterator[dict[str, Any]], victim: str, killed: float) -> dict[str, Any]:
    """Seconds until the next round is committed, and until one has the victim in it again."""
    found: dict[str, Any] = {"next_round_s": None, "with_it": None, "back_s": None}
    for done in rounds:
        if done["time"] <= killed:
            continue
        if found["next_round_s"] is None:
            found["next_round_s"], found["with_it"] = round(done["time"] - killed, 2), victim in done["nodes"]
        elif victim in done["nodes"]:
            found["back_s"] = round(done["time"] - killed, 2)
            break
    return found


def _pid(swarm: Any, node: str) -> int:
    status: Callable[[], Any] = swarm.status
    pid = next(one.pid for one in status().nodes if one.name == node)
    if pid is None:
        raise RuntimeError(f"{node} does not run")
    return int(pid)

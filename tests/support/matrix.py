"""One row of the fault matrix from its beginning to its end, and the table of what the rows cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from support.aftermath import complaints
from support.course import Course
from support.hurts import Hurt, Row
from support.patients import finished
from support.wards import Ward

# Of a wait that has no end; what is measured stands in the table, and no row asserts more than this.
STALL_S = 60.0
_PEERS = """\
Beside it, on this kind of machine, seconds from `kill -9` to the next round of the survivors, 4 MB, defaults:
hivemind 5.1; p2pfl 312.8; Flower 190.5, its SuperLink never; NVFlare's aggregator never (265 s watched), a trainer \
1.1."""


@dataclass(slots=True)
class Outcome:
    """A row's figures in seconds: a round before, until the next commit, that less a round, the longest gap between
    two commits, until a round of all nodes. `error` is empty for a row that holds."""

    row: str
    phase: str = ""
    usual_s: float | None = None
    next_s: float | None = None
    lost_s: float | None = None
    gap_s: float | None = None
    all_s: float | None = None
    error: str = ""


def undergo(ward: Ward, row: Row, outcome: Outcome) -> None:
    """Train, do it, train on with all nodes, end, look. Raises where a wait has no end; `outcome` has the rest."""
    try:
        if row.before is not None:
            row.before(ward)
        ward.until_ready()
        training = ward.begin(row.least)
        course = Course(ward, training)
        last = course.calm()
        since = ward.swarm.events()[-1]["seq"]
        hurt = row.do(course, last)
        _measure(outcome, course, hurt, max(row.limit, STALL_S))
        ward.enough.touch()
        end = finished(training, limit=STALL_S)
        course.poll()
        if not ward.swarm.running:  # without its supervisor a swarm answers no question
            ward.revive()
        found = complaints(course, end, hurt.missed, since)
        if outcome.next_s is not None and outcome.next_s > row.stall:
            found.append(f"the next round was committed after {outcome.next_s} s only")
        outcome.error = "; ".join(found)
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {error}"
        raise
    finally:
        _leave(ward)


def _measure(outcome: Outcome, course: Course, hurt: Hurt, limit: float) -> None:
    outcome.phase, outcome.usual_s = hurt.phase, round(course.usual_s, 2)
    after = course.after(hurt.at, limit, hurt.made)
    if hurt.over is None:  # what has died: until all are there again
        course.ward.until_ready()
    over = hurt.over or time.monotonic()
    outcome.next_s = round(after["seen"] - hurt.at, 2)
    outcome.lost_s = round(after["seen"] - hurt.at - course.usual_s, 2)
    course.after(over, limit)
    whole = course.whole(over, limit)
    outcome.all_s = round(whole["seen"] - (hurt.over or hurt.at), 2)
    outcome.gap_s = round(course.gap(hurt.at, over), 2)


def _leave(ward: Ward) -> None:
    """As it was: nothing is hurt, nothing trains; a swarm without its supervisor comes up again."""
    ward.cure()
    ward.enough.touch()
    if not ward.swarm.running:
        ward.revive()
    ward.until_ready()  # a node that was started again takes no order before
    for training in ward.swarm.trainings():
        if training.state in ("queued", "running"):
            ward.swarm.stop(training.id, limit=60)
    ward.until_ready()


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown, with what other systems take."""
    lines = [
        "| fault | phase | round before | next commit after | lost | longest gap | all again after | holds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        figures = (one.usual_s, one.next_s, one.lost_s, one.gap_s, one.all_s)
        cells = ["" if value is None else f"{value:.2f} s" for value in figures]
        holds = "yes" if not one.error else "NO: " + " ".join(one.error.split())[:200].replace("|", "/")
        lines.append(f"| {one.row} | {one.phase} | {' | '.join(cells)} | {holds} |")
    return "\n".join([*lines, "", _PEERS])


def write(path: Path, outcomes: list[Outcome]) -> None:
    """The same as JSON."""
    found: dict[str, Any] = {"time": time.time(), "model_bytes": 4_000_000, "rows": [asdict(one) for one in outcomes]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")

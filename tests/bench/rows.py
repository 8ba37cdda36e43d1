"""A row of the bench's table: one system at one size and one number of nodes, and how it follows from instants."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TOLERANCE = 1e-3  # float32 loses less than that over the rounds of a bench


@dataclass(slots=True)
class Row:
    """`round_s` is the median of `rounds`; None where no round was seen. Bytes are per node and round.

    A round takes from the instant at which the last peer holds one average to that at which the last holds the next.
    `committed_s` is ours alone: the same from the ledger's side, the `seconds` of `round` events; so are `phases_s`,
    the mean of the nodes in each phase per round, and `work_s`, the mean of one merge and of one commit.
    """

    system: str
    params: int
    n: int
    rounds: int = 0
    round_s: float | None = None
    round_s_min: float | None = None
    round_s_max: float | None = None
    committed_s: float | None = None
    ratio_to_mtls_floor: float | None = None
    cold_start_s: float | None = None
    bytes_per_node: int | None = None
    model_sizes_per_node: float | None = None
    average_ok: bool | None = None
    load_before: float = 0.0
    other_cpu_pct: float = 0.0
    pss_mb: int = 0
    processes: int = 0
    memory_samples: int = 0
    phases_s: dict[str, float] = field(default_factory=dict)
    work_s: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The row for scripts."""
        return asdict(self)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What the peers have told so far; a line that is being written waits."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def complete(lines: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """By round, in order: the line of the peer that held the average last, for rounds that all peers hold."""
    rounds: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if "round" in line:
            rounds.setdefault(line["round"], []).append(line)
    return [max(rounds[r], key=lambda line: line["time"]) for r in sorted(rounds) if len(rounds[r]) == n]


def finished(lines: Sequence[dict[str, Any]], n: int, rounds: int) -> bool:
    """Whether all peers hold all averages, and the first has checked the whole model."""
    return any("worst" in line for line in lines) and len(complete(lines, n)) >= rounds


def window(lines: Sequence[dict[str, Any]], n: int, warm: int) -> tuple[float, float]:
    """Unix seconds between which rounds are measured: after the first `warm` ones; (0, 0) where there are none."""
    done = complete(lines, n)
    return (done[warm - 1]["time"], done[-1]["time"]) if len(done) > warm else (0.0, 0.0)


def fill(row: Row, lines: Sequence[dict[str, Any]], begun: float, warm: int, *, counted: bool) -> Row:
    """Fill in what the instants say. `warm`: rounds at the start that are not measured; `counted`: loopback is ours."""
    done = complete(lines, row.n)
    if not done:
        row.note = row.note or "no round within the limit"
        return row
    row.cold_start_s = round(done[0]["time"] - begun, 2)
    taken = [b["time"] - a["time"] for a, b in itertools.pairwise(done)][warm - 1 :]
    row.rounds = len(taken)
    if taken:
        row.round_s = round(statistics.median(taken), 4)
        row.round_s_min, row.round_s_max = round(min(taken), 4), round(max(taken), 4)
        if counted:
            moved = done[-1]["loopback"] - done[warm - 1]["loopback"]
            row.bytes_per_node = round(moved / len(taken) / row.n)
    if row.bytes_per_node is not None:
        row.model_sizes_per_node = round(row.bytes_per_node / (4 * row.params), 2)
    row.average_ok = right(lines, row.n)
    return row


def right(lines: Sequence[dict[str, Any]], n: int) -> bool:
    """Whether every average that anybody held was right, and the whole model at the end where it was checked."""
    mean = (n + 1) / 2
    last = all(abs(line["value"] - mean * (line["round"] + 1)) < TOLERANCE for line in lines if "round" in line)
    return last and all(line["worst"] < TOLERANCE for line in lines if "worst" in line)

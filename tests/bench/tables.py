"""The bench's tables, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.rows import Row

_HEAD = ("system", "params", "n", "s/round", "min - max (rounds)", "x floor", "committed s", "cold start s", "PSS MB",
         "processes", "MB per node and round", "x model", "average", "load before", "other CPU %", "note")  # fmt: skip


def machine(facts: dict[str, Any]) -> str:
    """What the numbers are of, on a line."""
    where = (
        "loopback of its own"
        if facts["own_network"]
        else "loopback shared with others: bytes of ours by its own metrics"
    )
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB ({facts['memory_available_gb']} free), "
        f"{facts['system']}, Python {facts['python']}; "
        f"load {facts['load']}, other CPU {facts['other_cpu_pct']} %; {where}"
    )


def rounds(rows: Sequence[Row]) -> str:
    """Seconds per round by size and by n."""
    return _table(_HEAD, [_cells(row) for row in rows])


def phases(rows: Sequence[Row]) -> str:
    """Where the time of our rounds goes; "" where nothing is known."""
    known = [row for row in rows if row.phases_s]
    names = list(dict.fromkeys(name for row in known for name in row.phases_s))
    works = list(dict.fromkeys(name for row in known for name in row.work_s))
    lines = [
        [
            size(row.params),
            row.n,
            *(_milli(row.phases_s.get(name)) for name in names),
            *(_milli(row.work_s.get(name)) for name in works),
        ]
        for row in known
    ]
    head = ("params", "n", *(f"{name} ms" for name in names), *(f"one {name} ms" for name in works))
    return _table(head, lines) if known else ""


def recovery(found: dict[str, Any]) -> str:
    """What a death costs."""
    head = ("killed", "while", "node", "next round s", "usual s", "round had it", "in a round again s")
    keys = ("killed", "while", "node", "next_round_s", "usual_s", "with_it", "back_s")
    lines = [["" if kill[key] is None else kill[key] for key in keys] for kill in found["kills"]]
    about = f"{size(found['params'])}, n = {found['n']}, batches of {found['batch_s']} s, load {found['load_before']}"
    return f"kill -9 ({about}) {found.get('note', '')}\n\n{_table(head, lines)}"


def size(params: int) -> str:
    """1000000 as 1M."""
    return f"{params / 1e6:g}M"


def _cells(row: Row) -> list[object]:
    spread = f"{row.round_s_min} - {row.round_s_max} ({row.rounds})" if row.rounds else ""
    moved = "" if row.bytes_per_node is None else round(row.bytes_per_node / 1e6, 2)
    average = {True: "right", False: "WRONG", None: ""}[row.average_ok]
    return [
        row.system, size(row.params), row.n, row.round_s, spread, row.ratio_to_mtls_floor, row.committed_s,
        row.cold_start_s, row.pss_mb, row.processes, moved, row.model_sizes_per_node, average, row.load_before,
        row.other_cpu_pct, row.note,
    ]  # fmt: skip


def _milli(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def _table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    shown = [head, ["---"] * len(head), *(["" if cell is None else str(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in shown)

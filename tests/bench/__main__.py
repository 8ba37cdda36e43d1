"""`python -m tests.bench`: how long our rounds take, beside the mTLS floor, gloo and other systems, on this machine.

    python -m tests.bench                              the whole table, within three minutes
    python -m tests.bench --params 10M --json          one size with four nodes; one JSON object at the end
    python -m tests.bench --params 1M,50M --n 2,8 --peers hivemind --limit 900

Each peer adds (its index + 1) to a model of random float32 in 20 tensors; a round takes from the instant at which the
last peer holds one average to that at which the last holds the next. Nothing is trained. As root on Linux it runs in a
network namespace of its own, so that the bytes on loopback are its own. The scripts beside it measure other things and
are run by their paths: merge.py, callback_overhead.py, device_copies.py, coming_back.py, adaptive_sync.py.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from swarm_lab.errors import SwarmLabError
from tests.bench import machine, ours, peers, recovery, tables
from tests.bench.others import NotInstalled, prepare
from tests.bench.rows import Row

Runner = Callable[[int, int, int, float], Row]
SIZES = (1_000_000, 10_000_000, 50_000_000)
# By size first, then by number of nodes: what the limit cuts off is the end.
DEFAULT = (*((size, 4) for size in SIZES), *((SIZES[0], n) for n in (2, 8, 16)))
LIMIT_S = 170.0  # and what it takes to end the last swarm
LEAST_S = 10.0  # less is not worth a start
# Memory beside the models, and models held per node, at most: rows that need more than is free are left out.
_NODE_MB, _SWARM_MB, _MODELS = 150, 500, 9


def main() -> None:
    """Measure what was asked for, print tables, and with `--json` one object."""
    asked = arguments().parse_args()
    # A `kill` ends the bench as Ctrl-C does: what it has started is taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    environments = [found for name in asked.peers if (found := _prepared(name)) is not None]
    if not asked.shared_network:
        _fetch_what_needs_a_network()
        machine.enter_own_network(sys.argv[1:])
    bench = Bench(asked, [(environment.label, peers.other(environment)) for environment in environments])
    bench.run()
    bench.show()
    if asked.json:
        print(json.dumps(bench.as_json()), flush=True)


class Bench:
    """One run: rows as they come, until the limit."""

    def __init__(self, asked: argparse.Namespace, others: list[tuple[str, Runner]]) -> None:
        self.asked = asked
        self.machine = machine.facts()
        self.until = time.monotonic() + asked.limit
        self.rows: list[Row] = []
        self.left_out: list[str] = []
        self.recovery: dict[str, Any] | None = None
        built: dict[str, Runner] = {"floor": peers.floor, "gloo": peers.gloo, "ours": ours.run}
        self.systems = [(name, built[name]) for name in ("floor", "gloo") if name in asked.systems]
        self.systems += [*others, *([("ours", ours.run)] if "ours" in asked.systems else [])]

    def run(self) -> None:
        """All rows; in the whole table the recovery comes after the sizes."""
        say(tables.machine(self.machine))
        for number, (params, n) in enumerate(cells(self.asked)):
            if number == len(SIZES):
                self.recover()
            self.cell(params, n)
        if len(cells(self.asked)) <= len(SIZES):
            self.recover()

    def cell(self, params: int, n: int) -> None:
        """All systems at one size and one number of nodes; the floor first, as ratios are to it."""
        what = f"{tables.size(params)}, n = {n}"
        if (lack := short_of_memory(params, n)) is not None:
            self.left_out.append(f"{what}: {lack}")
            return
        floor = None
        for name, runner in self.systems:
            if name == "gloo" and n != 4 and self.asked.params is None and self.asked.n is None:
                continue  # its processes take longer to start than all the rest of such a row
            if time.monotonic() > self.until - LEAST_S:
                self.left_out.append(f"{what}, {name}: no time left of --limit {self.asked.limit:g}")
                continue
            machine.wait_until_quiet(self.asked.quiet)
            row = self.row(runner, params, n)
            floor = row.round_s if runner is peers.floor else floor
            if floor and row.round_s:
                row.ratio_to_mtls_floor = round(row.round_s / floor, 2)
            self.rows.append(row)
            say(f"  {what}: {row.system}: {row.round_s} s/round {row.note}")

    def row(self, runner: Runner, params: int, n: int) -> Row:
        """One system; what went wrong with it is its row's note."""
        try:
            return runner(params, n, self.asked.rounds or rounds_of(params), self.until)
        except SwarmLabError as error:
            return Row("swarm-lab", params, n, note=str(error).splitlines()[0][:200])

    def recover(self) -> None:
        """Kills, where they are asked for and there is time."""
        if not self.asked.recovery:
            return
        if time.monotonic() > self.until - 2 * LEAST_S:
            self.left_out.append(f"recovery: no time left of --limit {self.asked.limit:g}")
            return
        params, n = cells(self.asked)[0]
        until = min(self.until, time.monotonic() + self.asked.limit / 3)
        try:
            self.recovery = recovery.run(params, n, self.asked.kills, until)
        except SwarmLabError as error:
            self.left_out.append(f"recovery: {str(error).splitlines()[0][:200]}")
            return
        say(f"  recovery: member {self.recovery['member_s']} s, coordinator {self.recovery['coordinator_s']} s")

    def show(self) -> None:
        """The tables."""
        parts = [tables.machine(self.machine), tables.rounds(self.rows)]
        if where := tables.phases(self.rows):
            parts.append("Where the time of our rounds goes: mean of the nodes, per round\n\n" + where)
        if self.recovery:
            parts.append(tables.recovery(self.recovery))
        if self.left_out:
            parts.append("Left out: " + "; ".join(self.left_out))
        say("\n" + "\n\n".join(parts), sys.stderr if self.asked.json else sys.stdout)

    def as_json(self) -> dict[str, Any]:
        """For scripts; ratio and seconds are of the largest model, with four nodes where there are such rows.

        With `--repeat` they are medians of its rows.
        """
        mine = [row for row in self.rows if row.system == "swarm-lab" and row.round_s is not None]
        best = max(mine, key=lambda row: (row.n == 4, row.params), default=None)
        same = [row for row in mine if best and (row.n, row.params) == (best.n, best.params)]
        return {
            "machine": self.machine,
            "ratio_to_mtls_floor": median([row.ratio_to_mtls_floor for row in same]),
            "round_s": median([row.round_s for row in same]),
            "params": best.params if best else None,
            "n": best.n if best else None,
            "average_ok": bool(self.rows) and all(row.average_ok for row in self.rows),
            "rows": [row.as_json() for row in self.rows],
            "recovery": self.recovery,
            "left_out": self.left_out,
        }


def arguments() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser(
        "python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=_sizes, help="sizes, like 1M,10M,50M or 0.1M")
    parser.add_argument("--n", type=_numbers, help="numbers of nodes, like 2,4,8,16")
    parser.add_argument("--rounds", type=int, help="rounds of each row [by size: 20 to 5]")
    parser.add_argument("--repeat", type=int, default=1, help="measure everything so often, floor and ours in turn [1]")
    parser.add_argument("--systems", type=_names, default=["floor", "gloo", "ours"], help="[floor,gloo,ours]")
    parser.add_argument("--peers", type=_names, default=[], help="other systems, each in its own environment: hivemind")
    parser.add_argument(
        "--recovery", action=argparse.BooleanOptionalAction, help="kill nodes [in the whole table only]"
    )
    parser.add_argument("--kills", type=int, default=1, help="kills of each kind of node [1]")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help=f"seconds for all of it [{LIMIT_S:g}]")
    parser.add_argument("--quiet", type=float, default=0.0, help="wait up to so many seconds for idle processors [0]")
    parser.add_argument("--shared-network", action="store_true", help="stay in this network namespace")
    parser.add_argument("--json", action="store_true", help="one object on standard output, all else on standard error")
    return parser


def cells(asked: argparse.Namespace) -> Sequence[tuple[int, int]]:
    """The sizes and numbers of nodes to measure."""
    if asked.params is None and asked.n is None:
        if asked.recovery is None:
            asked.recovery = "ours" in asked.systems
        return DEFAULT
    return [(params, n) for n in asked.n or [4] for params in asked.params or SIZES] * asked.repeat


def median(values: list[float | None]) -> float | None:
    """The middle one of those that are known."""
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 4) if known else None


def rounds_of(params: int) -> int:
    """As many rounds as give a steady median in little time."""
    return 20 if params <= 2_000_000 else 8 if params <= 20_000_000 else 5


def short_of_memory(params: int, n: int) -> str | None:
    """Why this row would not fit the memory that is free."""
    needed = (n * (_MODELS * 4 * params / 1e6 + _NODE_MB) + _SWARM_MB) / 1000
    free = psutil.virtual_memory().available / 1e9
    return None if needed < free else f"may need {needed:.1f} GB of memory, {free:.1f} are free"


def say(text: str, file: Any = None) -> None:
    """Progress goes to standard error."""
    print(text, file=file or sys.stderr, flush=True)


def _prepared(name: str) -> Any:
    try:
        return prepare(name)
    except NotInstalled as error:
        if not machine.own_network():  # there it comes for the second time
            say(str(error))
        return None


def _fetch_what_needs_a_network() -> None:
    from swarm_lab.provision.tools import anvil

    anvil()


def _sizes(text: str) -> list[int]:
    return [int(float(one[:-1]) * 1e6) if one[-1:] in "mM" and one else int(one) for one in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def _names(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


if __name__ == "__main__":
    main()

"""How long merging takes: `python tests/bench/merge.py`; beside it copying one model and numpy's plain mean.

Each row is the best of a few runs on random float32 models that lie near each other. More contributions than `--nodes`'
first get models as much smaller, so that memory stays the same; the column `at full size` scales their time up again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from swarm_lab.rounds.layout import Layout, TensorSpec
from swarm_lab.rounds.merge import METHODS, merge
from swarm_lab.rounds.merge_slabs import available_threads

NODES = (4, 8, 16, 32)
GOALS = {("coordmedian", "equal"): 0.15, ("coordmedian", "1..100"): 0.8, ("mean", "1..100"): 0.8,
         ("geomedian", "equal"): 0.4}  # fmt: skip


def best(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the quickest run."""
    taken = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def machine() -> dict[str, object]:
    """What the numbers are of."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []  # fmt: skip
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "threads": available_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def models(nodes: int, parameters: int) -> list[np.ndarray]:
    """The model before the round and `nodes` contributions."""
    rng = np.random.default_rng(nodes)
    base = rng.standard_normal(parameters, dtype=np.float32)
    return [base, *(base + np.float32(0.1) * rng.standard_normal(parameters, dtype=np.float32) for _ in range(nodes))]


def measure(nodes: int, parameters: int, full: int, threads: int, repeat: int) -> list[dict[str, object]]:
    """The rows of one number of nodes."""
    base, *given = models(nodes, parameters)
    layout = Layout.of([TensorSpec("w", "F32", (parameters,))])
    before = memoryview(base).cast("B")
    copy = np.empty_like(base)
    plain = {
        "memcpy of one model": best(lambda: np.copyto(copy, base), repeat),
        "np.mean": best(lambda: np.mean(given, axis=0), min(repeat, 2)),
    }
    rows: list[dict[str, object]] = [row(name, "", nodes, parameters, full, seconds) for name, seconds in plain.items()]
    weightings = {"equal": [1] * nodes, "1..100": np.random.default_rng(1).integers(1, 101, nodes).tolist()}
    for method in METHODS:
        for named, weights in weightings.items():
            contributions = [(w, memoryview(g).cast("B")) for w, g in zip(weights, given, strict=True)]

            def work(method: str = method, contributions: list[tuple[int, memoryview]] = contributions) -> object:
                return merge(method, layout, contributions, before, threads=threads)

            seconds = best(work, repeat)
            made = row(method, named, nodes, parameters, full, seconds)
            made["to_np_mean"] = round(seconds / plain["np.mean"], 2)
            made["to_memcpy"] = round(seconds / plain["memcpy of one model"], 2)
            if nodes == NODES[0] and (method, named) in GOALS:
                made["goal"] = GOALS[method, named]
            rows.append(made)
    return rows


def row(name: str, weights: str, nodes: int, parameters: int, full: int, seconds: float) -> dict[str, object]:
    """A line of the table."""
    return {
        "method": name,
        "weights": weights,
        "nodes": nodes,
        "parameters": parameters,
        "seconds": round(seconds, 4),
        "at_full_size": round(seconds * full / parameters, 3),
    }


def show(rows: list[dict[str, object]], full: int) -> None:
    """The table for people."""
    print(f"{'method':20} {'weights':8} {'nodes':>5} {'million':>8} {'seconds':>8} "
          f"{f'at {full / 1e6:g}M':>9} {'x np.mean':>9} {'x memcpy':>9} {'goal':>6}")  # fmt: skip
    for one in rows:
        shown = [one["method"], one["weights"], one["nodes"], float(str(one["parameters"])) / 1e6]
        rest = [one["seconds"], one["at_full_size"], *(one.get(key, "") for key in ("to_np_mean", "to_memcpy", "goal"))]
        print("{:20} {:8} {:>5} {:>8.2f} {:>8} {:>9} {:>9} {:>9} {:>6}".format(*shown, *rest))


def main() -> None:
    """Measure, print a table, and with `--json` one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=float, default=50, help="millions of parameters at the least nodes [50]")
    parser.add_argument("--nodes", type=int, nargs="+", default=list(NODES))
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    full = int(given.params * 1e6)
    about = {**machine(), "threads": given.threads}
    if not given.json:
        print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows = []
    for nodes in given.nodes:
        parameters = full * min(given.nodes) // nodes
        rows += measure(nodes, parameters, full, given.threads, given.repeat)
    if given.json:
        print(json.dumps({"machine": about, "rows": rows}))
    else:
        show(rows, full)


if __name__ == "__main__":
    main()

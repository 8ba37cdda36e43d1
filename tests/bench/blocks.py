"""What one-second blocks cost: the same training on a chain with instant blocks and on one with `--block-time 1`.

    python -m tests.bench.blocks [--params 1000000] [--pause 2] [--rounds 8]

Each round trains for `--pause` seconds; the commit of a round confirms while the next one trains. Prints both medians
and their ratio, and says the machine.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

from swarm_lab.nodes.config import NodeConfig
from tests.bench import machine, ours, rows, tables

N = 4
LIMIT_S = 240.0


def measure(block_time: str, params: int, pause: float, rounds: int) -> float | None:
    """Median seconds of a round after the first two; `block_time` in seconds, "" = a block for each transaction."""
    until = time.monotonic() + LIMIT_S
    with ours.home() as place, ours.swarm_of(N, until) as swarm:
        if block_time:
            config = NodeConfig.read(swarm.paths.root / "nodes" / "chain" / "config.json")
            config.model_copy(update={"options": {**config.options, "block_time": block_time}}).write()
            swarm.restart("chain")
        told = place / "instants.jsonl"
        ours.train(swarm, told, params, rounds, pause=pause)
        while not rows.finished(rows.read_lines(told), N, rounds) and time.monotonic() < until:
            time.sleep(0.2)
        done = rows.complete(rows.read_lines(told), N)
    taken = [b["time"] - a["time"] for a, b in itertools.pairwise(done)][ours.WARM :]
    return round(statistics.median(taken), 3) if taken else None


def main() -> None:
    """Both, and the ratio."""
    parser = argparse.ArgumentParser("python -m tests.bench.blocks", description=__doc__)
    parser.add_argument("--params", type=int, default=1_000_000)
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=8)
    asked = parser.parse_args()
    print(tables.machine(machine.facts()))
    found = {name: measure(name, asked.params, asked.pause, asked.rounds) for name in ("", "1")}
    for name, seconds in found.items():
        print(f"{'one-second blocks' if name else 'instant blocks'}: {seconds} s/round")
    instant, slow = found[""], found["1"]
    if instant and slow:
        print(f"ratio {slow / instant:.3f}")


if __name__ == "__main__":
    main()

"""`python -m rounds_sim.cost [NODES] [ROUNDS]` in tests/: the CPU time that a machine takes for a round, by event."""

from __future__ import annotations

import collections
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rounds_sim.schedules import limit
from rounds_sim.world import Setup, World

from swarm_lab.rounds import events as e
from swarm_lab.rounds.machine import Machine


def measure(nodes: int, rounds: int, sharded: bool) -> tuple[dict[str, tuple[int, float]], int]:
    """Event -> how often and how many seconds, of all nodes; and how many rounds there were."""
    spent: dict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0])
    apply = Machine.apply

    def timed(self: Machine, event: e.Event) -> list[e.Action]:
        name = event.message.KIND if isinstance(event, e.Received) else type(event).__name__
        since = time.perf_counter()
        try:
            return apply(self, event)
        finally:
            row = spent[name]
            row[0] += 1
            row[1] += time.perf_counter() - since

    setup = Setup(nodes=nodes, min_peers=max(2, nodes // 2), epochs=[3 * rounds] * nodes, width=min(256, 4 * nodes))
    setup.sharded = sharded
    world = World(setup, 1)
    Machine.apply = timed  # type: ignore[method-assign]
    try:
        world.run(limit(world))
    finally:
        Machine.apply = apply  # type: ignore[method-assign]
    return {name: (int(count), seconds) for name, (count, seconds) in spent.items()}, len(world.newest.results)


def main() -> None:
    nodes, rounds = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (4, 30)
    for sharded in (False, True):
        spent, done = measure(nodes, rounds, sharded)
        whole = sum(seconds for _, seconds in spent.values())
        print(f"{'sharded' if sharded else 'small'}: {1e3 * whole / done / nodes:.2f} ms of a node's CPU in a round")
        for name, (count, seconds) in sorted(spent.items(), key=lambda x: -x[1][1])[:8]:
            print(f"  {name:16} {count / done / nodes:7.1f} times, {1e6 * seconds / count:8.1f} us each")


if __name__ == "__main__":
    main()

"""Invariant 7: one death costs at most 3 s at default limits, the next round nothing. At each moment, either path."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from rounds_sim.peer import Peer
from rounds_sim.schedules import MOMENTS, limit, name_of
from rounds_sim.world import Setup, World

LATE = 0.5
"""Of two runs with other random delays, a round may be so much longer by chance: a ledger block, a tick, a batch."""


def swarm(seed: int, sharded: bool) -> World:
    """3 to 8 equal nodes, 10 ms links, five rounds; min_peers leaves room for one death."""
    rng = random.Random(f"deaths {seed}")
    n = rng.randint(3, 8)
    setup = Setup(nodes=n, width=rng.randint(2, 9), min_peers=rng.randint(2, n - 1), sharded=sharded)
    setup.delay, setup.batch_seconds, setup.epochs = (0.005, 0.01), [0.2] * n, [12] * n
    return World(setup, f"{seed} {sharded}")


def kill(world: World, moment: str, turn: int, host: bool) -> list[float]:
    """Whoever does it for that time dies in the middle of it; when."""
    times: list[float] = []
    seen = 0

    def hook(world: World, peer: Peer, what: Any) -> None:
        nonlocal seen
        if times or name_of(what) != moment or world.newest.results == ():
            return
        seen += 1
        if seen == turn:
            times.append(world.now)
            world.crash(peer.me, False, host)

    world.hooks.append(hook)
    return times


def gaps(world: World) -> list[float]:
    return [b - a for a, b in pairwise(world.invariants.commit_times)]


@pytest.mark.parametrize("host", [False, True], ids=["process", "host"])
@pytest.mark.parametrize("sharded", [False, True], ids=["small", "sharded"])
@pytest.mark.parametrize("moment", [m for m in MOMENTS if m not in ("Park", "FETCH", "MODEL")])
def test_one_death_costs_three_seconds_and_the_next_round_nothing(moment: str, sharded: bool, host: bool) -> None:
    for seed in range(4):
        world, undisturbed = swarm(seed, sharded), swarm(seed, sharded)
        undisturbed.run(limit(undisturbed))
        times = kill(world, moment, random.Random(f"{moment} {seed}").randint(1, 12), host)
        world.run(limit(world))
        if not times:
            continue
        assert len(world.newest.results) == len(undisturbed.newest.results)
        assert world.now - undisturbed.now <= 3.0, f"seed {seed}: {world.now - undisturbed.now:.2f} s"
        usual = sorted(gaps(undisturbed))[len(gaps(undisturbed)) // 2]
        longer = [k for k, gap in enumerate(gaps(world)) if gap - usual > LATE]
        # It may hit the commit of one round and the exchange of the next, under way together: these two, no other.
        hit = sum(when < times[0] for when in world.invariants.commit_times) - 1
        assert set(longer) <= {hit, hit + 1}, f"seed {seed}: {gaps(world)}"

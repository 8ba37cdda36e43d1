"""Large swarms by seed: 100 nodes and 1,000, both paths, deaths and latecomers, few rounds."""

from __future__ import annotations

import gc
import random

from rounds_sim.schedules import die_at_a_moment, limit
from rounds_sim.world import Setup, World


def go(world: World) -> World:
    """Run it. The garbage collector would look at all of a thousand nodes again and again."""
    gc.collect()
    gc.disable()
    try:
        return world.run(limit(world))
    finally:
        gc.enable()


def crowd(seed: int, nodes: int) -> World:
    """A swarm of so many nodes; some die, one comes late, some are slow, and a few schedules are cut in halves."""
    rng = random.Random(f"crowd {nodes} {seed}")
    sync, huge = rng.randint(2, 3), nodes > 200  # a round of a thousand nodes takes long: there are few, and soon
    setup = Setup(
        nodes=nodes,
        width=rng.choice([16, 32] if huge else [16, 32, 64]),
        min_peers=rng.randint(nodes // 3, nodes // 2),
        sync=sync,
        epochs=[sync if huge else sync * 2] * nodes,
        batch_seconds=[rng.choice([0.2, 0.2, 0.2, 0.25, 0.3]) for _ in range(nodes)],
        start=[rng.uniform(0, 0.3 if huge else 1) for _ in range(nodes)],
        block_seconds=rng.choice([0.2, 0.5]),
        view_lag=0.2,
        delay=(0.001, rng.choice([0.005, 0.05])),
        loss=rng.choice([0.0, 0.0, 0.01]),
        sharded=rng.random() < 0.7,
        quiet=rng.uniform(2, 3) if huge else rng.uniform(4, 6),
    )
    world = World(setup, f"{seed} of {nodes} nodes")
    gone = rng.sample(range(nodes), 2)
    for k in gone:
        world.at(rng.uniform(1, setup.quiet), world.crash, world.names[k], False, rng.random() < 0.5)
    back = rng.choice([k for k in range(nodes) if k not in gone])
    when = rng.uniform(1, setup.quiet - 1)
    world.at(when, world.crash, world.names[back], rng.random() < 0.3)
    setup.wipes = True
    world.at(min(setup.quiet, when + rng.choice([0.2, 2.0])), world.boot, world.names[back])
    if nodes <= 200 and rng.random() < 0.3:
        side = {n for n in world.names if rng.random() < 0.5}
        pairs = [(a, b) for a in world.names for b in world.names if (a in side) != (b in side)]
        world.at(when, world.cut, pairs)
        world.at(setup.quiet, world.heal, pairs)
    die_at_a_moment(world, rng, gone[0])
    return world

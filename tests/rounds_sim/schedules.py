"""Random swarms and random faults: `chaos(seed)` is one schedule, and the seed is all that it depends on."""

from __future__ import annotations

import math
import random
from typing import Any

from rounds_sim import hostile_blocks
from rounds_sim.hostile import KINDS, hostile
from rounds_sim.peer import Peer
from rounds_sim.world import Setup, World

from swarm_lab.rounds import events as e

MOMENTS = [
    "PLAN",
    "CERT",
    "VOTE",
    "CHECKIN",
    "STORED",
    "FETCH",
    "MODEL",
    "Merge",
    "Store",
    "Commit",
    "Load",
    "Train",
    "Park",
    "StartExchange",
    "ExchangeMoved",
    "ExchangeDone",
    "EndExchange",
    "Raw",
    "Merged",
    "Signed",
    "Need",
]


def swarm(rng: random.Random, nodes: int | None = None) -> Setup:
    """A swarm that would finish by itself."""
    n = nodes or rng.choice([2, 3, 3, 4, 4, 5, 5, 6, 7])
    sync = rng.randint(2, 4)
    slowest = rng.choice([0.05, 0.1, 0.3])
    modes = [rng.choice(["snapshot", "active", "inactive"]) for _ in range(n)]
    if all(m == "inactive" for m in modes):
        modes[0] = "snapshot"
    return Setup(
        nodes=n,
        width=rng.randint(1, 4),
        min_peers=rng.randint(2, max(2, n - 1)),
        sync=sync,
        end_rule=rng.choice(["all", "all", "min_peers"]),
        weights=[rng.randint(1, 4) for _ in range(n)],
        modes=modes,
        epochs=[sync * rng.randint(2, 4) + rng.choice([0, 0, 1]) for _ in range(n)],
        batch_seconds=[slowest * rng.choice([1, 1, 1, 1.3, 2, 4]) for _ in range(n)],
        start=[rng.uniform(0, 1) for _ in range(n)],
        program_start=rng.choice([0.1, 1.0]),
        merge_seconds=rng.choice([0.0, 0.05, 0.3]),
        block_seconds=rng.choice([0.05, 0.2, 0.5, 1.0]),
        view_lag=rng.choice([0.02, 0.2]),
        delay=(0.001, rng.choice([0.005, 0.05, 0.2])),
        no_coordinators=(rng.randrange(n),) if rng.random() < 0.15 else (),
        assigned=rng.random() < 0.7,
    )


def weather(rng: random.Random, setup: Setup) -> None:
    """Loss, duplicates, a slow, silent or forgetful ledger, a late joiner, a hung program, a full disk."""
    until = setup.quiet
    if rng.random() < 0.5:
        setup.depth, setup.reorganise = 3, rng.choice([0.1, 0.4])
        setup.block_seconds = min(setup.block_seconds, 0.5)
    if rng.random() < 0.3:
        since = rng.uniform(0, until)
        setup.ledger_off = (since, min(until, since + rng.uniform(1, 6)))
    if rng.random() < 0.5:
        setup.loss, setup.duplicates = rng.choice([0.02, 0.1, 0.3]), rng.choice([0.0, 0.2])
    if rng.random() < 0.2:
        setup.start[rng.randrange(setup.nodes)] = rng.uniform(2, until)
    if rng.random() < 0.15:
        since = rng.uniform(1, until)
        setup.hang[rng.randrange(setup.nodes)] = (since, min(until, since + rng.uniform(1, 6)))
    if rng.random() < 0.1:
        since = rng.uniform(0, until)
        setup.full_disk[rng.randrange(setup.nodes)] = (since, until)


def follow_losses(seed: int, setup: Setup) -> None:
    """Adaptive sync, and in every other schedule early stopping, over losses that mostly fall, rise, or are not known.

    A generator of their own: the rest of the schedule stays what it is without them.
    """
    known = random.Random(f"who measures {seed}").choices([0.0, 0.2, 1.0], [6, 3, 1])[0]

    def loss(number: int, batches: int) -> float:
        rng = random.Random(f"loss {seed} {number} {batches}")
        if rng.random() < known:
            return rng.choice([math.nan, math.inf])
        return rng.choice([1, 1, -1]) * rng.uniform(0.97, 1.03) / (1 + batches // 6)

    setup.adaptive, setup.losses = True, loss
    setup.sync = random.Random(f"start {seed}").randint(1, 9)
    setup.epochs = [3 * count for count in setup.epochs]
    setup.early_stopping = seed % 2 and random.Random(f"patience {seed}").randint(1, 4)


def lines(rng: random.Random, setup: Setup) -> None:
    """Lines with rates; one in three swarms chooses the way by what was measured of them."""
    # A dozen models through one line of three seconds each is a round of minutes: right, and of no use here.
    slowest = 3.0 if setup.nodes <= 7 else 0.5
    setup.rates = [rng.choice([0.01, 0.02, 0.05, 0.05, 0.2, 0.5, slowest]) for _ in range(setup.nodes)]
    setup.measured_at = rng.choice([0.0, 3.0]) if max(setup.rates) <= 0.2 else 0.0
    setup.nbytes = rng.choice([0, 0, 2**20])


def various(seed: int, enemy: str | None = None) -> World:
    """`chaos` with what the seed says: either path, 2 to 16 nodes, adaptive or not, with relays and slow lines."""
    rng = random.Random(f"various {seed}")
    nodes = rng.choice([2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12, 16])
    sharded = rng.random() < 0.6 or enemy in hostile_blocks.KINDS
    adaptive, relay, slow = rng.random() < 0.25, rng.random() < 0.4, rng.random() < 0.4
    return chaos(
        seed, enemy, adaptive=adaptive, sharded=sharded, relay=relay, slow=slow, nodes=None if enemy else nodes
    )


def chaos(
    seed: int,
    enemy: str | None = None,
    *,
    adaptive: bool = False,
    sharded: bool = False,
    relay: bool = False,
    slow: bool = False,
    nodes: int | None = None,
) -> World:
    """One schedule. All faults end by `setup.quiet`; after it the swarm must finish."""
    rng = random.Random(f"chaos {seed}")
    setup = swarm(rng, rng.choice([4, 5, 6, 7]) if enemy else nodes)
    setup.quiet = rng.uniform(4, 12)
    weather(rng, setup)
    faults = rng.choice([0, 0, 1]) if enemy else rng.choice([0, 1, 1, 2, 3, 5])
    if enemy:
        setup.modes = ["snapshot"] * setup.nodes
        setup.min_peers = rng.randint(2, setup.nodes - 1)
    dead = rng.randrange(setup.nodes) if faults and setup.nodes > 2 and not enemy and rng.random() < 0.2 else None
    broken = (setup.nodes - 1 - (dead or 0)) if setup.nodes > 3 and not enemy and rng.random() < 0.15 else None
    spare(setup, {k for k in (dead, broken) if k is not None})
    if adaptive:
        follow_losses(seed, setup)
    setup.sharded, setup.relay = sharded, relay
    if slow and enemy not in hostile_blocks.KINDS:  # who floods a slow line closes it, whatever the rules
        lines(random.Random(f"lines {seed}"), setup)
    world = World(setup, seed)
    if enemy in hostile_blocks.KINDS:
        hostile_blocks.turn(world, rng.choice(world.names), enemy)
    elif enemy:
        world.hostile[rng.choice(world.names)] = hostile(enemy)
    if dead is not None:
        world.at(rng.uniform(0.5, setup.quiet), world.crash, world.names[dead], False, rng.random() < 0.5)
    if broken is not None:
        world.at(rng.uniform(0.5, setup.quiet), world.break_program, world.names[broken])
    if rng.random() < 0.1:
        world.at(rng.uniform(0.5, setup.quiet), world.stop, world.names if rng.random() < 0.7 else world.names[:1])
    for _ in range(faults):
        add_fault(world, rng, dead)
    return world


def spare(setup: Setup, gone: set[int]) -> None:
    """The swarm must be able to finish without those that go for good."""
    setup.min_peers = min(setup.min_peers, max(1, setup.nodes - len(gone)))
    if gone and all(m == "inactive" for k, m in enumerate(setup.modes) if k not in gone):
        setup.modes = ["snapshot"] * setup.nodes


def add_fault(world: World, rng: random.Random, dead: int | None) -> None:
    until = world.setup.quiet
    start = rng.uniform(0.5, until)
    end = min(until, start + rng.choice([0.2, 1, 3, 6]))
    one = world.names[rng.choice([k for k in range(world.setup.nodes) if k != dead])]
    kind = rng.choice(
        ["kill", "kill", "kill", "moment", "moment", "moment", "cut", "one-way", "halves", "freeze", "sn", "all"]
    )
    if kind == "kill":
        wipe = dead is None and not world.setup.wipes and rng.random() < 0.3
        world.setup.wipes = world.setup.wipes or wipe
        world.at(start, world.crash, one, wipe, rng.random() < 0.5)
        world.at(end, world.boot, one)
    elif kind == "moment":
        die_at_a_moment(world, rng, dead)
    elif kind in ("cut", "one-way", "halves"):
        pairs = pairs_of(world, rng, kind, one)
        world.at(start, world.cut, pairs)
        world.at(end, world.heal, pairs)
    elif kind == "freeze":
        world.at(start, world.freeze, one, end)
    elif kind == "sn":
        for name in world.names:
            if name == one or rng.random() < 0.3:
                world.no_ledger[name] = (start, end)
    else:
        for k, name in enumerate(world.names):
            world.at(start + rng.uniform(0, 0.05), world.crash, name)
            if k != dead:
                world.at(end + rng.uniform(0, 1), world.boot, name)


def pairs_of(world: World, rng: random.Random, kind: str, one: str) -> list[tuple[str, str]]:
    names = world.names
    if kind == "halves":
        side = {n for n in names if rng.random() < 0.5}
        return [(a, b) for a in names for b in names if (a in side) != (b in side)]
    other = rng.choice([n for n in names if n != one])
    return [(one, other)] if kind == "one-way" else [(one, other), (other, one)]


def name_of(action: Any) -> str:
    """Of a message's kind, an action, an event or a frame."""
    return action.message.KIND if isinstance(action, e.Send) else type(action).__name__


def die_at_a_moment(world: World, rng: random.Random, dead: int | None) -> None:
    """Kill whoever does a given thing for the k-th time, in the middle of its actions."""
    moment, turn, back = rng.choice(MOMENTS), rng.randint(1, 12), rng.choice([0.3, 2, 5])
    host = rng.random() < 0.3
    seen = 0

    def hook(world: World, peer: Peer, action: Any) -> None:
        nonlocal seen
        if name_of(action) != moment or world.now >= world.setup.quiet or seen >= turn or peer.number == dead:
            return
        seen += 1
        if seen == turn:
            world.crash(peer.me, False, host)
            world.at(min(world.setup.quiet, world.now + back), world.boot, peer.me)

    world.hooks.append(hook)


def limit(world: World) -> float:
    """When it must be over: the faults, the rounds' own time, and an allowance for each round."""
    s = world.setup
    work = max(k * b * 1.1 for k, b in zip(s.epochs, s.batch_seconds, strict=True))
    shortest = max(1, s.sync // 4) if s.adaptive else s.sync
    rounds = max(s.epochs) // shortest + 3
    slowest = max(s.rates, default=0.0) * (2 * s.nodes + 4)
    waits = slowest + s.block_seconds * s.depth * 2 + 8 * s.delay[1] + s.disk_seconds + s.merge_seconds + 1.75
    return s.quiet + 3 * work + rounds * (waits + 4 * max(s.batch_seconds) + 3) + 20 + s.start_grace


__all__ = ["KINDS", "chaos", "limit"]

"""Random schedules by seed; a failure prints the command that shows it again.

Budget, in seconds of CPU; `make test` spreads the slow parts over all cores, so that with two they take half of it:

| Part                                        | `make check`  | `make test`  |
|---------------------------------------------|---------------|--------------|
| faults, 2 to 16 nodes, either path          | 240: 15 s     | 2,000: 120 s |
| one hostile node, by messages and by blocks | 4 each: 10 s  | 20 each: 50 s |
| 100 nodes                                   | 1: 2 s        | 50: 120 s    |
| 1,000 nodes                                 | -             | 3: 120 s     |

More with `python -m rounds_sim FIRST --seeds N` in tests/.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import pytest
from rounds_sim.crowds import crowd, go
from rounds_sim.hostile_blocks import KINDS as BLOCK_KINDS
from rounds_sim.peer import Peer, Violation
from rounds_sim.schedules import KINDS, chaos, limit, various
from rounds_sim.world import World

from swarm_lab.rounds import events as e
from swarm_lab.rounds.codec import decode, encode

ENEMIES = (*KINDS, *BLOCK_KINDS)
Job = tuple[int, str, int]
"""Seed, enemy (or none), nodes (0: as the seed says)."""


def violation(job: Job) -> str:
    """What is wrong with one schedule, and how to see it again."""
    seed, enemy, nodes = job
    try:
        if nodes:
            go(crowd(seed, nodes))
        else:
            world = various(seed, enemy or None)
            world.run(limit(world))
    except Violation as broken:
        flags = f' --enemy "{enemy}"' if enemy else f" --nodes {nodes}" if nodes else ""
        return f"cd tests && python -m rounds_sim {seed}{flags} --trace: {broken}"
    return ""


def violations(jobs: Iterable[Job]) -> list[str]:
    return [found for job in jobs if (found := violation(job))]


def violations_of_many(jobs: list[Job]) -> list[str]:
    """On all cores: `make test` is one process."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return [found for found in pool.map(violation, jobs, chunksize=1 if jobs[0][2] else 20) if found]


@pytest.mark.parametrize("part", range(8))
def test_faults(part: int) -> None:
    assert violations((seed, "", 0) for seed in range(part * 30, (part + 1) * 30)) == []


@pytest.mark.parametrize("enemy", ENEMIES)
def test_one_hostile_node(enemy: str) -> None:
    assert violations((seed, enemy, 0) for seed in range(4)) == []


def test_a_hundred_nodes() -> None:
    assert violations([(0, "", 100)]) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_faults_in_thousands() -> None:
    assert violations_of_many([(seed, "", 0) for seed in range(1000, 3000)]) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_hostile_node_in_many_schedules() -> None:
    assert violations_of_many([(seed, enemy, 0) for enemy in ENEMIES for seed in range(1000, 1020)]) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_nodes_fifty_times() -> None:
    assert violations_of_many([(seed, "", 100) for seed in range(1, 51)]) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_nodes() -> None:
    assert violations_of_many([(seed, "", 1000) for seed in range(3)]) == []


def test_a_schedule_follows_from_its_seed() -> None:
    traces = []
    for _ in range(2):
        world = chaos(77, sharded=True, slow=True, relay=True)
        world.trace = []
        world.run(limit(world))
        traces.append(world.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 100


@pytest.mark.parametrize("sharded", [False, True], ids=["small", "sharded"])
def test_whatever_is_sent_in_a_schedule_passes_the_codec(sharded: bool) -> None:
    world, kinds = chaos(78, sharded=sharded), set()

    def travel(world: World, peer: Peer, action: object) -> None:
        if isinstance(action, e.Send):
            assert decode(action.message.KIND, encode(action.message)) == action.message
            kinds.add(action.message.KIND)

    world.hooks.append(travel)
    world.run(limit(world))
    assert {"CHECKIN", "PLAN", "VOTE", "CERT", "STORED"} <= kinds
    for peer in world.honest():
        beat = peer.heartbeat()
        assert decode("HEARTBEAT", encode(beat)) == beat

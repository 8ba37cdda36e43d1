"""Random schedules by seed: `python -m rounds_sim SEED SEED+1 --trace` in tests/ shows one that failed."""

from __future__ import annotations

import pytest
from rounds_sim.peer import Peer, Violation
from rounds_sim.schedules import KINDS, chaos, limit
from rounds_sim.world import World

from swarm_lab.rounds import events as e
from swarm_lab.rounds.codec import decode, encode

QUICK, MANY = 40, 300
HOSTILE, MANY_HOSTILE = 10, 60


def violations(first: int, last: int, enemy: str | None = None) -> list[str]:
    found = []
    for seed in range(first, last):
        world = chaos(seed, enemy)
        try:
            world.run(limit(world))
        except Violation as violation:
            found.append(str(violation))
    return found


@pytest.mark.parametrize("part", range(8))
def test_faults(part: int) -> None:
    assert violations(part * QUICK, (part + 1) * QUICK) == []


@pytest.mark.parametrize("enemy", KINDS)
def test_one_hostile_node(enemy: str) -> None:
    assert violations(0, HOSTILE, enemy) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_faults_in_thousands(part: int) -> None:
    assert violations(1000 + part * MANY, 1000 + (part + 1) * MANY) == []


@pytest.mark.slow
@pytest.mark.parametrize("enemy", KINDS)
def test_one_hostile_node_in_many_schedules(enemy: str) -> None:
    assert violations(1000, 1000 + MANY_HOSTILE, enemy) == []


def test_a_schedule_follows_from_its_seed() -> None:
    traces = []
    for _ in range(2):
        world = chaos(77)
        world.trace = []
        world.run(limit(world))
        traces.append(world.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 100


def test_whatever_is_sent_in_a_schedule_passes_the_codec() -> None:
    world, kinds = chaos(78), set()

    def travel(world: World, peer: Peer, action: e.Action) -> None:
        if isinstance(action, e.Send):
            assert decode(action.message.KIND, encode(action.message)) == action.message
            kinds.add(action.message.KIND)

    world.hooks.append(travel)
    world.run(limit(world))
    assert {"CHECKIN", "PLAN", "VOTE", "CERT", "STORED"} <= kinds
    for peer in world.honest():
        beat = peer.heartbeat()
        assert decode("HEARTBEAT", encode(beat)) == beat

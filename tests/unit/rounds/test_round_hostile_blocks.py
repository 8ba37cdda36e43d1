"""One node that is hostile in a sharded exchange, on a calm day: who is named, who is left out, who is not."""

from __future__ import annotations

import pytest
from rounds_sim import hostile_blocks
from rounds_sim.hostile_blocks import KINDS, WRONG_MERGE
from rounds_sim.schedules import limit
from rounds_sim.world import Setup, World

CULPRIT = 3
"""Does not coordinate in the first rounds, and has peers of both kinds (odd, even) among the others."""

NAMED = {
    "spoilt blocks": "do not fit the root",
    "spoilt blocks to some": "do not fit the root",
    "gives no blocks": "its blocks do not come to",
    "gives no merge": "its merged blocks do not come to",
    "two merges": "different merged blocks to different peers",
    "forged slice": "a forged slice",
    "another digest": "not those that it signed",
    "junk with right slices": "junk",
    "junk with wrong slices": "forged slice signature",
    "bad owners": "bad plan",
}
"""What some honest node says of the culprit. Of the others nobody can say that they are wrong: see the rules, 9."""
STAYS = {
    "gives no merge to some",
    "asks for nonsense",
    "garbage frames",
    "lies in lacks",
    "lies in unmerged",
    "lies of all",
    "vote without slices",
    WRONG_MERGE,
}
"""Kinds that take part in each round all the same."""


def swarm(kind: str, slow: bool = False) -> World:
    setup = Setup(nodes=6, width=7, min_peers=3, sharded=True, delay=(0.005, 0.01), epochs=[9] * 6)
    setup.rates = [0.05] * 6 if slow else []
    world = World(setup, kind)
    hostile_blocks.turn(world, world.names[CULPRIT], kind)
    return world


@pytest.mark.parametrize("kind", KINDS)
def test_the_round_goes_on_and_blames_nobody_else(kind: str) -> None:
    world = swarm(kind)
    world.run(limit(world))
    culprit = world.names[CULPRIT]
    honest = {p.me for p in world.honest()}
    said = [n for p in world.honest() for n in p.notices if n.kind == "bad_peer"]
    blamed = {node for n in said for node in n.nodes}
    assert blamed <= {culprit}, [n.text for n in said if culprit not in n.nodes]
    if kind in NAMED:
        assert any(NAMED[kind] in n.text for n in said), {n.text for n in said}
    for result in world.newest.results:
        assert honest <= set(result.nodes()), f"round {result.round} is without an honest node"
    if kind in STAYS:
        assert all(culprit in result.nodes() for result in world.newest.results)


@pytest.mark.parametrize("kind", KINDS)
def test_it_costs_seconds_and_no_more(kind: str) -> None:
    world, calm = swarm(kind), Setup(nodes=6, width=7, min_peers=3, sharded=True, delay=(0.005, 0.01), epochs=[9] * 6)
    undisturbed = World(calm, kind).run(1e9)
    world.run(limit(world))
    assert (world.now - undisturbed.now) / len(world.newest.results) <= 6.0


def test_a_wrong_merge_that_all_get_is_alike_for_all() -> None:
    world = swarm(WRONG_MERGE)
    world.run(limit(world))
    ends = {p.trainer.x for p in world.honest()}
    assert len(ends) == 1

"""Any faults in any order, chosen and shrunk by hypothesis; then calm, and all must finish with the same model."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from rounds_sim.schedules import limit, swarm
from rounds_sim.world import World

nodes = st.integers(0, 6)
moments = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 4.0])


class Faults(RuleBasedStateMachine):
    """The invariants of section 13 are checked by the world itself, all the time."""

    world: World

    @initialize(seed=st.integers(0, 2**32 - 1), depth=st.sampled_from([1, 3]))
    def begin(self, seed: int, depth: int) -> None:
        setup = swarm(random.Random(seed))
        setup.depth, setup.block_seconds = depth, min(setup.block_seconds, 0.5)
        setup.quiet = 1e9
        self.world = World(setup, seed)

    def name(self, number: int) -> str:
        return self.world.names[number % len(self.world.names)]

    @rule(seconds=moments)
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(node=nodes, host=st.booleans())
    def dies(self, node: int, host: bool) -> None:
        self.world.crash(self.name(node), False, host)

    @rule(node=nodes)
    def starts(self, node: int) -> None:
        self.world.boot(self.name(node))

    @rule(node=nodes, other=nodes, both=st.booleans())
    def link_breaks(self, node: int, other: int, both: bool) -> None:
        a, b = self.name(node), self.name(other)
        if a != b:
            self.world.cut([(a, b), (b, a)] if both else [(a, b)])

    @rule(side=st.sets(nodes))
    def splits(self, side: set[int]) -> None:
        inside = {self.name(k) for k in side}
        names = self.world.names
        self.world.cut([(a, b) for a in names for b in names if (a in inside) != (b in inside)])

    @rule()
    def heals(self) -> None:
        self.world.heal(list(self.world.network.cuts))

    @rule(node=nodes, seconds=moments)
    def freezes(self, node: int, seconds: float) -> None:
        self.world.freeze(self.name(node), self.world.now + seconds)

    @rule(node=nodes, seconds=moments)
    def program_hangs(self, node: int, seconds: float) -> None:
        now = self.world.now
        self.world.setup.hang[node % len(self.world.names)] = (now, now + seconds)

    @rule(node=nodes, seconds=moments)
    def disk_is_full(self, node: int, seconds: float) -> None:
        now = self.world.now
        self.world.setup.full_disk[node % len(self.world.names)] = (now, now + seconds)

    @rule(seconds=moments)
    def ledger_stands_still(self, seconds: float) -> None:
        self.world.setup.ledger_off = (self.world.now, self.world.now + seconds)

    @rule(node=nodes, seconds=moments)
    def sees_no_ledger(self, node: int, seconds: float) -> None:
        self.world.no_ledger[self.name(node)] = (self.world.now, self.world.now + seconds)

    @rule()
    def ledger_reorganises(self) -> None:
        self.world.chain.reorganise()

    @rule(loss=st.sampled_from([0.0, 0.1, 0.3]), duplicates=st.sampled_from([0.0, 0.2]))
    def network_changes(self, loss: float, duplicates: float) -> None:
        self.world.setup.loss, self.world.setup.duplicates = loss, duplicates

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.calm()
            self.world.run(limit(self.world))


def run(examples: int, steps: int) -> None:
    profile = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Faults, settings=profile)


def test_any_faults_in_any_order() -> None:
    run(examples=50, steps=20)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_any_faults_in_any_order_for_long() -> None:
    run(examples=250, steps=40)

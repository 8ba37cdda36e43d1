"""Adaptive sync and early stopping with real drivers, signatures and merges: what programs measure steers them all."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable

import pytest
from support import swarm_in_process as lab

from swarm_lab.nodes.pilot import Arrival
from swarm_lab.rounds.events import Finish
from swarm_lab.rounds.messages import number

NAN = math.nan


class Measuring(lab.Program):
    """Measures the models that it is given: these losses, one after the other, and the last one from then on."""

    def __init__(self, *losses: float, batches: int = 10_000, seconds: float = 0.002) -> None:
        super().__init__(start=1.0, step=0.25, batches=batches, seconds=seconds)
        self.losses = list(losses)
        self.syncs: list[int] = []

    async def park(self, reason: str, fresh: bool = True) -> dict:
        loss = NAN
        if reason == "interval":
            self.syncs.append(self.done_batches)
            loss = self.losses.pop(0) if len(self.losses) > 1 else self.losses[0]
        contribution = bytes(lab.LAYOUT.pack({"w": self.weights})) if fresh else None
        self.pilot.arrived(Arrival(reason, self.done_batches, loss, 1 - loss, contribution, loss / 2, 0.25))
        answer = await self.answer.get()
        if answer["model"] is not None:
            self.weights = lab.LAYOUT.views(answer["model"])["w"].copy()
        return answer


@pytest.fixture
async def swarms(tmp_path) -> AsyncIterator[Callable]:
    made = []

    def make(programs, **rules):
        made.append(lab.Swarm(tmp_path, programs, **rules))
        return made[-1]

    yield make
    for swarm in made:
        await swarm.close()


async def finish(swarm: lab.Swarm) -> list[Finish]:
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    outcomes = await swarm.outcomes()
    assert all(isinstance(outcome, Finish) for outcome in outcomes)
    assert len({outcome.result.model for outcome in outcomes}) == 1
    return outcomes


async def test_the_programs_interval_is_the_one_on_the_ledger(swarms) -> None:
    swarm = swarms([Measuring(1.0, 0.9, 0.8, 0.8, batches=100) for _ in range(3)], min_peers=3, adaptive=True)
    await finish(swarm)
    results = swarm.ledger.state.results
    assert [result.next for result in results[:7]] == [4, 4, 8, 16, 16, 8, 8]
    for node in swarm.nodes:
        assert node.program.syncs[:6] == [4, 8, 16, 32, 48, 56]


@pytest.mark.conformance("CB-70")
@pytest.mark.parametrize("rule", ["all", "min_peers"])
async def test_all_stop_with_one_model_when_the_loss_gets_no_better(swarms, rule: str) -> None:
    paces = (0.002, 0.003, 0.008)
    programs = [Measuring(1.0, 0.9, 0.9, 0.95, seconds=seconds) for seconds in paces]
    swarm = swarms(programs, early_stopping=3, end_rule=rule)
    outcomes = await finish(swarm)
    assert all(outcome.result.end for outcome in outcomes)
    assert {n.kind for node in swarm.nodes for n in node.listener.notices} >= {"stops_early", "committed"}
    assert all(program.done_batches < 200 for program in programs)
    assert outcomes[0].result.round <= 14


async def test_what_was_measured_before_and_after_stands_on_the_ledger(swarms) -> None:
    swarm = swarms([Measuring(0.5, 0.25, batches=8) for _ in range(2)])
    await finish(swarm)
    first = next(p for r in swarm.ledger.state.results for p in r.participants if not math.isnan(number(p.loss)))
    found = [number(value) for value in (first.loss, first.metric, first.local_loss, first.local_metric)]
    assert found == [0.5, 0.5, 0.25, 0.25]


async def test_without_losses_the_interval_stays_and_nothing_stops(swarms) -> None:
    swarm = swarms([Measuring(NAN, batches=24) for _ in range(2)], adaptive=True, early_stopping=1)
    await finish(swarm)
    assert {result.next for result in swarm.ledger.state.results} == {4}
    told = [[n.kind for n in node.listener.notices].count("no_validation") for node in swarm.nodes]
    assert told == [1, 1] and all(node.program.done_batches == 24 for node in swarm.nodes)

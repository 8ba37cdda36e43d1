"""Driver, pilot, vault and machine together: a training in one process, with real signatures and merges."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from support import swarm_in_process as lab

from swarm_lab.rounds.events import Fail, Finish, StopRequested


@pytest.fixture
async def swarms(tmp_path) -> AsyncIterator[Callable]:
    made = []

    def make(programs, **rules):
        swarm = lab.Swarm(tmp_path, programs, **rules)
        made.append(swarm)
        return swarm

    yield make
    for swarm in made:
        await swarm.close()


def programs(n: int, batches: int = 12, seconds: float = 0.002) -> list:
    return [lab.Program(start=float(i), step=0.25 * (i + 1), batches=batches, seconds=seconds) for i in range(n)]


async def test_all_nodes_end_with_the_mean_of_all_work(swarms) -> None:
    swarm = swarms(programs(3), min_peers=3)
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    outcomes = await swarm.outcomes()
    assert all(isinstance(o, Finish) for o in outcomes)
    assert len({o.result.model for o in outcomes}) == 1
    await asyncio.sleep(0.2)
    # Initial weights 0, 1, 2; each batch adds 0.25, 0.5, 0.75: the mean of all of it, whatever the rounds were.
    expected = 1.0 + 12 * 0.5
    for node in swarm.nodes:
        assert np.allclose(node.program.weights, expected), node.program.weights
    assert [r.round for r in swarm.ledger.state.results] == list(range(1, len(swarm.ledger.state.results) + 1))
    assert swarm.ledger.state.results[-1].end


async def test_a_node_that_dies_is_left_behind_and_the_rest_finish(swarms) -> None:
    swarm = swarms(programs(4, batches=40, seconds=0.01), min_peers=2)
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    while len(swarm.ledger.state.results) < 3:
        await asyncio.sleep(0.01)
    await swarm.nodes[1].crash()
    outcomes = await swarm.outcomes()
    assert len(outcomes) == 3 and all(isinstance(o, Finish) for o in outcomes)
    assert len({o.result.model for o in outcomes}) == 1


async def test_a_node_that_comes_back_ends_with_the_same_model(swarms) -> None:
    swarm = swarms(programs(3, batches=60, seconds=0.01), min_peers=2)
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    while len(swarm.ledger.state.results) < 3:
        await asyncio.sleep(0.01)
    lost = swarm.nodes[2]
    await lost.crash()
    await asyncio.sleep(0.3)
    lost.program = lab.Program(start=100.0, step=0.75, batches=10, seconds=0.01)
    await lost.start()
    outcomes = await swarm.outcomes()
    assert len(outcomes) == 3 and len({o.result.model for o in outcomes}) == 1
    assert swarm.ledger.state.members[lost.id].incarnation == 2


async def test_stop_ends_with_one_closing_round(swarms) -> None:
    swarm = swarms(programs(3, batches=10_000, seconds=0.005), min_peers=3)
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    while len(swarm.ledger.state.results) < 3:
        await asyncio.sleep(0.01)
    for node in swarm.nodes:
        node.driver.apply(StopRequested(asyncio.get_running_loop().time()))
    outcomes = await swarm.outcomes()
    assert all(isinstance(o, Finish) for o in outcomes) and len({o.result.model for o in outcomes}) == 1
    assert swarm.ledger.state.results[-1].end


async def test_a_slow_node_is_left_out_with_its_work_kept(swarms) -> None:
    fast = programs(3, batches=60, seconds=0.01)
    fast[2].seconds, fast[2].batches = 0.5, 12
    swarm = swarms(fast, min_peers=2)
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    outcomes = await swarm.outcomes(40)
    assert len({o.result.model for o in outcomes}) == 1
    slow = swarm.nodes[2].id
    sets = [set(r.nodes()) for r in swarm.ledger.state.results]
    assert any(slow not in s for s in sets[1:]) and slow in sets[-1]


async def test_too_few_that_can_come_is_a_failure_that_names_who_left(swarms) -> None:
    swarm = swarms(programs(2, batches=10_000, seconds=0.01), min_peers=2)
    await asyncio.gather(*(node.start() for node in swarm.nodes))
    while len(swarm.ledger.state.results) < 2:
        await asyncio.sleep(0.01)
    gone = swarm.nodes[1]
    await gone.crash()
    await swarm.ledger.port(gone.id).depart("SWL-651")
    [outcome] = await swarm.outcomes()
    assert isinstance(outcome, Fail) and gone.id in outcome.text and "SWL-651" in outcome.text

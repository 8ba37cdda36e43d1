"""The robust merge methods through the machine: every committed model is what its contributions say, computed anew."""

import numpy as np
import pytest
from scipy.optimize import minimize
from support.swarm_in_process import LAYOUT, Node, Program, Swarm

from swarm_lab.callback.arguments import MERGE_METHODS as FOR_PROGRAMS
from swarm_lab.front.options import TrainOptions
from swarm_lab.nodes.staging import TrainingRules
from swarm_lab.rounds.events import Merge
from swarm_lab.rounds.layout import root
from swarm_lab.rounds.merge import METHODS
from swarm_lab.spec import MERGE_METHODS as FOR_OPERATORS

# Steps of five nodes over the eight weights; the last is out of its mind.
STEPS = [*np.random.default_rng(5).normal(size=(4, 8)).astype(np.float32), np.full(8, 1e6, np.float32)]


class Recorder(Program):
    """Keeps whatever model it gives or gets, by digest: in a swarm in one process all are known."""

    def __init__(self, models: dict[str, np.ndarray], **of: float) -> None:
        super().__init__(**of)
        self.models = models

    def keep(self, buffer: bytes) -> None:
        self.models[root(LAYOUT, buffer)] = LAYOUT.views(buffer)["w"].astype(np.float64)

    async def park(self, reason: str, fresh: bool = True) -> dict:
        self.keep(bytes(LAYOUT.pack({"w": self.weights})))
        answer = await super().park(reason, fresh)
        if answer["model"] is not None:
            self.keep(bytes(answer["model"]))
        return answer


def median(points: np.ndarray, weights: list[int]) -> np.ndarray:
    repeated = np.repeat(points, weights, axis=0)
    return np.median(repeated, axis=0)


def geometric(points: np.ndarray, weights: list[int]) -> np.ndarray:
    def cost(at: np.ndarray) -> float:
        return float(np.asarray(weights) @ np.linalg.norm(points - at, axis=1))

    found = minimize(cost, median(points, weights), method="Nelder-Mead", tol=1e-12, options={"maxfev": 40_000})
    return min([found.x, *points], key=cost)


@pytest.mark.conformance("LC-51", "LC-52")
@pytest.mark.parametrize(("method", "reference"), [("coordmedian", median), ("geomedian", geometric)])
async def test_every_committed_model_is_the_median_of_its_contributions(tmp_path, method, reference) -> None:
    models: dict[str, np.ndarray] = {}
    programs = [Recorder(models, start=1.0, step=s, batches=10, seconds=0.002) for s in STEPS]
    swarm = Swarm(tmp_path, programs, min_peers=5, merge=method)
    try:
        for node in swarm.nodes:
            await node.start()
        assert {type(o).__name__ for o in await swarm.outcomes()} == {"Finish"}
        results = swarm.ledger.state.results
        assert len(results) >= 3
        for result in results:
            points = np.stack([models[p.root] for p in result.participants])
            assert len(points) == 5
            expected = reference(points, [p.weight for p in result.participants])
            merged = models[result.model]
            np.testing.assert_allclose(merged, expected, rtol=1e-6, atol=1e-4 * np.abs(points[:4] - points[0]).max())
        assert all(np.array_equal(p.weights, programs[0].weights) for p in programs)
        assert np.abs(programs[0].weights).max() < 100  # the mean would be at millions
    finally:
        await swarm.close()


async def test_a_merge_without_the_model_before_it_is_left_to_another_node(tmp_path) -> None:
    """The base is part of the arithmetic: a node that has lost it says so, and the round is made all the same."""
    swarm = Swarm(tmp_path, [Program(0.0, float(s), 8, 0.002) for s in (1, 2, 3)], min_peers=2, merge="geomedian")
    try:
        for node in swarm.nodes:
            await node.start()
        forgetful = [_loses_bases(node) for node in swarm.nodes[:2]]
        assert {type(o).__name__ for o in await swarm.outcomes()} == {"Finish"}
        assert any(forgetful)
        told = [n.text for node in swarm.nodes[:2] for n in node.listener.notices if n.kind == "merge_failed"]
        assert told and set(told) == {"the model before this round is not here"}
    finally:
        await swarm.close()


def _loses_bases(node: Node) -> list[str]:
    """While it merges, this node finds no base; returns the bases that it looked for."""
    lost: list[str] = []
    looked_for: list[str] = []
    merge, find = node.driver._merge, node.vault.find

    async def forgetful_merge(order: Merge) -> None:
        lost.append(order.base or "")
        await merge(order)
        lost.clear()

    async def forgetful_find(digest: str) -> object:
        if digest in lost:
            looked_for.append(digest)
            return None
        return await find(digest)

    node.driver._merge, node.vault.find = forgetful_merge, forgetful_find  # type: ignore[method-assign, assignment]
    return looked_for


def test_every_place_that_names_the_methods_names_the_same() -> None:
    staged = TrainingRules.model_json_schema()["properties"]["merge"]["enum"]
    typed = TrainOptions.model_json_schema()["properties"]["merge"]["enum"]
    assert list(METHODS) == staged == typed == list(FOR_OPERATORS) == list(FOR_PROGRAMS)

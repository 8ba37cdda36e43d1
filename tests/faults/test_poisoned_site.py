"""A site whose numbers are out of their mind: robust merging leaves the model where the others see it."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from support.patients import PROGRAM, Patient, finished

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STEPS = {
    "sl-1": [0.5, -1.0, 2.0, 0.25],
    "sl-2": [1.0, -1.5, 1.0, 0.5],
    "sl-3": [0.25, -0.75, 1.5, 0.75],
    "sl-4": [1e6, -1e6, -1e6, 1e6],
}
BATCHES = 10


def train(patient: Patient, asked: dict[str, dict[str, Any]], **options: Any) -> tuple[Any, dict[str, Any]]:
    environment = {"STEPS": json.dumps(STEPS), "ASKED": json.dumps(asked), "BATCHES": str(BATCHES)}
    program = PROGRAM.with_name("steps.py")
    training = patient.swarm.train(program, data=patient.data, sync=4, min_peers=4, env=environment, seed=1, **options)
    return training, finished(training)


def everybody_took_part(training: Any) -> bool:
    return all(len(done.nodes) == 4 for done in training.view.rounds)


@pytest.mark.conformance("LC-51", "LC-60")
def test_weighted_coordinate_median_of_a_whole_swarm(patient: Patient) -> None:
    weights = {"sl-1": 30, "sl-2": 20, "sl-3": 20, "sl-4": 69}
    training, last = train(patient, {n: {"nodeWeightage": w} for n, w in weights.items()}, merge="coordmedian")
    assert last["state"] == "finished" and everybody_took_part(training), last
    steps = np.repeat(np.array(list(STEPS.values())), list(weights.values()), axis=0)
    # Every interval adds the median of the steps to where all began it: exact in binary.
    assert training.model["weight"].tolist() == (BATCHES * np.median(steps, axis=0)).tolist()
    assert bool(training.model["on"])
    assert training.view.merge == "coordmedian"
    assert patient.swarm.verify(training.id).ok


@pytest.mark.conformance("LC-52", "CB-18")
def test_geometric_median_that_the_programs_ask_for(patient: Patient) -> None:
    training, last = train(patient, {n: {"mergeMethod": "geomedian"} for n in STEPS})
    assert last["state"] == "finished" and everybody_took_part(training), last
    points = np.array(list(STEPS.values()))

    def cost(at: np.ndarray) -> float:
        return float(np.linalg.norm(points - at, axis=1).sum())

    best = minimize(cost, np.median(points, axis=0), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    model = training.model
    assert cost(model["weight"] / BATCHES) <= best.fun * (1 + 1e-9)
    np.testing.assert_allclose(model["weight"] / BATCHES, best.x, atol=1e-3)
    assert np.abs(model["weight"]).max() < 100 and bool(model["on"])
    assert training.view.merge == "geomedian"
    assert next(t.merge for t in patient.swarm.status().trainings if t.id == training.id) == "geomedian"
    assert patient.swarm.verify(training.id).ok


def test_nodes_that_disagree_about_the_method_are_refused_by_name_and_value(patient: Patient) -> None:
    training, last = train(patient, {"sl-2": {"mergeMethod": "Geomedian"}}, merge="coordmedian")
    assert last["state"] == "failed"
    said = " ".join(str(e["message"]) for e in patient.swarm.events()
                    if e.get("training") == training.id and e["event"] == "node_failed")  # fmt: skip
    assert "merge_method is" in said and "geomedian on sl-2" in said and "coordmedian on sl-" in said

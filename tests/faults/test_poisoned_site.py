"""A site whose numbers are out of their mind: robust merging leaves the model where the others see it."""

import json
import time
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from scipy.optimize import minimize
from support.patients import PROGRAM, Patient, finished

from swarm_lab.cli import group
from swarm_lab.errors import NoSuchNode
from swarm_lab.facts.metrics import FILE, WRITE_S
from swarm_lab.front.show import PeopleOut

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


def until_written(patient: Patient, after: float) -> None:
    """Wait until every seat has written its numbers again."""
    files = [patient.swarm.paths.node(seat) / FILE for seat in patient.swarm.seats]
    deadline = time.monotonic() + 4 * WRITE_S
    while min(file.stat().st_mtime for file in files) < after:
        assert time.monotonic() < deadline, "no numbers were written"
        time.sleep(0.1)


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


def test_the_nodes_numbers_tell_of_the_rounds(patient: Patient) -> None:
    """After the trainings above: what each node counted, as `swarm-lab metrics` prints it."""
    until_written(patient, time.time())
    page = CliRunner().invoke(group(), ["metrics", patient.swarm.name], obj=PeopleOut(), standalone_mode=False)
    text = patient.swarm.metrics("sl-1")
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert {s.labels["node"] for s in samples} == {"sl-1"}
    found = {s.name: s.value for s in samples if s.labels.keys() <= {"swarm", "node"}}
    peers = {s.labels["peer"] for s in samples if s.name == "swarm_lab_received_bytes_total" and s.value > 0}
    phases = {s.labels["phase"] for s in samples if s.name == "swarm_lab_phase_seconds_count" and s.value > 0}
    assert found["swarm_lab_rounds_total"] >= 6 and found["swarm_lab_batches_total"] >= 2 * BATCHES
    assert found["swarm_lab_round_seconds_sum"] > 0
    assert peers >= {"sl-2", "sl-3", "sl-4"} and {"training", "checked_in"} <= phases
    everywhere = [s for f in text_string_to_metric_families(patient.swarm.metrics()) for s in f.samples]
    for name in ("merge", "ledger_commit"):
        assert sum(s.value for s in everywhere if s.name == f"swarm_lab_{name}_seconds_count") >= 6
    assert page.exit_code == 0 and "swarm_lab_rounds_total" in page.output
    with pytest.raises(NoSuchNode):
        patient.swarm.metrics("sl-9")

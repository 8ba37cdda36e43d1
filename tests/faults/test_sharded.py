"""Models that go in shards between all nodes: right averages by every method and wire format, and through deaths."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.patients import Patient, finished

from swarm_lab.rounds.model_file import read_model

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "wide.py"
COUNT = 3_000_000  # 12 MB: too much for the way through the coordinator


def train(patient: Patient, rounds: int, pause: float = 0.0, **options: Any) -> Any:
    environment = {"COUNT": str(COUNT), "ROUNDS": str(rounds), "PAUSE": str(pause)}
    patient.until_ready()
    return patient.swarm.train(PROGRAM, data=patient.data, env=environment, **{"sync": 1, "min_peers": 4} | options)


def whole(patient: Patient, training: Any) -> np.ndarray:
    """The model that all hold, once the training is over and verified."""
    last = finished(training, limit=100)
    assert last["state"] == "finished", (last, training.view.failed)
    assert {end["digest"] for end in training.view.finished.values()} == {last["digest"]}
    assert patient.swarm.verify(training.id).ok
    layout, buffer = read_model(Path(last["model"]))
    return layout.views(buffer)["w"]


@pytest.mark.parametrize(("merge", "step"), [("mean", 2.5), ("coordmedian", 2.5), ("geomedian", 2.5)])
def test_every_method_merges_shards_to_what_the_whole_would_be(patient: Patient, merge: str, step: float) -> None:
    training = train(patient, 4, merge=merge)
    assert np.allclose(whole(patient, training), 4 * step, rtol=1e-6)
    assert {r.path for r in training.view.rounds} == {"shards"}


@pytest.mark.parametrize("wire", ["bf16", "fp16"])
def test_rounded_updates_travel_in_half_the_bytes(patient: Patient, wire: str) -> None:
    assert np.allclose(whole(patient, train(patient, 4, wire=wire)), 10.0, rtol=2e-2)


def exchanges(log: Path) -> int:
    """How often a node has come to an exchange."""
    return log.read_text("utf-8").count('"message": "exchanging"')


def test_a_member_dies_in_mid_exchange_and_the_round_goes_on_without_it(patient: Patient) -> None:
    training = train(patient, 25, 0.02, min_peers=3)
    patient.until_round(training, 3)
    log = patient.swarm.paths.root / "nodes" / "sl-3" / "log.jsonl"
    before, deadline = exchanges(log), time.monotonic() + 20
    while exchanges(log) == before:
        assert time.monotonic() < deadline and not training.view.over
        time.sleep(0.002)
    patient.kill("sl-3")
    model = whole(patient, training)
    assert model[0] == model[-1] and np.ptp(model) == 0
    rounds = training.view.rounds
    assert {r.path for r in rounds} <= {"shards", None}
    without = [r for r in rounds if "sl-3" not in r.nodes]
    assert without and all("sl-3" in r.left_out for r in without)
    # A generous bound that only a stall exceeds; the seconds themselves are measured in tests/bench.
    assert max(b.time - a.time for a, b in itertools.pairwise(rounds)) < 20

"""Nodes that come late: one that was kept down, and one that is new, start from the merged model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.patients import Patient, finished

from swarm_lab.errors import BadData, NothingToJoin, UsageError
from swarm_lab.provision.local import LocalNodes

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "returning.py"


def train(patient: Patient, count: int) -> Any:
    env = {"KEEP": "1", "EPOCHS": str(count), "PAUSE": "0.02"}
    nodes = ("sl-1", "sl-2", "sl-3")
    return patient.swarm.train(PROGRAM, data=patient.data, env=env, sync=4, seed=1, min_peers=2, nodes=nodes)


def until_in(training: Any, node: str, after: int) -> int:
    """The first round after this one that the node took part in, once it is committed."""
    for event in training.events(limit=60):
        if event["event"] == "round" and event["round"] > after and node in event["nodes"]:
            return int(event["round"])
    raise AssertionError(f"{node} was in no round after {after}")


def ended_alike(patient: Patient, training: Any, nodes: set[str], state: str = "finished") -> None:
    last = finished(training, limit=60)
    assert last["state"] == state, (last, training.view.failed)
    assert set(training.view.finished) == nodes
    assert {end["digest"] for end in training.view.finished.values()} == {last["digest"]}
    assert patient.swarm.verify(training.id).ok


@pytest.mark.conformance("LC-70")
def test_a_node_that_was_kept_down_comes_back_to_the_merged_model(patient: Patient) -> None:
    supervisor = LocalNodes(patient.swarm.paths, patient.swarm.facts).supervisor
    training = train(patient, 1000)
    patient.until_round(training, 2)
    supervisor.stop(["sl-3"])
    away = training.status.round
    patient.until_round(training, away + 4)
    supervisor.restart("sl-3")
    until_in(training, "sl-3", away + 4)
    patient.swarm.stop(training.id, limit=60)
    ended_alike(patient, training, {"sl-1", "sl-2", "sl-3"}, "stopped")
    absent = [r.round for r in training.view.rounds if "sl-3" not in r.nodes]
    assert len(absent) >= 3 and "sl-3" in training.view.rounds[-1].nodes


@pytest.mark.conformance("LC-63")
def test_a_new_seat_joins_and_starts_from_the_merged_model(patient: Patient, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="go together"):
        patient.swarm.add(1, data=tmp_path)
    training = train(patient, 1000)
    patient.until_round(training, 2)
    with pytest.raises(BadData):
        patient.swarm.add(1, training=training.id, data=tmp_path)
    assert patient.swarm.seats == ["sl-1", "sl-2", "sl-3", "sl-4"]
    (tmp_path / "sl-5").mkdir()
    (added,) = patient.swarm.add(1, training=training.id, data=tmp_path)
    try:
        assert added.name == "sl-5" and training.nodes == ["sl-1", "sl-2", "sl-3", "sl-5"]
        until_in(training, "sl-5", 2)
        patient.swarm.stop(training.id, limit=60)
        digests = {end["digest"] for end in training.view.finished.values()}
        assert set(training.view.finished) == {"sl-1", "sl-2", "sl-3", "sl-5"} and len(digests) == 1
        assert patient.swarm.verify(training.id).ok
        with pytest.raises(NothingToJoin):
            patient.swarm.add(1, training=training.id, data=tmp_path)
    finally:
        patient.swarm.remove("sl-5")
        shutil.rmtree(patient.data / "sl-5", ignore_errors=True)

"""`train --resume ID`: after a failure, after a full stop; and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.patients import Patient, finished

from swarm_lab.errors import NoSuchTraining, NothingToResume, OtherThanBefore, StillTraining

PROGRAMS = Path(__file__).parents[1] / "support" / "programs"
PROGRAM = PROGRAMS / "returning.py"


def train(patient: Patient, **options: Any) -> Any:
    env = {"KEEP": "1", "EPOCHS": "4", "PAUSE": "0.02"} | options.pop("env", {})
    given = {"sync": 4, "seed": 1, "min_peers": 2, "nodes": ("sl-1", "sl-2")} | options
    return patient.swarm.train(PROGRAM, data=patient.data, env=env, **given)


def epochs(patient: Patient, training: Any, node: str) -> list[int]:
    output = patient.swarm.paths.root / "nodes" / node / "trainings" / training.id / "output.log"
    return [int(line.split()[1]) for line in output.read_text().splitlines() if line.startswith("epoch ")]


def ended_alike(patient: Patient, training: Any) -> dict[str, Any]:
    last = finished(training, limit=60)
    assert last["state"] == "finished" and last["failed"] == {}, (last, training.view.failed)
    assert {end["digest"] for end in training.view.finished.values()} == {last["digest"]}
    assert patient.swarm.verify(training.id).ok
    return last


@pytest.fixture(scope="module")
def failed(patient: Patient) -> Any:
    """A training of two seats, of which one's data is broken from its second epoch on."""
    (patient.data / "sl-2" / "broken").touch()
    training = train(patient)
    last = finished(training)
    (patient.data / "sl-2" / "broken").unlink()
    assert last["state"] == "failed" and set(training.view.failed) == {"sl-1", "sl-2"}, last
    return training


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"program": PROGRAMS / "plain.py"}, "plain.py has the digest"),
        ({"sync": 5}, "--sync 5 is given, and"),
        ({"min_peers": 1}, "has 2"),
        ({"seed": 2}, "--seed 2"),
        ({"nodes": ("sl-1", "sl-3")}, "sl-3"),
        ({"env": {"EPOCHS": "40"}}, "40"),
        ({"args": ("--fast",)}, "--fast"),
        ({"data": PROGRAMS.parent.parent}, "no folder"),
    ],
)
def test_another_program_and_other_terms_are_refused_with_both_named(
    patient: Patient, failed: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Exception, match=said) as found:
        patient.swarm.train(resume=failed.id, **given)
    if "data" not in given:
        assert isinstance(found.value, OtherThanBefore) and failed.id in found.value.message
    assert failed.view.over


def test_a_training_that_failed_goes_on_after_its_last_round(patient: Patient, failed: Any) -> None:
    before = failed.view
    heard: list[str] = []
    again = patient.swarm.train(
        PROGRAM, resume=failed.id, sync=4, min_peers=2, data=patient.data, nodes=("sl-2", "sl-1"), say=heard.append
    )
    assert again.id == failed.id and "goes on after round" in heard[-1]
    ended_alike(patient, again)
    rounds = again.view.rounds
    assert [r.round for r in rounds] == list(range(1, len(rounds) + 1)) and len(rounds) > len(before.rounds) > 0
    assert [r.digest for r in rounds[: len(before.rounds)]] == [r.digest for r in before.rounds]
    for node in ("sl-1", "sl-2"):  # the epoch that failed is done again, those before it are not
        assert epochs(patient, again, node)[-3:] == [1, 2, 3] and epochs(patient, again, node).count(0) == 1
    with pytest.raises(NothingToResume, match="has finished with round"):
        patient.swarm.train(resume=failed.id)
    assert finished(patient.swarm.training(failed.id))["state"] == "finished"


def test_what_runs_is_attached_to_and_what_was_stopped_is_over(patient: Patient) -> None:
    training = train(patient, env={"EPOCHS": "1000"})
    patient.until_round(training, 1)
    with pytest.raises(StillTraining, match="is running") as found:
        patient.swarm.train(resume=training.id)
    assert "attach" in found.value.next_step
    patient.swarm.stop(training.id)
    with pytest.raises(NothingToResume, match="was stopped"):
        patient.swarm.train(resume=training.id)
    with pytest.raises(NoSuchTraining):
        patient.swarm.train(resume="t-000000")


def test_a_seat_that_failed_comes_back_to_a_training_that_runs(patient: Patient) -> None:
    (patient.data / "sl-3" / "broken").touch()
    training = train(patient, nodes=("sl-1", "sl-2", "sl-3"), env={"EPOCHS": "12"})
    for event in training.events(limit=60):
        if event["event"] == "node_failed":
            break
    (patient.data / "sl-3" / "broken").unlink()
    patient.swarm.train(resume=training.id)
    last = ended_alike(patient, training)
    assert set(last["metrics"]) == {"sl-1", "sl-2", "sl-3"} and "sl-3" in training.view.rounds[-1].nodes

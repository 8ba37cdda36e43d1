"""Programs that misbehave on a real swarm: named, and the others go on."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from support.patients import finished

from swarm_lab.errors import TrainingFailed


def failure(training: Any, node: str) -> dict[str, Any]:
    return training.view.failed[node]


def test_a_training_ends_with_one_model_that_verifies(patient: Any) -> None:
    training = patient.train(min_peers=4)
    last = finished(training)
    assert last["state"] == "finished" and last["failed"] == {}
    rounds = training.view.rounds
    assert [r.round for r in rounds] == list(range(1, len(rounds) + 1))
    assert all(sorted(r.nodes) == ["sl-1", "sl-2", "sl-3", "sl-4"] for r in rounds)
    assert rounds[-1].digest == last["digest"]
    first, final = rounds[1].metrics["sl-1"]["loss"], last["metrics"]["sl-1"]["loss"]
    assert final < first
    assert patient.swarm.verify(training.id).ok
    assert set(training.model) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert len(training.history) == 4 * len(rounds)


@pytest.mark.parametrize(
    ("deed", "code", "said"),
    [
        ("raise", "SWL-651", "the data of this site is broken"),
        ("exit", "SWL-654", "without on_train_end"),
        ("never", "SWL-653", "SwarmCallback"),
        ("nan", "SWL-506", "holds NaN or infinity after batch"),
        ("other model", "SWL-", "0.bias"),
        ("other terms", "SWL-306", "sync_frequency is"),
    ],
)
def test_a_program_that_fails_is_named_and_the_others_finish(patient: Any, deed: str, code: str, said: str) -> None:
    # Whichever registers first fixes the terms: with three honest nodes the victim is the odd one, or the others are.
    training = patient.train("sl-2", deed, min_peers=1 if deed.startswith("other") else 3)
    last = finished(training)
    assert last["state"] == "failed", last
    failed = training.view.failed
    assert failed and all(end["code"].startswith(code) for end in failed.values()), failed
    assert any(said in end["message"] for end in failed.values()), failed
    if not deed.startswith("other"):
        assert set(failed) == {"sl-2"} and len(training.view.finished) == 3
        assert len({end["digest"] for end in training.view.finished.values()}) == 1
    if deed == "raise":
        end = failure(training, "sl-2")
        assert "ValueError" in end["traceback"] and end["line"] > 0
    with pytest.raises(TrainingFailed):
        training.wait(limit=5)


def test_a_program_that_hangs_is_left_behind(patient: Any) -> None:
    training = patient.train("sl-3", "hang", min_peers=2)
    last = finished(training, limit=120)
    assert last["state"] == "failed" and set(training.view.failed) == {"sl-3"}
    end = failure(training, "sl-3")
    assert end["code"] == "SWL-505" and "no batch for" in end["message"]
    assert any("sl-3" in r.left_out and "stuck" in r.left_out["sl-3"] for r in training.view.rounds)


def test_a_program_that_is_killed_comes_back(patient: Any) -> None:
    training = patient.train(min_peers=2, env={"EPOCHS": "10", "PAUSE": "0.03"})
    patient.until_round(training, 3)
    record = patient.swarm.paths.root / "nodes" / "sl-4" / "trainings" / training.id / "process.json"
    os.kill(json.loads(record.read_text())["pid"], 9)
    last = finished(training)
    assert last["state"] == "finished" and last["failed"] == {}


def test_binary_output_is_kept_and_harmless(patient: Any) -> None:
    training = patient.train("sl-1", "binary", min_peers=4)
    assert finished(training)["state"] == "finished"
    output = patient.swarm.paths.root / "nodes" / "sl-1" / "trainings" / training.id / "output.log"
    assert bytes(range(256)) in output.read_bytes()


def test_stop_ends_with_one_closing_round(patient: Any) -> None:
    training = patient.train(min_peers=4, env={"EPOCHS": "1000"})
    patient.until_round(training, 2)
    training.stop()
    last = finished(training)
    assert last["state"] == "stopped" and last["digest"] and last["failed"] == {}
    assert training.view.rounds[-1].round == last["rounds"]


def test_a_loop_that_does_not_look_at_the_stop_is_ended_and_its_node_has_finished(patient: Any) -> None:
    training = patient.train(min_peers=4, env={"EPOCHS": "1000", "DEED": "deaf"})
    patient.until_round(training, 2)
    training.stop()
    last = finished(training)
    assert last["state"] == "stopped" and last["failed"] == {} and len(training.view.finished) == 4


def test_a_second_training_waits_for_the_first(patient: Any) -> None:
    first = patient.train(min_peers=4, env={"EPOCHS": "6"})
    second = patient.train(min_peers=4)
    assert finished(second)["state"] == "finished"
    assert first.view.over
    starts = {t.id: [e["time"] for e in patient.swarm.events() if e.get("training") == t.id] for t in (first, second)}
    began = [
        e["time"] for e in patient.swarm.events() if e.get("training") == second.id and e["event"] == "training_started"
    ]
    assert min(began) > min(starts[first.id]) and len(began) == 4


def test_trainings_on_other_seats_run_side_by_side(patient: Any) -> None:
    one = patient.train(nodes=("sl-1", "sl-2"), min_peers=2, env={"EPOCHS": "8"})
    two = patient.train(nodes=("sl-3", "sl-4"), min_peers=2, env={"EPOCHS": "8"})
    deadline = time.monotonic() + 30
    while not (one.status.state == two.status.state == "running"):
        assert time.monotonic() < deadline, (one.view, two.view)
        time.sleep(0.02)
    assert finished(one)["state"] == finished(two)["state"] == "finished"


def test_too_few_that_can_come_ends_at_once_and_names_who_left(patient: Any) -> None:
    training = patient.train("sl-2", "raise", min_peers=4)
    last = finished(training)
    assert last["state"] == "failed" and set(training.view.failed) == {"sl-1", "sl-2", "sl-3", "sl-4"}
    others = [end for node, end in training.view.failed.items() if node != "sl-2"]
    assert all(end["code"] == "SWL-507" and "sl-2 left" in end["message"] for end in others), others

"""kill -9 of a program and of its SL node in the middle of a training: both come back and go on where they were."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.patients import Patient, finished

from swarm_lab.swarm import Swarm

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "returning.py"
KERAS = PROGRAM.with_name("returning_keras.py")
EPOCHS = 6
_EPOCH = re.compile(r"^epoch (\d+) momentum ([\d.]+)$", re.M)


def train(patient: Patient, keep: bool, **options: Any) -> Any:
    """Three nodes that wait for one another: a training that went on without one could end before it is back."""
    env = {"KEEP": "1" if keep else "0", "EPOCHS": str(EPOCHS), "PAUSE": "0.03"} | options.pop("env", {})
    given = {"sync": 4, "seed": 1, "min_peers": 3, "nodes": ("sl-1", "sl-2", "sl-3")} | options
    return patient.swarm.train(PROGRAM, data=patient.data, env=env, **given)


def folder(patient: Patient, training: Any, node: str) -> Path:
    return patient.swarm.paths.root / "nodes" / node / "trainings" / training.id


def kill_program(patient: Patient, training: Any, node: str) -> None:
    os.kill(patient.program(training, node), signal.SIGKILL)


def epochs(patient: Patient, training: Any, node: str) -> list[tuple[int, float]]:
    """The epochs that the node's program began, over all its starts, with the optimizer's momentum at that time."""
    output = (folder(patient, training, node) / "output.log").read_text()
    return [(int(epoch), float(momentum)) for epoch, momentum in _EPOCH.findall(output)]


def ended_alike(patient: Patient, training: Any) -> dict[str, Any]:
    last = finished(training, limit=60)
    assert last["state"] == "finished", (last, training.view.failed)
    assert len(training.view.finished) == len(training.nodes)
    assert {end["digest"] for end in training.view.finished.values()} == {last["digest"]}
    assert patient.swarm.verify(training.id).ok
    return last


def went_on(begun: list[tuple[int, float]], count: int, starts: int = 2) -> None:
    """Each epoch once, but for those of the last merge before a kill: done again, with the optimizer as it was.

    A kill between a merge and the epoch after it has no epoch done again.
    """
    numbers = [epoch for epoch, _ in begun]
    steps = [after - before for before, after in pairwise(numbers)]
    assert numbers[0] == 0 and numbers[-1] == count - 1, begun
    assert set(steps) <= {1, 0, -1} and sum(step < 1 for step in steps) < starts, begun
    assert [momentum > 0.0 for _, momentum in begun] == [epoch > 0 for epoch in numbers], begun


@pytest.mark.parametrize("victim", ["program", "node"])
def test_with_its_optimizer_and_epochs_a_killed_one_goes_on_in_its_epoch(patient: Patient, victim: str) -> None:
    training = train(patient, keep=True)
    patient.until_round(training, 5)
    if victim == "program":
        kill_program(patient, training, "sl-2")
    else:
        patient.kill("sl-2")
    ended_alike(patient, training)
    went_on(epochs(patient, training, "sl-2"), EPOCHS)
    assert [epoch for epoch, _ in epochs(patient, training, "sl-1")] == list(range(EPOCHS))
    restarts = [e for e in patient.swarm.events() if e["event"] == "program_restarted" and e["training"] == training.id]
    assert [(e["node"], e["start"]) for e in restarts] == ([("sl-2", 2)] if victim == "program" else [])


def test_without_them_it_begins_at_epoch_0_from_the_last_model_and_says_so(patient: Patient) -> None:
    training = train(patient, keep=False)
    patient.until_round(training, 5)
    kill_program(patient, training, "sl-2")
    ended_alike(patient, training)
    numbers = [epoch for epoch, _ in epochs(patient, training, "sl-2")]
    cut = numbers.index(0, 1)
    assert numbers[:cut] == list(range(cut)) and numbers[cut:] == list(range(EPOCHS)), numbers
    output = (folder(patient, training, "sl-2") / "output.log").read_text()
    assert output.count("starts again at epoch 0 from the last committed model") == 1, output[-2000:]


def test_checkpoints_cut_in_half_are_named_and_the_model_comes_from_a_peer(patient: Patient) -> None:
    training = train(patient, keep=True, checkpoints=2)
    patient.until_round(training, 5)
    stored = sorted((folder(patient, training, "sl-3") / "checkpoints").glob("*.safetensors"))
    for path in stored:
        os.truncate(path, path.stat().st_size // 2)
    patient.kill("sl-3")
    ended_alike(patient, training)
    log = "\n".join(patient.swarm.logs("sl-3", lines=400))
    assert "a checkpoint is passed over" in log and any(path.name in log for path in stored)
    for node, counts in (("sl-1", {2}), ("sl-3", {1, 2})):  # sl-3 may have come back for the last round only
        left = sorted(path.name for path in (folder(patient, training, node) / "checkpoints").glob("*.safetensors"))
        assert len(left) in counts and left[-1].startswith(f"{training.status.round:06d}-"), (node, left)


def test_a_program_that_outlives_its_node_is_ended_before_the_next_one_starts(patient: Patient) -> None:
    (patient.data / "sl-2" / "hang").touch()
    training = train(patient, keep=True)
    for event in training.events(limit=60):
        if event["event"] == "output" and event["node"] == "sl-2" and event["text"].startswith("epoch 1"):
            break
    until = time.monotonic() + 20
    while (patient.data / "sl-2" / "hang").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    old = patient.program(training, "sl-2")
    patient.kill("sl-2")
    ended_alike(patient, training)
    assert not psutil.pid_exists(old)
    assert "it is ended" in "\n".join(patient.swarm.logs("sl-2", lines=400))


def test_keras_brings_back_its_epoch_and_its_optimizer_and_resume_follows_what_up_brought_back(
    bring_up: Callable[..., Patient], need: Callable[..., None]
) -> None:
    need("python:keras", "python:tensorflow")
    keras = bring_up("keras-returns", sl=2, framework="keras")
    env = {"EPOCHS": "8", "PAUSE": "0.02"}
    training = keras.swarm.train(KERAS, data=keras.data, env=env, sync=4, seed=1, min_peers=2)
    keras.until_round(training, 6)
    kill_program(keras, training, "sl-1")
    keras.kill("sl-2")
    keras.until_round(training, 10)
    keras.swarm.down()
    committed = training.status.round
    keras.swarm = Swarm.up(keras.swarm.name)
    heard: list[str] = []
    again = keras.swarm.train(resume=training.id, say=heard.append)
    assert again.id == training.id and "goes on by itself" in heard[-1]
    assert ended_alike(keras, again)["rounds"] > committed >= 10
    for node in ("sl-1", "sl-2"):
        went_on(epochs(keras, training, node), 8, starts=3)
    keras.swarm.down()

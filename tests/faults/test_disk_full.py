"""A disk that is full in mid-training: nothing ends, nothing committed is lost, and it goes on once there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.patients import Patient, finished

from swarm_lab.swarm import Swarm

SIZE_MB = 80


@pytest.fixture
def small_disk(tmp_path: Path, need: Callable[..., None]) -> Iterator[Path]:
    """A file system of its own, of 80 MB."""
    need("root", "mount", "npm", "python:torch")
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "swarm-lab-test", str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if made.returncode:
        pytest.skip(f"this machine mounts no file system: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


@pytest.fixture
def patient(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    """A swarm of three seats whose folders are all on the small disk."""
    monkeypatch.setenv("XDG_DATA_HOME", str(small_disk))
    swarm = Swarm.up("small", sl=3, framework="torch")
    for seat in swarm.seats:
        (tmp_path / "data" / seat).mkdir(parents=True)
    yield Patient(swarm, tmp_path / "data")
    swarm.down()


def fill(place: Path) -> Path:
    """Take all the room that is left."""
    path = place / "fill"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024 * 1024))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass
    return path


def test_a_training_outlives_a_full_disk(patient: Patient, small_disk: Path) -> None:
    training = patient.train(min_peers=2, env={"EPOCHS": "8", "PAUSE": "0.02"})
    patient.until_round(training, 3)
    pids = {node.name: node.pid for node in patient.swarm.status().nodes}
    before = training.status.round
    filler = fill(small_disk)
    assert os.statvfs(small_disk).f_bavail == 0
    time.sleep(4)  # some rounds' time: what is written now finds no room
    filler.unlink()
    last = finished(training, limit=120)
    assert last["state"] == "finished", (last, training.view.failed)
    assert last["rounds"] > before
    assert {end["digest"] for end in training.view.finished.values()} == {last["digest"]}
    assert patient.swarm.verify(training.id).ok
    patient.until_ready()
    assert {node.name: node.pid for node in patient.swarm.status().nodes} == pids, "a node ended meanwhile"

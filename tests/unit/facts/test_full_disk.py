"""What a node writes of itself survives a disk that takes nothing for a while."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarm_lab.facts import events, state
from swarm_lab.facts.events import read
from swarm_lab.facts.patience import PatientLog
from swarm_lab.facts.state import StateFile, read_state


class Disk:
    """Refuses to write while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        real_write, real_json = events.EventLog._write, state.write_json

        def write(log: Any, event: str, fields: dict[str, Any]) -> int:
            self._check()
            return real_write(log, event, fields)

        def write_json(path: Path, value: Any, **options: Any) -> None:
            self._check()
            real_json(path, value, **options)

        monkeypatch.setattr(events.EventLog, "_write", write)
        monkeypatch.setattr(state, "write_json", write_json)

    def _check(self) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_facts_are_kept_in_their_order_and_with_their_time(tmp_path: Path, disk: Disk) -> None:
    now, retries = [100.0], list[Callable[[], None]]()
    log = PatientLog(tmp_path, lambda: now[0], retries.append)
    assert log.append("swarm_up") == 1
    disk.full = True
    assert log.append("progress", batches=1) == 0
    now[0] = 101.0
    assert log.append_once("t/1", "round", round=1) == 0
    assert len(retries) == 1
    retries.pop()()
    assert [e["event"] for e in read(tmp_path)] == ["swarm_up"]
    disk.full, now[0] = False, 200.0
    # One more comes before the next try: it waits behind those that are kept.
    assert log.append("swarm_down") == 0
    retries.pop()()
    found = list(read(tmp_path))
    assert [(e["seq"], e["event"], e["time"]) for e in found] == [
        (1, "swarm_up", 100.0), (2, "progress", 100.0), (3, "round", 101.0), (4, "swarm_down", 200.0),
    ]  # fmt: skip
    assert log.append_once("t/1", "round", round=1) is None
    assert log.append("progress") == 5
    assert not retries


def test_a_round_that_another_wrote_meanwhile_is_not_told_twice(tmp_path: Path, disk: Disk) -> None:
    retries = list[Callable[[], None]]()
    mine, other = PatientLog(tmp_path, retry=retries.append), events.EventLog(tmp_path)
    disk.full = True
    mine.append_once("t/1", "round", round=1)
    disk.full = False
    other.append_once("t/1", "round", round=1)
    retries.pop()()
    assert [e["event"] for e in read(tmp_path)] == ["round"]


def test_the_last_state_is_written_again(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    retries = 0

    def again(_: StateFile) -> None:
        nonlocal retries
        retries += 1

    monkeypatch.setattr(StateFile, "_again_later", again)
    file = StateFile(tmp_path / "state.json")
    file.update("ready")
    disk.full = True
    file.update("training", "round 1")
    file.update("training", "round 2")
    file._again()
    assert retries == 2
    found = read_state(tmp_path / "state.json")
    assert found is not None and found.state == "ready"
    disk.full = False
    file._again()
    assert retries == 2
    found = read_state(tmp_path / "state.json")
    assert found is not None and (found.state, found.message) == ("training", "round 2")

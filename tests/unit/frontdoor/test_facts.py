"""Facts on disk: names, states, events, their fold, and process records."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm_lab.errors import BadName, UnsafeDirectory
from swarm_lab.facts import events, paths, process
from swarm_lab.facts.events import EventLog, EventReader, conclude, fold, follow, read
from swarm_lab.facts.paths import SwarmPaths, check_name, make_private, run_dir_of
from swarm_lab.facts.state import StateFile, read_state


@pytest.mark.parametrize("name", ["demo", "a", "a-1", "a" * 31])
def test_names_that_can_be(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "Demo", "1a", "-a", "a-", "a" * 32, "a/b", "..", "a.b", "ä", "a\n"])
def test_names_that_cannot(name: str) -> None:
    with pytest.raises(BadName):
        check_name(name)


def test_data_home_moves_swarms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert SwarmPaths.of("demo").root == tmp_path / "swarm-lab" / "swarms" / "demo"


def test_run_dir_is_short_and_of_this_swarm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths.tempfile, "gettempdir", lambda: "/" + "x" * 90)
    first, second = run_dir_of(tmp_path / "a"), run_dir_of(tmp_path / "b")
    assert first != second
    assert len(str(first / "supervisor.sock.1234567")) < 100


def test_private_directory_of_another_is_refused(tmp_path: Path) -> None:
    made = make_private(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    with pytest.raises(UnsafeDirectory):
        make_private(tmp_path / "a" / "link")


def test_state_keeps_since_and_facts(tmp_path: Path) -> None:
    times = iter([1.0, 2.0, 3.0])
    state = StateFile(tmp_path / "n" / "state.json", clock=lambda: next(times))
    state.update("waiting", "for the sentinel", spiffe_id="x", waiting_for="sentinel")
    state.update("waiting", "still")
    state.update("ready", waiting_for=None)
    found = read_state(tmp_path / "n" / "state.json")
    assert found is not None
    assert (found.state, found.message, found.since, found.extra) == ("ready", "", 2.0, {"spiffe_id": "x"})
    with pytest.raises(ValueError, match="one of"):
        state.update("fine")  # type: ignore[arg-type]


def test_what_is_said_soon_is_written_once_and_never_late(tmp_path: Path) -> None:
    path, waiting = tmp_path / "state.json", list[Callable[[], None]]()
    state = StateFile(path, run=waiting.append)
    state.update_soon("training", "round 1", round=1)
    state.update_soon("training", "round 2", round=2)
    assert read_state(path) is None and len(waiting) == 1
    state.update("stopped")
    waiting.pop()()  # the thread comes after the last word
    found = read_state(path)
    assert found is not None and (found.state, found.extra) == ("stopped", {"round": 2})
    with pytest.raises(ValueError, match="one of"):
        state.update_soon("fine")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"v": 2, "state": "ready"}', '{"v": 1, "state": "odd"}'])
def test_state_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert read_state(tmp_path / "state.json") is None


def test_events_of_many_writers_are_numbered_once(tmp_path: Path) -> None:
    def write(log: EventLog) -> None:
        for number in range(25):
            log.append("progress", training="t", node="sl-1", batches=number)

    threads = [threading.Thread(target=write, args=(EventLog(tmp_path),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [event["seq"] for event in read(tmp_path)] == list(range(1, 101))


def test_append_once_over_writers(tmp_path: Path) -> None:
    first, second = EventLog(tmp_path), EventLog(tmp_path)
    assert first.append_once("t/1", "round") == 1
    assert second.append_once("t/1", "round") is None
    assert EventLog(tmp_path).append_once("t/1", "round") is None
    assert second.append_once("t/2", "round") == 2


def test_torn_line_is_left_behind(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.append("swarm_up")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"v":1,"seq":2,"event":"rou')
    reader = EventReader(tmp_path)
    assert [e["event"] for e in reader.poll()] == ["swarm_up"]
    assert EventLog(tmp_path).append("swarm_down") == 2
    assert [e["event"] for e in reader.poll()] == ["swarm_down"]
    assert [e["seq"] for e in read(tmp_path)] == [1, 2]


def test_nan_is_null(tmp_path: Path) -> None:
    EventLog(tmp_path).append("round", metrics={"sl-1": {"loss": float("nan"), "metric": float("inf")}})
    line = (tmp_path / "events.jsonl").read_text()
    assert json.loads(line)["metrics"] == {"sl-1": {"loss": None, "metric": None}}


def test_follow_ends_at_its_limit(tmp_path: Path) -> None:
    now = [0.0]
    log = EventLog(tmp_path)
    log.append("swarm_up")

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if 0.2 < now[0] < 0.3:
            log.append("node_state")

    found = list(follow(tmp_path, 0, 1.0, sleep=sleep, clock=lambda: now[0]))
    assert "node_state" in [event["event"] for event in found]
    assert 1.0 < now[0] < 2.0


def _training(tmp_path: Path) -> EventLog:
    log = EventLog(tmp_path)
    log.append(
        "training_created", training="t-1", nodes=["sl-1", "sl-2"], program="p.py", merge="mean", min_peers=2, sync=4
    )
    log.append("training_started", training="t-1", node="sl-1")
    for number in (1, 2, 2):
        metrics = {"sl-1": {"loss": 1.0 / number, "metric": None}}
        log.append("round", training="t-1", round=number, nodes=["sl-1", "sl-2"], digest="aa", metrics=metrics)
    return log


def test_fold_of_a_training_that_finishes(tmp_path: Path) -> None:
    log = _training(tmp_path)
    view = fold(read(tmp_path))["t-1"]
    assert (view.state, view.round, len(view.rounds), view.sync) == ("running", 2, 2, 4)
    for node in ("sl-1", "sl-2"):
        assert conclude(tmp_path, "t-1") is None
        log.append("node_finished", training="t-1", node=node, digest="aa", model=f"/{node}", metrics={"loss": 0.1})
    finished = conclude(tmp_path, "t-1")
    assert finished is not None
    assert conclude(tmp_path, "t-1") == finished
    assert (finished["rounds"], finished["digest"], finished["model"]) == (2, "aa", "/sl-1")
    assert fold(read(tmp_path))["t-1"].state == "finished"


@pytest.mark.parametrize(
    ("last", "stop", "state"),
    [
        ({"event": "node_failed", "message": "x"}, False, "failed"),
        ({"event": "node_finished", "digest": "bb"}, False, "failed"),
        ({"event": "node_finished", "digest": "aa"}, True, "stopped"),
    ],
)
def test_outcomes(tmp_path: Path, last: dict[str, str], stop: bool, state: str) -> None:
    log = _training(tmp_path)
    if stop:
        log.append("training_stopped", training="t-1")
    log.append("node_finished", training="t-1", node="sl-1", digest="aa", model="/m")
    log.append(**last, training="t-1", node="sl-2")
    finished = conclude(tmp_path, "t-1")
    assert finished is not None
    assert finished["state"] == state
    assert fold(read(tmp_path))["t-1"].state == state


def test_events_of_another_version_pass(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"v":9,"seq":1,"event":"round","training":"t-1"}\n{"v":1,"seq":2}\n')
    assert fold(events.read(tmp_path)) == {}


def test_record_names_a_process_and_no_later_one(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record = process.record_of(child.pid)
        process.write_record(tmp_path / "nodes" / "sl-1" / "process.json", record)
        assert [found.pid for found in process.recorded(tmp_path)] == [child.pid]
        assert not process.ProcessRecord(child.pid, record.start_time - 100).alive
        assert process.end(process.recorded(tmp_path)) == []
        assert not record.alive
    finally:
        child.kill()
        child.wait(10)


def test_marked_processes_are_found_without_a_record(tmp_path: Path) -> None:
    environment = {**os.environ, process.SWARM_VARIABLE: str(tmp_path)}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    try:
        assert [found.pid for found in process.all_of(tmp_path)] == [child.pid]
        assert process.end(process.all_of(tmp_path)) == []
    finally:
        child.kill()
        child.wait(10)


@pytest.mark.parametrize("text", ["", "{", '{"pid": "x"}', '{"pid": 1}'])
def test_bad_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "process.json").write_text(text)
    assert process.read_record(tmp_path / "process.json") is None

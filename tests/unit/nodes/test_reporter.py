"""What a training tells people: waits by name, since when and why; phases; who is not heard; who is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm_lab.errors import TooFewPeers
from swarm_lab.facts.events import EventLog, read
from swarm_lab.facts.state import NodeState, StateFile, read_state
from swarm_lab.nodes import absences, position, reporter
from swarm_lab.nodes.reporter import Reporter
from swarm_lab.rounds.events import Finish, LedgerView, Notice
from swarm_lab.rounds.messages import Participant, Result

ID = {"sl-1": "0x01", "sl-2": "0x02"}


class Directory:
    def name(self, node: str) -> str:
        return next((name for name, one in ID.items() if one == node), node)

    def words(self, text: str) -> str:
        for name, one in ID.items():
            text = text.replace(one, name)
        return text


class Case:
    """A reporter whose clock the test turns."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.now = path, 1000.0
        self.state = StateFile(path / "state.json", run=lambda work: work())
        directory: Any = Directory()
        self.reporter = Reporter("t-1", "sl-1", EventLog(path), self.state, directory)
        self.reporter._position = position.Position("t-1", self.state, self.clock)
        self.reporter._absences = absences.Absences(self.clock)
        monkeypatch.setattr(reporter.time, "time", self.clock)

    def clock(self) -> float:
        return self.now

    def notice(self, kind: str, text: str = "", *nodes: str, **fields: Any) -> None:
        self.reporter.notice(Notice(kind, text, nodes, fields))

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.reporter.tick()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in read(self.path) if event["event"] == name]

    def said(self) -> NodeState:
        found = read_state(self.state.path)
        assert found is not None
        return found


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def test_a_wait_is_told_after_a_second_with_who_since_when_and_why(case: Case) -> None:
    case.notice("phase", "checked_in", "0x01", round=3)
    case.notice("peer_down", "nothing heard for 1.6 s", "0x02")
    case.notice("waiting", "waiting for peers: 2 are needed, 1 are here", "0x02", reason="peers", round=3)
    case.later(0.9)
    assert not case.events("waiting")
    assert case.said().extra["phase"] == "CHECKED_IN"
    case.later(0.5)
    [told] = case.events("waiting")
    assert told["phase"] == "WAITING_FOR_PEERS"
    assert told["nodes"] == ["sl-2"]
    assert told["since"] == 1000.0
    assert "sl-2 (not heard since " in told["reason"] and "nothing heard for 1.6 s)" in told["reason"]
    assert "0x0" not in str(told)
    said = case.said()
    assert said.extra["phase"] == "WAITING_FOR_PEERS" and said.extra["phase_since"] == 1000.0
    assert said.extra["waiting_for"] == ["sl-2"] and said.extra["round"] == 3
    case.notice("waiting", "waiting for the coordinator's plan", "0x02", reason="plan", round=3)
    case.later(1.1)
    assert case.said().extra["phase"] == "CHECKED_IN"
    case.notice("phase", "training", "0x01", round=4)
    case.later(0.5)
    assert case.said().extra["phase"] == "TRAINING" and "waiting_for" not in case.said().extra


def test_a_wait_for_the_ledger_says_why_it_does_not_answer(case: Case) -> None:
    case.notice("waiting", "waiting for the ledger to confirm round 4", reason="ledger", round=5)
    case.later(1.1)
    case.notice("ledger_silent", "no SN answers")
    case.later(1.1)
    case.later(1.1)
    first, told = case.events("waiting")
    assert first["reason"] == "waiting for the ledger to confirm round 4"
    assert told["reason"].startswith("waiting for the ledger to confirm round 4 (not heard since ")
    assert told["reason"].endswith(": no SN answers)")


def test_a_node_that_is_not_heard_for_a_second_is_named_once(case: Case) -> None:
    case.notice("peer_down", "connection lost", "0x02")
    case.later(0.5)
    case.notice("peer_up", "", "0x02")
    case.later(2.0)
    assert not case.events("node_lost")
    case.notice("peer_down", "nothing heard for 1.6 s", "0x02")
    case.later(1.0)
    case.later(1.0)
    [lost] = case.events("node_lost")
    assert (lost["node"], lost["by"], lost["reason"]) == ("sl-2", "sl-1", "nothing heard for 1.6 s")


def test_peers_that_go_after_the_end_are_not_missed(case: Case) -> None:
    action: Any = Finish.__new__(Finish)
    case.reporter.finished(action)
    case.notice("peer_down", "connection lost", "0x02")
    case.later(2.0)
    assert not case.events("node_lost")
    assert case.said().extra["phase"] == "FINISHED"


def test_a_coordinator_that_is_left_is_named(case: Case) -> None:
    case.notice("coordinator", "connection lost", "0x02", "0x01", round=7, attempt=1)
    [told] = case.events("coordinator")
    assert (told["node"], told["after"], told["round"], told["reason"]) == ("sl-2", "sl-1", 7, "connection lost")


def test_a_failure_is_a_phase_with_its_code(case: Case) -> None:
    case.reporter.started()
    case.reporter.node_failed(TooFewPeers("2 peers are needed; missing: 0x02 (connection lost)"))
    assert case.said().extra["phase"] == "FAILED(SWL-507)"
    assert case.events("node_failed")[0]["message"] == "2 peers are needed; missing: sl-2 (connection lost)"


def test_phases_are_written_a_few_times_a_second_at_most(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[Any] = []
    monkeypatch.setattr(case.state, "update_soon", lambda *args, **extra: writes.append(extra))
    for round_ in range(1, 51):
        for phase in ("checked_in", "planned", "training"):
            case.notice("phase", phase, "0x01", round=round_)
        case.later(0.02)
    assert 2 <= len(writes) <= 4


def test_a_round_of_others_whose_plan_did_not_come_here_says_so(case: Case) -> None:
    members = tuple(Participant(node, 1, 1, "0" * 64, False) for node in ("0x02",))
    result = Result("0" * 64, 1, "0" * 64, members, False, 4, "b" * 64)
    case.reporter.view(LedgerView(results=(result,), rosters=(frozenset({"0x01", "0x02"}),)))
    [told] = case.events("round")
    assert told["left_out"] == {"sl-1": "unknown to sl-1, which the plan of this round did not reach"}

"""How long a node trained, waited and exchanged in a round: by the round that a phase is of, told now and then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarm_lab.facts.events import EventLog, read
from swarm_lab.facts.state import StateFile
from swarm_lab.facts.views import fold
from swarm_lab.nodes.reporter import Reporter
from swarm_lab.nodes.spent import Spent
from swarm_lab.rounds.events import LedgerView, Notice
from swarm_lab.rounds.messages import Participant, Phase, Result


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def through(spent: Spent, clock: Clock, round_: int, **seconds: float) -> None:
    for phase, lasts in seconds.items():
        spent.enters(Phase[phase.upper()].value, round_)
        clock.now += lasts


def test_phases_add_up_by_round() -> None:
    clock = Clock()
    spent = Spent(clock)
    through(spent, clock, 1, fetching=1.0, training=2.0, checked_in=0.5, planned=0.2, exchanging=0.3)
    through(spent, clock, 2, training=4.0)  # the ledger confirms round 1 while 2 is trained
    assert spent.committed(1) == {"training_s": 2.0, "waiting_s": 1.5, "exchanging_s": 0.5}
    through(spent, clock, 2, checked_in=1.0)
    assert spent.committed(2) == {"training_s": 4.0, "waiting_s": 1.0, "exchanging_s": 0.0}


def test_the_first_round_counts_from_its_first_batch() -> None:
    clock = Clock()
    spent = Spent(clock)
    spent.begins(1)
    clock.now += 3
    spent.begins(1)
    through(spent, clock, 1, checked_in=1.0)
    assert spent.committed(1) == {"training_s": 3.0, "waiting_s": 1.0, "exchanging_s": 0.0}


def test_a_round_that_is_still_trained_counts_up_to_now() -> None:
    clock = Clock()
    spent = Spent(clock)
    through(spent, clock, 1, training=2.0)
    assert spent.committed(1) == {"training_s": 2.0, "waiting_s": 0.0, "exchanging_s": 0.0}


def test_rounds_of_the_same_moment_are_told_once() -> None:
    clock = Clock()
    spent = Spent(clock)
    told = 0
    for number in range(1, 101):
        through(spent, clock, number, training=0.01)
        told += spent.committed(number) is not None
    assert told in (4, 5)  # in a second


def test_what_nobody_saw_is_not_told() -> None:
    assert Spent(Clock()).committed(7) is None


def test_a_reporter_tells_after_the_round_and_views_have_it(tmp_path: Path) -> None:
    class Directory:
        def name(self, node: str) -> str:
            return {"0x01": "sl-1", "0x02": "sl-2"}[node]

        def words(self, text: str) -> str:
            return text

    directory: Any = Directory()
    reporter = Reporter("t-1", "sl-1", EventLog(tmp_path), StateFile(tmp_path / "state.json"), directory)
    for phase in ("training", "checked_in", "planned"):
        reporter.notice(Notice("phase", phase, ("0x01",), {"round": 1}))
    plan: Any = type("P", (), {"plan": type("Q", (), {"round": 1}), "entries": (), "owners": (), "left_out": ()})
    reporter.plan("0x02", plan)
    result = Result("0" * 64, 1, "0" * 64, (Participant("0x01", 1, 1, "a" * 64, False),), False, 4, "b" * 64)
    reporter.view(LedgerView(results=(result,), rosters=(frozenset({"0x01"}),)))
    events = list(read(tmp_path))
    assert [event["event"] for event in events] == ["round", "round_times"]
    told = fold(events)["t-1"].rounds[0].times
    assert told.coordinator == "sl-2"
    assert set(told.nodes["sl-1"]) == {"training", "waiting", "exchanging"}

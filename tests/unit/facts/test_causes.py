"""What the facts say of phases, of nodes that are missed, of the last round's nodes, and of a failure's cause."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from swarm_lab.facts.causes import cause_of
from swarm_lab.facts.phases import NodePhase
from swarm_lab.facts.views import TrainingView, fold
from swarm_lab.front.live import Board
from swarm_lab.front.tables import table_of

NODES = ["sl-1", "sl-2", "sl-3"]
D = "ab" * 32


def view(*events: dict[str, Any]) -> TrainingView:
    first = {"event": "training_created", "nodes": NODES, "min_peers": 2}
    numbered = enumerate([first, *events], 1)
    return fold({"v": 1, "seq": n, "time": 100.0 + n, "training": "t-1", **event} for n, event in numbered)["t-1"]


def failed(node: str, code: str, message: str = "broken") -> dict[str, Any]:
    return {"event": "node_failed", "node": node, "code": code, "message": message, "next": "do this"}


def ended(found: TrainingView) -> dict[str, Any]:
    outcome = found.outcome()
    assert outcome is not None
    return {"event": "finished", **outcome}


def committed(number: int, *nodes: str, **left_out: str) -> dict[str, Any]:
    left = {node.replace("_", "-"): why for node, why in left_out.items()}
    return {"event": "round", "round": number, "nodes": list(nodes), "digest": D, "metrics": {}, "left_out": left}


def finished(node: str) -> dict[str, Any]:
    return {"event": "node_finished", "node": node, "digest": D, "model": "m"}


def lost(node: str) -> dict[str, Any]:
    return {"event": "node_lost", "node": node, "by": "sl-1", "reason": "nothing heard for 2 s", "since": 90.0}


def test_the_cause_is_the_first_failure_that_does_not_follow_from_another() -> None:
    facts = [failed("sl-1", "SWL-507"), failed("sl-2", "SWL-651", "ValueError"), failed("sl-3", "SWL-507")]
    cause = cause_of(view(*facts, ended(view(*facts))))
    assert cause is not None
    assert (cause.node, cause.code, cause.message, cause.next) == ("sl-2", "SWL-651", "ValueError", "do this")
    assert cause.after == ("sl-1", "sl-3")


def test_the_cause_is_a_node_that_was_lost_where_all_others_only_missed_it() -> None:
    facts = [lost("sl-2"), failed("sl-1", "SWL-507"), failed("sl-3", "SWL-507")]
    cause = cause_of(view(*facts, {"event": "finished", "state": "failed"}))
    assert cause is not None
    assert cause.node == "sl-2" and "nothing heard for 2 s" in cause.message and "--resume t-1" in cause.next


def test_a_training_that_has_not_failed_has_no_cause() -> None:
    assert cause_of(view(failed("sl-2", "SWL-651"))) is None


def test_different_models_are_a_cause() -> None:
    cause = cause_of(view({"event": "finished", "state": "failed"}))
    assert cause is not None and cause.message == "the nodes finished with different models"


def test_a_node_outside_of_the_last_round_is_named_with_the_reason() -> None:
    facts = [committed(1, *NODES), committed(2, "sl-1", "sl-3", sl_2="connection lost"), *map(finished, NODES)]
    last = ended(view(*facts))
    assert last["state"] == "finished" and last["without"] == {"sl-2": "connection lost"}
    console = Console(record=True, width=300, file=io.StringIO())
    Board(console).show({"v": 1, "seq": 9, "time": 1.0, "training": "t-1", **last})
    assert "the last one without sl-2 (connection lost)" in console.export_text()
    assert view(*facts, last).without == {"sl-2": "connection lost"}


def test_all_in_the_last_round_names_nobody() -> None:
    assert ended(view(committed(1, *NODES), *map(finished, NODES)))["without"] == {}


def test_a_lost_node_is_back_when_it_says_something() -> None:
    assert view(lost("sl-2")).lost["sl-2"]["by"] == "sl-1"
    assert not view(lost("sl-2"), {"event": "progress", "node": "sl-2", "batches": 3}).lost
    assert not view(failed("sl-2", "SWL-651"), lost("sl-2")).lost


def test_phases_are_folded_with_their_beginning() -> None:
    wait = {"event": "waiting", "node": "sl-1", "phase": "CHECKED_IN", "reason": "x", "nodes": [], "since": 99.5}
    found = view(wait, failed("sl-2", "SWL-651"), finished("sl-3"))
    assert found.phases["sl-1"] == NodePhase("CHECKED_IN", 99.5)
    assert found.phases["sl-2"].phase == "FAILED(SWL-651)"
    assert found.phases["sl-3"].phase == "FINISHED"
    progress = {"event": "progress", "node": "sl-1", "batches": 3}
    assert view(progress, progress).phases["sl-1"] == NodePhase("TRAINING", 102.0)


def test_doctor_names_the_cause_before_its_checks() -> None:
    from swarm_lab.front.doctor import Check, Report

    facts = [failed("sl-2", "SWL-651", "ValueError: the data"), failed("sl-1", "SWL-507"), failed("sl-3", "SWL-507")]
    cause = cause_of(view(*facts, ended(view(*facts))))
    report = Report(swarm="demo", ok=False, cause=cause, checks=[Check(check="disk", ok=True, message="10 GB free")])
    console = Console(record=True, width=200, file=io.StringIO())
    for part in table_of("doctor", report):
        console.print(part)
    lines = console.export_text().splitlines()
    assert lines[0] == "t-1 failed on sl-2: SWL-651 ValueError: the data"
    assert lines[1] == "because of that also sl-1, sl-3"
    assert lines[2] == "Next: do this"
    assert report.model_dump(mode="json")["cause"]["code"] == "SWL-651"

"""The schema of events.jsonl against what `EventLog` writes and what the views read."""

import jsonschema
import pytest

from swarm_lab.facts import views
from swarm_lab.facts.events import EventLog, read
from swarm_lab.facts.schema import event_names, event_schema

D = "ab" * 32
T = {"training": "t-1"}
EVENTS = [
    ("swarm_up", {"nodes": ["license", "sl-1"]}),
    ("node_state", {"node": "sl-1", "state": "waiting", "message": "waiting for the sentinel"}),
    ("training_created", {**T, "nodes": ["sl-1"], "program": "a.py", "digest": D, "merge": "mean", "min_peers": 1,
                          "sync": 16, "seed": 7}),
    ("training_queued", {**T, "node": "sl-1", "after": "t-0"}),
    ("training_started", {**T, "node": "sl-1"}),
    ("training_agreed", {**T, "merge": "geomedian", "min_peers": 2, "sync": 16, "adaptive": True,
                         "early_stopping": 5}),
    ("program_restarted", {"training": "t-1", "node": "sl-1", "start": 2, "reason": "ended by SIGKILL"}),
    ("training_resumed", {"training": "t-1", "nodes": ["sl-1"], "round": 0}),
    ("node_joined", {"training": "t-1", "node": "sl-2"}),
    ("progress", {**T, "node": "sl-1", "round": 1, "batches": 16, "loss": float("nan")}),
    ("waiting", {**T, "node": "sl-1", "phase": "WAITING_FOR_PEERS", "reason": "sl-2 is late", "nodes": ["sl-2"],
                 "since": 1e9}),
    ("node_lost", {**T, "node": "sl-2", "by": "sl-1", "reason": "connection lost", "since": 1e9}),
    ("coordinator", {**T, "node": "sl-1", "after": "sl-2", "round": 1, "reason": "connection lost"}),
    ("repeated", {**T, "node": "sl-1", "round": 1, "reason": "round 1 cannot be committed; it is made again"}),
    ("round", {**T, "round": 1, "nodes": ["sl-1"], "digest": D,
               "metrics": {"sl-1": {"loss": 0.5, "metric": None, "batches": 16}},
               "left_out": {"sl-2": "late"}, "seconds": 0.2, "end": False, "tx": "0x" + D}),
    ("round_times", {**T, "node": "sl-1", "round": 1, "coordinator": "sl-1", "training_s": 0.2, "waiting_s": 0.0,
                     "exchanging_s": 0.01}),
    ("lost_batches", {**T, "node": "sl-1", "count": 12, "reason": "rebased"}),
    ("excluded", {**T, "node": "sl-1", "nodes": ["sl-2"], "reason": "NaN in its update"}),
    ("output", {**T, "node": "sl-1", "stream": "stdout", "text": "epoch 1"}),
    ("node_finished", {**T, "node": "sl-1", "digest": D, "model": "/x/model.safetensors", "metrics": {"loss": 1.0}}),
    ("node_failed", {**T, "node": "sl-2", "code": "SWL-651", "message": "x", "traceback": None, "line": 3}),
    ("training_stopped", T),
    ("finished", {**T, "state": "failed", "rounds": 1, "model": None, "digest": D, "metrics": {}, "failed": {},
                  "without": {"sl-2": "late"}}),
    ("swarm_down", {}),
]  # fmt: skip


@pytest.fixture
def validator():
    jsonschema.Draft202012Validator.check_schema(event_schema())
    return jsonschema.Draft202012Validator(event_schema())


@pytest.fixture
def written(tmp_path):
    log = EventLog(tmp_path)
    for name, fields in EVENTS:
        log.append(name, **fields)
    log.append_once("t-1/round/2", "round", training="t-1", round=2, nodes=["sl-1"], digest=D, metrics={})
    return list(read(tmp_path))


def test_every_event_is_in_the_sample_and_the_schema():
    assert {name for name, _ in EVENTS} == set(event_names())


def test_what_is_written_fits(validator, written):
    assert [event["seq"] for event in written] == list(range(1, len(EVENTS) + 2))
    for event in written:
        validator.validate(event)


def test_views_know_no_other_event():
    assert set(views._STEPS) <= set(event_names())


def test_real_outcome_fits(validator, tmp_path, written):
    view = views.fold(written)["t-1"]
    outcome = view.outcome()
    view.nodes = ["sl-1", "sl-2"]
    for found in (outcome, view.outcome()):
        assert found is not None
        EventLog(tmp_path).append("finished", training="t-1", **found)
    for event in read(tmp_path, after=len(written)):
        validator.validate(event)


@pytest.mark.parametrize(
    "change",
    [
        {"event": "nonsense"},
        {"v": 2},
        {"seq": 0},
        {"round": "one"},
        {"digest": "xyz"},
        {"metrics": {"sl-1": {"loss": "low"}}},
        {"nodes": []},
        {"training": None},
    ],
)
def test_other_lines_do_not_fit(validator, written, change):
    event = next(event for event in written if event["event"] == "round")
    assert not validator.is_valid({**event, **change})

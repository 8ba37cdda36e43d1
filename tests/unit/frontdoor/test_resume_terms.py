"""What `train --resume` compares with what the nodes were given at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm_lab.errors import BadData, OtherThanBefore, SwarmLabError, UsageError
from swarm_lab.facts.events import EventLog, fold, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.front.options import TrainOptions
from swarm_lab.front.program import gather
from swarm_lab.front.resume import check_same
from swarm_lab.front.training import Training
from swarm_lab.jupyter.call import read_call
from swarm_lab.nodes.staging import PROTOCOL, Stage, StagedFile, StageRequest, TrainingRules
from swarm_lab.swarm import Swarm
from swarm_lab.verbs import start

ID = "t-3f9a2c"


def staged(root: Path, program: Path) -> Training:
    """A training of two seats as it lies on disk; no swarm runs."""
    bundle = gather(program)
    rules = TrainingRules(nodes=("sl-1", "sl-2"), sync_frequency=8, min_peers=2, seed=3, program=bundle.digest)
    paths = SwarmPaths(root)
    for node in rules.nodes:
        (root / "data" / node).mkdir(parents=True)
        request = StageRequest(
            protocol=PROTOCOL,
            package="x",
            training=ID,
            rules=rules,
            program=bundle.main,
            files=tuple(StagedFile(path=path, size=len(content)) for path, content in sorted(bundle.files.items())),
            data_dir=str(root / "data" / node),
            arguments=("--fast", "1"),
            environment={"RATE": "0.1"},
        )
        Stage(paths.node(node) / "trainings").store(request, bundle.files)
    EventLog(root).append("training_created", training=ID, nodes=list(rules.nodes), program=str(program), min_peers=2)
    return Training(paths, SwarmFacts.model_construct(name="x"), ID)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "lib.py").write_text("x = 1\n")
    path = tmp_path / "train.py"
    path.write_text("import lib\n")
    return path


def test_only_what_was_given_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    class Attached:
        def train(self, program: Path | None, **given: Any) -> None:
            given.pop("say")
            calls.append((program, given))

    monkeypatch.setattr(Swarm, "attach", lambda name: Attached())
    for words in (["train", "--resume", ID], ["train", "a.py", "--resume", ID, "--sync", "4", "-e", "A=1"]):
        call = read_call(words)
        assert call is not None and isinstance(call.options, TrainOptions)
        start(call.options, Silent())
    assert calls[0] == (None, {"resume": ID})
    assert calls[1] == (Path("a.py"), {"resume": ID, "sync": 4, "env": {"A": "1"}})
    with pytest.raises(UsageError, match="PROGRAM is missing"):
        read_call(["train"])


class Silent:
    """Where a verb's lines go."""

    def say(self, line: str) -> None:
        pass

    def event(self, event: Any) -> None:
        pass

    def line(self, node: str, line: str) -> None:
        pass


def test_the_same_again_is_fine(tmp_path: Path, program: Path) -> None:
    training = staged(tmp_path / "swarm", program)
    check_same(training, {})
    check_same(
        training,
        {
            "program": program,
            "sync": 8,
            "min_peers": 2,
            "merge": "mean",
            "wire": "float32",
            "seed": 3,
            "nodes": ("sl-2", "sl-1"),
            "env": {"RATE": "0.1"},
            "args": ("--fast", "1"),
            "data": tmp_path / "swarm" / "data",
            "adaptive": False,
            "early_stopping": 0,
            "checkpoints": 3,
            "requirements": None,
        },
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sync": 9}, "--sync 9 is given, and t-3f9a2c has 8"),
        ({"min_peers": 1}, "--min-peers 1 is given, and t-3f9a2c has 2"),
        ({"merge": "geomedian"}, "geomedian is given, and t-3f9a2c has mean"),
        ({"wire": "bf16"}, "--wire bf16 is given, and t-3f9a2c has float32"),
        ({"adaptive": True}, "--adaptive True is given"),
        ({"early_stopping": 4}, "--early-stopping 4 is given"),
        ({"seed": 4}, "--seed 4"),
        ({"nodes": ("sl-1",)}, "has ('sl-1', 'sl-2')"),
        ({"env": {}}, "0.1"),
        ({"args": ("1", "--fast")}, "--fast"),
        ({"checkpoints": 4}, "has 3"),
    ],
)
def test_what_differs_is_refused_with_both_values(
    tmp_path: Path, program: Path, given: dict[str, Any], said: str
) -> None:
    training = staged(tmp_path / "swarm", program)
    with pytest.raises(OtherThanBefore) as found:
        check_same(training, given)
    assert said in found.value.message and found.value.exit_code == 2


def test_another_program_a_changed_module_and_other_data_are_refused(tmp_path: Path, program: Path) -> None:
    training = staged(tmp_path / "swarm", program)
    other = tmp_path / "other"
    for node in ("sl-1", "sl-2"):
        (other / node).mkdir(parents=True)
    with pytest.raises(OtherThanBefore, match="--data gives sl-1"):
        check_same(training, {"data": other})
    with pytest.raises(BadData):
        check_same(training, {"data": tmp_path / "none"})
    program.with_name("lib.py").write_text("x = 2\n")
    with pytest.raises(OtherThanBefore, match=r"train.py has the digest .* is .*train.py with"):
        check_same(training, {"program": program})
    program.write_text("syntax error here\n")
    with pytest.raises(SwarmLabError, match="line 1"):
        check_same(training, {"program": program})


def test_a_cell_that_is_run_again_has_another_number_and_is_the_same_program(tmp_path: Path) -> None:
    cell, again = tmp_path / "cell-4.py", tmp_path / "cell-9.py"
    cell.write_text("print(1)\n")
    again.write_text("print(1)\n")
    training = staged(tmp_path / "swarm", cell)
    check_same(training, {"program": again, "files": ()})
    again.write_text("print(2)\n")
    with pytest.raises(OtherThanBefore):
        check_same(training, {"program": again, "files": ()})


def test_an_end_that_was_resumed_from_holds_no_more(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.append("training_created", training=ID, nodes=["sl-1", "sl-2"], program="p", merge="mean", min_peers=2)
    for node in ("sl-1", "sl-2"):
        log.append("node_failed", training=ID, node=node, code="SWL-651", message="broken")
    log.append_once(f"{ID}/finished", "finished", training=ID, state="failed")
    assert fold(read(tmp_path))[ID].state == "failed"
    log.append("training_resumed", training=ID, nodes=["sl-1", "sl-2"], round=3)
    view = fold(read(tmp_path))[ID]
    assert not view.over and view.failed == {} and view.outcome() is None
    for node in ("sl-1", "sl-2"):
        log.append("node_finished", training=ID, node=node, digest="0" * 64, model="m")
    training = Training(SwarmPaths(tmp_path), SwarmFacts.model_construct(name="x"), ID)
    told = [event["event"] for event in training.events(limit=5)]
    assert told.count("finished") == 1 and told[-1] == "finished"
    assert training.view.state == "finished" and training.view.key("finished") == f"{ID}/finished/1"


def test_a_seat_that_joined_too_late_fails_alone(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.append("training_created", training=ID, nodes=["sl-1"], program="p", merge="mean", min_peers=1)
    log.append("round", training=ID, round=1, nodes=["sl-1"], digest="0" * 64, metrics={})
    log.append("node_joined", training=ID, node="sl-2")
    log.append("node_finished", training=ID, node="sl-1", digest="0" * 64, model="m")
    assert fold(read(tmp_path))[ID].outcome() is None, "sl-2 may still come"
    log.append("node_failed", training=ID, node="sl-2", code="SWL-503", message="too late")
    outcome = fold(read(tmp_path))[ID].outcome()
    assert outcome is not None and outcome["state"] == "finished" and outcome["failed"] == {"sl-2": "too late"}

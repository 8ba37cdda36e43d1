"""The shell's side: options made from models, errors as answers, the nearest known name, completion."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from swarm_lab import cli
from swarm_lab.errors import SwarmLabError
from swarm_lab.front import options as o
from swarm_lab.front.command import names_of
from swarm_lab.front.show import JsonOut, PeopleOut
from swarm_lab.front.tables import table_of
from swarm_lab.verbs import VERBS, Verb, verb

CONTRACT = {
    "up", "status", "train", "attach", "stop", "logs", "add", "remove", "restart", "down", "doctor", "list", "verify",
    "digest", "metrics", "license issue", "license install", "license show",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if line.startswith("{")]
    return int(caught.value.code or 0), [json.loads(line) for line in lines], captured.err


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options with which verbs were called; none of them does anything."""
    seen: list[Any] = []

    def keep(found: Verb) -> Verb:
        def run(options: Any, _out: Any) -> BaseModel:
            seen.append(options)
            return o.Record.model_validate({"done": True})

        return Verb(found.words, found.options, run)

    monkeypatch.setattr(cli, "VERBS", tuple(keep(found) for found in VERBS))
    return seen


def test_verbs_are_those_of_the_contract() -> None:
    assert {found.name for found in VERBS} == CONTRACT
    assert all(found.help.endswith(".") for found in VERBS)


def test_train_as_in_the_contract(capsys: pytest.CaptureFixture[str], given: list[Any]) -> None:
    line = "train p.py --data parts --name d --sync 8 --min-peers 3 --merge mean --seed 1 -e A=1 -e B=2"
    line += " --files a.txt b --no-queue --json -- --epochs 3 -x"
    status, answer, _ = call(capsys, *line.split())
    assert (status, answer) == (0, [{"done": True}])
    assert given == [
        o.TrainOptions(
            program=Path("p.py"),
            data=Path("parts"),
            name="d",
            sync=8,
            min_peers=3,
            merge="mean",
            seed=1,
            env=("A=1", "B=2"),
            files=(Path("a.txt"), Path("b")),
            queue=False,
            args=("--epochs", "3", "-x"),
        )
    ]


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("up", o.UpOptions()),
        ("up demo", o.UpOptions(name="demo")),
        ("up --name d --sl 2 --sn 1 --cold", o.UpOptions(name="d", sl=2, sn=1, cold=True)),
        ("up --framework keras", o.UpOptions(framework="keras")),
        ("up -f x.yaml --wait 5", o.UpOptions(file=Path("x.yaml"), wait=5)),
        ("status demo", o.StatusOptions(name="demo")),
        ("status --name demo", o.StatusOptions(name="demo")),
        ("logs sl-1 --name d -f -n 5", o.LogsOptions(node="sl-1", name="d", follow=True, lines=5)),
        ("add sl -n 2", o.AddOptions(kind="sl", count=2)),
        ("down demo --purge", o.DownOptions(name="demo", purge=True)),
        ("doctor --no-bundle", o.DoctorOptions(bundle=False)),
        ("stop t-1", o.StopOptions(training="t-1")),
        ("train p.py", o.TrainOptions(program=Path("p.py"))),
        ("train p.py --wire bf16", o.TrainOptions(program=Path("p.py"), wire="bf16")),
        ("train p.py --files a b --sync 4", o.TrainOptions(program=Path("p.py"), files=(Path("a"), Path("b")), sync=4)),
        ("train --files a p.py", o.TrainOptions(program=Path("p.py"), files=(Path("a"),))),
        ("train -d p.py -- --json", o.TrainOptions(program=Path("p.py"), detach=True, args=("--json",))),
    ],
)  # fmt: skip
def test_lines_and_their_options(
    capsys: pytest.CaptureFixture[str], given: list[Any], line: str, options: BaseModel
) -> None:
    status, _, said = call(capsys, *line.split())
    assert (status, given) == (0, [options]), said


@pytest.mark.parametrize(
    ("line", "message", "next_step"),
    [
        ("upp", "no verb 'upp'", "up"),
        ("statsu demo", "no verb 'statsu'", "status"),
        ("up --slx 3", "no option --slx", "--sl"),
        ("train p.py --min-peer 3 --dat x", "no option --min-peer", "--min-peers"),
        ("up --sl 0", "--sl", "up --help"),
        ("up --sl many", "many", "up --help"),
        ("up --framework jax", "jax", "up --help"),
        ("train", "PROGRAM", "train --help"),
        ("add sn", "sn", "add --help"),
        ("logs", "NODE", "logs --help"),
        ("license shwo", "no verb 'shwo'", "license show"),
    ],
)
def test_wrong_calls(
    capsys: pytest.CaptureFixture[str], given: list[Any], line: str, message: str, next_step: str
) -> None:
    status, answer, _ = call(capsys, *line.split(), "--json")
    error = answer[-1]["error"]
    assert status == 2
    assert message in error["message"]
    assert next_step in error["next"]
    assert error["code"].startswith("SWL-")
    assert given == []


def test_failures_for_people_are_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = call(capsys, "status", "nobody")
    assert status == 1
    assert "SWL-103" in said
    assert "Next:" in said


def test_no_swarm_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "list", "--json")[1] == [{"swarms": []}]
    status, answer, _ = call(capsys, "status", "--json")
    assert (status, answer[-1]["error"]["code"]) == (1, "SWL-103")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(OSError(28, "No space left on device"), 1, "SWL-123"), (ValueError("odd"), 1, "SWL-000")],
)
def test_unforeseen_failures_are_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def fail(_options: Any, _out: Any) -> BaseModel:
        raise error

    monkeypatch.setattr(cli, "VERBS", (Verb(("up",), o.UpOptions, fail),))
    found, answer, _ = call(capsys, "up", "--json")
    assert (found, answer[-1]["error"]["code"]) == (status, code)


def test_ctrl_c_says_that_the_training_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_options: Any, _out: Any) -> BaseModel:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "VERBS", (Verb(("train",), o.TrainOptions, interrupted),))
    status, _, said = call(capsys, "train", "p.py", "--json")
    assert status == 130
    assert "goes on" in said
    assert "attach" in said


def _events() -> list[Mapping[str, Any]]:
    head = {"v": 1, "time": 1.0, "training": "t-1"}
    return [
        {**head, "event": "training_created", "nodes": ["sl-1"], "program": "p.py", "merge": "mean", "sync": 4},
        {**head, "event": "progress", "node": "sl-1", "round": 1, "batches": 3, "loss": 0.5},
        {**head, "event": "output", "node": "sl-1", "text": "epoch [1]"},
        {**head, "event": "waiting", "node": "sl-1", "reason": "for sl-2"},
        {**head, "event": "round", "round": 1, "nodes": ["sl-1"], "metrics": {"sl-1": {"loss": 0.5}}, "seconds": 0.1},
        {**head, "event": "lost_batches", "node": "sl-1", "batches": 3},
        {**head, "event": "node_failed", "node": "sl-1", "message": "no", "traceback": "Traceback [x]", "line": 3},
        {**head, "event": "finished", "state": "failed", "rounds": 1, "failed": {"sl-1": "no"}},
    ]


def test_programs_get_events_without_progress(capsys: pytest.CaptureFixture[str]) -> None:
    out = JsonOut()
    for event in _events():
        out.event(event)
    out.answer("train", o.Record())
    found = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert "progress" not in found
    assert found[-1] == "finished"


def test_people_see_rounds_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    out = PeopleOut()
    for event in _events():
        out.event(event)
    out.answer("train", o.Record())
    shown = capsys.readouterr().out
    for text in ("round   1 0.10 s  sl-1 0.5", "Traceback [x]", "failed, line 3", "sl-1| epoch [1]"):
        assert text in shown


def test_errors_have_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert JsonOut().fail(SwarmLabError("x")) == 1
    (shown,) = table_of("digest", o.ModelDigest(file="f", digest="aa", tensors=1, parameters=2))
    assert shown.plain == "aa"
    capsys.readouterr()


def test_names_complete(home: Path) -> None:
    assert names_of("swarm", None) == []
    assert names_of("node", "nobody") == []


def test_verb_by_name() -> None:
    assert verb("license show").words == ("license", "show")

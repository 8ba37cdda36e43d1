"""Tab after %swarm."""

import pytest
from IPython.core.completer import CompletionContext

from swarm_lab.jupyter import completion
from swarm_lab.jupyter.completion import swarm_matcher


def complete(text: str) -> list[str]:
    token = text.rsplit(maxsplit=1)[-1] if not text.endswith(" ") else ""
    lines = text.split("\n")
    context = CompletionContext(
        token=token,
        full_text=text,
        cursor_position=len(lines[-1]),
        cursor_line=len(lines) - 1,
        limit=None,
    )
    return [found.text for found in swarm_matcher(context)["completions"]]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"swarm": ["demo", "dev"], "node": ["sl-1", "sl-2", "sentinel"], "training": ["t-2", "t-1"]}
    monkeypatch.setattr(completion, "names_of", lambda kind, swarm: known.get(kind, []))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%swarm st", ["status", "stop"]),
        ("x = %swarm la", ["last"]),
        ("for i in x:\n    %swarm statu", ["status"]),
        ("%%swarm tr", ["train"]),
        ("%swarm license s", ["show"]),
        ("%swarm logs s", ["sl-1", "sl-2", "sentinel"]),
        ("%swarm logs sl-1 --na", ["--name"]),
        ("%swarm up --framework ", ["torch", "keras", "sklearn"]),
        ("%%swarm train --merge ", ["mean", "coordmedian", "geomedian"]),
        ("%swarm status de", ["demo", "dev"]),
        ("%swarm up --name d", ["demo", "dev"]),
        ("%swarm attach t", ["t-2", "t-1"]),
        ("%%swarm train --min", ["--min-peers"]),
        ("%swarm train p.py -- --sy", []),
        ("print(st", []),
        ("%swarmy st", []),
        ("%swarm nothing st", []),
    ],
)
def test_what_is_offered(text: str, found: list[str]) -> None:
    assert complete(text) == found


def test_an_option_is_offered_once_unless_it_may_be_repeated() -> None:
    offered = complete("%%swarm train --sync 4 --env A=1 --")
    assert "--sync" not in offered and "--env" in offered and "--data" in offered


def test_everything_is_offered_after_the_name() -> None:
    offered = complete("%swarm ")
    assert {"up", "train", "verify", "license", "last"} <= set(offered)


def test_others_answer_where_a_path_stands() -> None:
    context = CompletionContext(
        token="pa", full_text="%swarm train --data pa", cursor_position=22, cursor_line=0, limit=None
    )
    assert swarm_matcher(context)["suppress"] is False

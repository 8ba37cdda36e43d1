"""The magics in a real IPython shell, with swarms that do not exist: errors, answers, unloading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from swarm_lab.errors import NoSuchSwarm, SwarmRuns, UsageError
from swarm_lab.front.options import SwarmList
from swarm_lab.front.status import NodeStatus, SwarmStatus
from swarm_lab.jupyter import magics
from swarm_lab.jupyter.answers import error_block, html_of, text_of


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "swarm_lab")
    yield made
    made.run_line_magic("unload_ext", "swarm_lab")
    InteractiveShell.clear_instance()


def test_an_error_is_one_block_without_a_traceback(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    result = shell.run_cell("%swarm statsu")
    assert isinstance(result.error_in_exec, UsageError)
    printed = capsys.readouterr().out
    assert "did you mean `%swarm status`?" in printed and "Traceback" not in printed
    assert error_block(result.error_in_exec)[1] == "Cause  there is no verb 'statsu'"


def test_an_error_can_be_caught(shell: InteractiveShell) -> None:
    with pytest.raises(NoSuchSwarm):
        shell.run_line_magic("swarm", "status")


def test_an_answer_is_a_value(shell: InteractiveShell) -> None:
    shell.run_cell("found = %swarm list")
    assert shell.user_ns["found"] == SwarmList(swarms=[])
    assert shell.run_line_magic("swarm", "list --json") == {"swarms": []}


def test_variables_and_expressions_expand(shell: InteractiveShell) -> None:
    shell.run_cell("name = 'nowhere'")
    for line in ("%swarm status $name", "%swarm status {name.lower()}"):
        error = shell.run_cell(line).error_in_exec
        assert isinstance(error, NoSuchSwarm) and "'nowhere'" in error.message


def test_answers_are_shown_in_html_and_text(shell: InteractiveShell) -> None:
    node = NodeStatus(name="sl-1", kind="sl", state="ready", host="local", address="a:1", spiffe_id=None, message="<b>")
    status = SwarmStatus(swarm="demo", state="ready", nodes=[node], trainings=[])
    data, _ = shell.display_formatter.format(status)
    assert data["text/html"] == html_of(status) and "&lt;b&gt;" in data["text/html"]
    assert data["text/plain"] == text_of(status) and "sl-1" in data["text/plain"]


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("up", "x = 1", "only `train` takes a cell"),
        ("", "x = 1", "only `train` takes a cell"),
        ("train --data 'parts", "x = 1", "the line cannot be read"),
        ("train --data parts -o 1x", "x = 1", "-o takes the name of a variable"),
        ("train --data parts", "print(model)", "model (line 2) is defined in another cell"),
        ("train --data parts", "%swarm status", "cell-1.py, line 2"),
    ],
)
def test_cells_that_cannot_be_meant(shell: InteractiveShell, line: str, cell: str, words: str) -> None:
    shell.user_ns["model"] = object()
    with pytest.raises(UsageError) as caught:
        shell.run_cell_magic("swarm", line, cell)
    assert words in caught.value.message


def test_up_of_a_running_swarm_attaches(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SwarmStatus(swarm="demo", state="ready", nodes=[], trainings=[])

    class Running:
        name, running = "demo", True

        @classmethod
        def attach(cls, name: str) -> Running:
            assert name == "demo"
            return cls()

        @classmethod
        def up(cls, *given: object, **options: object) -> None:
            raise SwarmRuns("the swarm 'demo' already runs")

        def status(self) -> SwarmStatus:
            return status

    monkeypatch.setattr(magics, "Swarm", Running)
    monkeypatch.setattr("swarm_lab.verbs.Swarm", Running)
    assert shell.run_line_magic("swarm", "up --name demo") == status


def test_unloading_takes_everything_away(shell: InteractiveShell) -> None:
    assert magics.swarm_matcher in shell.Completer.custom_matchers
    shell.run_line_magic("reload_ext", "swarm_lab")
    assert shell.Completer.custom_matchers.count(magics.swarm_matcher) == 1
    shell.run_line_magic("unload_ext", "swarm_lab")
    assert magics.swarm_matcher not in shell.Completer.custom_matchers
    assert "swarm" not in shell.magics_manager.magics["line"]
    shell.run_line_magic("load_ext", "swarm_lab")

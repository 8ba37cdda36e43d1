"""The demo's outcome comes from RESULT.json alone; whatever happens to the notebook, the swarm is taken down."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest

from swarm_lab.experiments import demo
from swarm_lab.experiments.progress import Progress
from swarm_lab.experiments.result import read_result

GOOD = """
from swarm_lab.experiments.result import conclude
from swarm_lab.experiments.scores import Score, Scores
scores = Scores()
for way, value in (("sl-1", 0.6), ("swarm", {swarm}), ("central", 0.95)):
    scores.add("digits", way, 0, Score(value, value, value))
conclude(f"{{folder}}/RESULT.json", scores, framework=framework, training="t-1", verified={verified})
"""


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[int, str]]:
    """Run the demo with a notebook of one cell; gives exit status and progress."""

    def run(source: str) -> tuple[int, str]:
        parameters = nbformat.v4.new_code_cell(
            "framework, folder, seeds = '', '', 1", metadata={"tags": ["parameters"]}
        )
        cells = [parameters, nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("print('never reached')")]
        path = tmp_path / "source.ipynb"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        monkeypatch.setattr(demo, "notebook_path", lambda framework: path)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        out = io.StringIO()
        return demo.run("torch", tmp_path / "out", 1, Progress(out)), out.getvalue()

    return run


def test_a_good_result_is_success(execute, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _ = execute(GOOD.format(swarm=0.9, verified=True))
    assert status == 0
    printed = capsys.readouterr().out
    assert "0.900" in printed and "quickstart.html" in printed
    assert "never reached" in (tmp_path / "out" / "quickstart.html").read_text()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os; os._exit(1)", "DeadKernelError"),
        ("print('and no result')", "wrote no result"),
        ("raise ValueError('three channels')", "ValueError: three channels"),
        (GOOD.format(swarm=0.5, verified=True), "SWL-125"),
        (GOOD.format(swarm=0.9, verified=False), "evidence"),
    ],
)
def test_everything_else_is_failure(execute, capsys: pytest.CaptureFixture[str], source: str, words: str) -> None:
    status, _ = execute(source)
    assert status == 1
    assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_whole_demo_with_one_seed(need, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need("python:torch", "python:sklearn", "anvil")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    out = io.StringIO()
    assert demo.run("torch", tmp_path / "out", 1, Progress(out)) == 0
    found = read_result(tmp_path / "out" / "RESULT.json")
    assert found is not None and found[0]["verified"]
    accuracy = found[1].means()["accuracy"]["digits"]
    assert accuracy["swarm"] > accuracy.drop(["swarm", "central"]).max() + 0.1
    assert "the first round is committed" in out.getvalue()
    assert (tmp_path / "out" / "quickstart.html").read_text().count("data:image/png") >= 3
    left = [one.pid for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]
    assert left == []

"""The notebooks of `notebooks/`, each executed from first cell to last: a real kernel, a real swarm, less of it all.

A row of `EXAMPLES` is a notebook and what makes it small. A notebook is expected to bring up the swarm of its row and
take it down, to take the parameter `folder`, and to end with `conclude(folder / "RESULT.json", ...)`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
import pytest

from swarm_lab.experiments.notebooks import example_path
from swarm_lab.experiments.result import read_result
from swarm_lab.experiments.scores import TOLERANCE, Scores, is_single
from swarm_lab.facts.events import fold, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import swarm_names
from swarm_lab.facts.views import TrainingView
from swarm_lab.rounds.layout import root
from swarm_lab.rounds.model_file import read_model
from swarm_lab.swarm import Swarm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CELL_S = 90
START_S = 60


@dataclass(frozen=True, slots=True)
class Example:
    """A notebook: its swarm's name, the packages it needs, its small parameters, and what its figures must reach.

    `least` is for the swarm's score by the notebook's first measure, `gain` for how far that is above the best single
    node; both are what the small run gives, less a margin.
    """

    name: str
    swarm: str
    needs: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    least: float = 0.0
    gain: float = -TOLERANCE


EXAMPLES = [
    Example("images-pytorch", "images", ("torch",), {"nodes": 2, "batches": 60, "sync": 5}, least=0.85, gain=0.03),
    Example(
        "images-keras", "images", ("keras", "tensorflow"), {"nodes": 2, "batches": 60, "sync": 5}, least=0.85, gain=0.03
    ),
    Example(
        "fraud",
        "fraud",
        ("torch", "torchmetrics"),
        {"sites": [[2000, 12], [500, 240]], "batches": 200},
        least=0.6,
        gain=0.0,
    ),
    Example(
        "text-transformer",
        "text",
        ("torch", "torchmetrics"),
        {"offices": ["weather", "kitchen"], "batches": 160, "sync": 4},
        least=0.55,
        gain=0.08,
    ),
    Example("scikit-learn", "scikit-learn", (), {"nodes": 2, "passes": 4}, least=0.8, gain=0.1),
    Example(
        "huggingface",
        "huggingface",
        ("torch", "transformers", "peft", "accelerate"),
        {"nodes": 2, "messages": 120, "steps": 100},
        least=0.8,
        gain=0.1,
    ),
]
WELCOME = Example("welcome", "welcome", (), {"passes": 3, "pause": 0})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where one notebook runs: a data directory and an environment of its own, and nothing left of it at the end."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    (tmp_path / "work").mkdir()
    yield tmp_path / "work"
    for name in swarm_names():
        Swarm.attach(name).down()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_notebook_runs_to_its_end_and_its_swarm_is_worth_it(
    example: Example, folder: Path, need: Callable[..., None]
) -> None:
    need("anvil", "python:papermill", "python:sklearn", *(f"python:{name}" for name in example.needs))
    executed = execute(example, folder)
    assert errors(executed) == []
    assert "image/png" in shown(executed), "it shows no picture"
    result = read_result(folder / "output" / "RESULT.json")
    assert result is not None, "it concluded nothing"
    facts, scores = result
    assert facts["ok"] and facts["verified"]
    judge(scores, example)
    one_model_everywhere(facts["training"], example)
    assert left_running(folder.parent) == []


def test_the_welcome_notebook_runs_to_its_end(folder: Path, need: Callable[..., None]) -> None:
    """It has no score to reach: it shows a newcomer around."""
    need("anvil", "python:papermill", "python:sklearn")
    executed = execute(WELCOME, folder)
    assert errors(executed) == []
    (view,) = fold(read(SwarmPaths.of(WELCOME.swarm).root)).values()
    assert view.state == "finished" and len(view.nodes) == 4 and len(view.rounds) >= 3
    assert left_running(folder.parent) == []


def execute(example: Example, folder: Path) -> Any:
    """The executed notebook; papermill raises at the first cell that fails, with that cell's own error."""
    target = folder / "executed.ipynb"
    papermill.execute_notebook(
        str(example_path(example.name)),
        str(target),
        parameters={"folder": str(folder / "output"), **example.parameters},
        cwd=str(folder),
        progress_bar=False,
        log_output=False,
        start_timeout=START_S,
        execution_timeout=CELL_S,
        extra_arguments=["--log-level=ERROR"],
    )
    return nbformat.read(target, as_version=4)


def judge(scores: Scores, example: Example) -> None:
    """Each node alone, the swarm and central training were measured, and the swarm is as good as it has to be."""
    for data in dict.fromkeys(scores.frame()["data"]):
        values = scores.means()[scores.measures[0]][data]
        alone = values[[is_single(way) for way in values.index]]
        assert len(alone) >= 2 and values.between(0, 1).all(), values
        assert values["swarm"] >= example.least, values
        assert values["swarm"] >= alone.max() + example.gain, values
        assert values["central"] >= alone.max() - TOLERANCE, values


def one_model_everywhere(training: str, example: Example) -> None:
    """What the notebook says of itself is seen again from outside: files, digests and rounds, for every node."""
    paths = SwarmPaths.of(example.swarm)
    view = fold(read(paths.root))[training]
    assert view.state == "finished" and len(view.nodes) >= 2 and len(view.rounds) >= 3
    assert set(view.finished) == set(view.nodes)
    files = [paths.model(node, training) for node in view.nodes]
    digests = {root(*read_model(path)) for path in files} | {end["digest"] for end in view.finished.values()}
    assert len(digests) == 1
    assert all(judged(view, node) for node in view.nodes)


def judged(view: TrainingView, node: str) -> bool:
    """Whether the node judged merged models on its own data, as it said on the ledger."""
    return any((done.metrics.get(node) or {}).get("loss") is not None for done in view.rounds)


def errors(notebook: Any) -> list[str]:
    """Errors in the outputs, and what should not be seen there: a traceback of something that went on regardless."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    raised = [output.evalue for output in outputs if output.output_type == "error"]
    return raised + [text for output in outputs if "Traceback" in (text := str(output.get("text", "")))]


def shown(notebook: Any) -> set[str]:
    """The kinds of what the notebook shows."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return {kind for output in outputs for kind in output.get("data", {})}


def left_running(folder: Path) -> list[str]:
    """Processes that were started for this folder and still run."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(folder) in words and process.pid != os.getpid():
            found.append(words)
    return found

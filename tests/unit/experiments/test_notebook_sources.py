"""The notebooks as they lie there: no outputs, programs that stand alone, pairs that agree, each executed by a test."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from swarm_lab.experiments.baselines import program
from swarm_lab.experiments.notebooks import PAIRS, example_path, keras_text, notebook_path
from swarm_lab.jupyter.cell import unbound

FOLDER = example_path("quickstart").parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EXECUTED = Path(__file__).parents[2] / "integration" / "notebooks" / "test_notebooks.py"


@pytest.mark.parametrize("name", PAIRS)
def test_the_keras_notebook_is_made_from_its_source(name: str) -> None:
    """`python -m swarm_lab.experiments.notebooks` writes it again."""
    assert example_path(PAIRS[name]).read_text("utf-8") == keras_text(example_path(name))


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_quickstart_has_the_program_of_the_demo(framework: str) -> None:
    code = code_of(notebook_path(framework))
    (cell,) = tagged(code, "program")
    line, _, body = cell.source.partition("\n")
    assert "-o run" in line
    assert program(framework, "swarm").read_text().strip().endswith(body)
    (parameters,) = tagged(code, "parameters")
    assert f'framework = "{framework}"' in parameters.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_clean(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    code = code_of(path)
    assert not any(cell.outputs or cell.execution_count for cell in code)
    (parameters,) = tagged(code, "parameters")
    assert "folder = " in parameters.source
    programs = tagged(code, "program")
    assert programs and all(cell.source.startswith("%%swarm train") for cell in programs)
    assert [unbound(cell.source.partition("\n")[2], "cell") for cell in programs] == [{}] * len(programs)
    assert any(cell.source.startswith("%swarm down") for cell in code)
    assert max(len(line) for cell in code for line in cell.source.splitlines()) <= 120


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_listed_and_executed(path: Path) -> None:
    assert f"({path.name})" in (FOLDER / "README.md").read_text("utf-8")
    executed = set(re.findall(r"Example\(\s*\"([\w-]+)\"", EXECUTED.read_text("utf-8")))
    # The demo's test executes the quickstart; its Keras twin is one program apart from it.
    assert path.stem in executed | {"quickstart", "quickstart-keras"}


def code_of(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def tagged(cells: list[Any], tag: str) -> list[Any]:
    return [cell for cell in cells if tag in cell.metadata.get("tags", [])]

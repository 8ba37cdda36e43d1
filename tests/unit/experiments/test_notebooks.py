"""The quickstart notebooks: one source for both frameworks, no outputs, the program of the package in the cell."""

import nbformat
import pytest

from swarm_lab.experiments.baselines import program
from swarm_lab.experiments.notebooks import keras_text, notebook_path
from swarm_lab.jupyter.cell import unbound


def test_the_keras_notebook_is_made_from_the_source() -> None:
    assert notebook_path("keras").read_text() == keras_text(notebook_path("torch").read_text())


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_notebook_is_clean_and_has_the_program(framework: str) -> None:
    notebook = nbformat.read(notebook_path(framework), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    (cell,) = [cell for cell in code if "program" in cell.metadata.get("tags", [])]
    line, _, body = cell.source.partition("\n")
    assert line.startswith("%%swarm train") and "-o run" in line
    assert program(framework, "swarm").read_text().strip().endswith(body)
    assert unbound(body, "cell") == {}
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert f'framework = "{framework}"' in parameters.source

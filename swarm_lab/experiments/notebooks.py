"""Where the notebooks are, and those that exist for both frameworks: the Keras one is made from that for PyTorch.

`python -m swarm_lab.experiments.notebooks` writes the Keras ones again; a test holds each pair together.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat

from swarm_lab.experiments.baselines import Framework, program

# In a checkout they lie beside the package, in the wheel inside it.
_PLACES = (Path(__file__).parents[2] / "notebooks", Path(__file__).parents[1] / "notebooks")
_WORDS = {"PyTorch": "Keras"}
NAMES: dict[Framework, str] = {"torch": "quickstart.ipynb", "keras": "quickstart-keras.ipynb"}
PAIRS = {"quickstart": "quickstart-keras", "images-pytorch": "images-keras"}
"""Notebooks for PyTorch, by name, with those that say the same for Keras."""


def notebook_path(framework: Framework) -> Path:
    """The quickstart of a framework; raises `FileNotFoundError`."""
    return example_path(NAMES[framework].removesuffix(".ipynb"))


def example_path(name: str) -> Path:
    """The notebook of this name, without `.ipynb`; raises `FileNotFoundError`."""
    file = f"{name}.ipynb"
    found = next((place / file for place in _PLACES if (place / file).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{file} is neither in {_PLACES[0]} nor in {_PLACES[1]}")
    return found


def keras_text(source: Path) -> str:
    """The file of the Keras notebook that belongs to `source`.

    All cells are the source's but the programs: the demo's for the quickstart, else those that the Keras notebook has.
    """
    form: Any = nbformat  # it has no types
    made = form.read(source, as_version=4)
    programs = [_demo_program()] if source.stem == "quickstart" else _programs(form.read(_twin(source), as_version=4))
    for cell in made.cells:
        tags = cell.metadata.get("tags", [])
        if "program" in tags:
            cell.source = f"{cell.source.partition(chr(10))[0]}\n{programs.pop(0)}"
        elif "parameters" in tags:
            cell.source = cell.source.replace('framework = "torch"', 'framework = "keras"')
        elif cell.cell_type == "markdown":
            for word, other in _WORDS.items():
                cell.source = cell.source.replace(word, other)
    return str(form.writes(made)) + "\n"


def _twin(source: Path) -> Path:
    return source.with_stem(PAIRS[source.stem])


def _programs(notebook: Any) -> list[str]:
    """The bodies of the cells tagged `program`."""
    return [cell.source.partition("\n")[2] for cell in notebook.cells if "program" in cell.metadata.get("tags", [])]


def _demo_program() -> str:
    """The program without its docstring: the notebook says what it is."""
    return program("keras", "swarm").read_text("utf-8").partition('"""\n')[2].strip()


def main() -> int:
    """Write the Keras notebooks beside their sources."""
    for name in PAIRS:
        source = example_path(name)
        text = keras_text(source)
        _twin(source).write_text(text, "utf-8")
        print(_twin(source))
    return 0


if __name__ == "__main__":
    sys.exit(main())

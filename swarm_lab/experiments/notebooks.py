"""Where the notebooks are, and the quickstart for each framework: the Keras one is made from `quickstart.ipynb`.

`python -m swarm_lab.experiments.notebooks` writes it again; a test holds the two together.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import nbformat

from swarm_lab.experiments.baselines import Framework, program

# In a checkout they lie beside the package, in the wheel inside it.
_PLACES = (Path(__file__).parents[2] / "notebooks", Path(__file__).parents[1] / "notebooks")
_WORDS = {"PyTorch": "Keras"}
NAMES: dict[Framework, str] = {"torch": "quickstart.ipynb", "keras": "quickstart-keras.ipynb"}


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


def for_framework(source: Any, framework: Framework) -> Any:
    """The notebook with the framework's program in the cell tagged `program` and its name in `parameters`."""
    made = copy.deepcopy(source)
    for cell in made.cells:
        tags = cell.metadata.get("tags", [])
        if "program" in tags:
            cell.source = f"{cell.source.partition(chr(10))[0]}\n{_body(framework)}"
        elif "parameters" in tags:
            cell.source = cell.source.replace('framework = "torch"', f'framework = "{framework}"')
        elif cell.cell_type == "markdown" and framework == "keras":
            for word, other in _WORDS.items():
                cell.source = cell.source.replace(word, other)
    return made


def keras_text(source: str) -> str:
    """The Keras notebook's file from that of the source."""
    form: Any = nbformat  # it has no types
    return str(form.writes(for_framework(form.reads(source, as_version=4), "keras"))) + "\n"


def _body(framework: Framework) -> str:
    """The program without its docstring: the notebook says what it is."""
    return program(framework, "swarm").read_text("utf-8").partition('"""\n')[2].strip()


def main() -> int:
    """Write the Keras notebook beside the source."""
    source = notebook_path("torch")
    target = source.with_name(NAMES["keras"])
    target.write_text(keras_text(source.read_text("utf-8")), "utf-8")
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())

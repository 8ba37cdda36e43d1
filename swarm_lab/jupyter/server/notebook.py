"""A swarm or a training as a notebook that does it again."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import nbformat
import yaml

from swarm_lab.errors import NoSuchTraining
from swarm_lab.experiments.notebooks import example_path
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.again import TrainingAgain, swarm_again, training_again
from swarm_lab.jupyter.call import PROMPT
from swarm_lab.jupyter.server.models import Notebook
from swarm_lab.jupyter.server.watch import SwarmWatch

_v4: Any = nbformat.v4  # it has no types


def of_swarm(watch: SwarmWatch) -> Notebook:
    """The swarm and all its trainings."""
    name = watch.name
    cells = [_text(f"# The swarm {name}, again"), *_up(watch)]
    for number, view in enumerate(watch.views.values(), 1):
        cells += _training(watch, view, f"run_{number}")
    return _notebook(f"{name}.ipynb", [*cells, *_end(name)])


def of_training(watch: SwarmWatch, id: str) -> Notebook:
    """The swarm and one training; raises `NoSuchTraining`."""
    view = watch.views.get(id)
    if view is None:
        raise NoSuchTraining(f"the swarm {watch.name!r} has no training {id!r}")
    cells = [_text(f"# {id} on {watch.name}, again"), *_up(watch), *_training(watch, view, "run")]
    return _notebook(f"{watch.name}-{id}.ipynb", [*cells, *_end(watch.name)])


def to_begin_with() -> Notebook:
    """A copy of the notebook that a newcomer begins with; it runs with every framework's environment."""
    source = example_path("welcome")
    content: dict[str, Any] = json.loads(source.read_text("utf-8"))
    return Notebook(name=source.name, content=content)


def _up(watch: SwarmWatch) -> Iterator[Any]:
    words, spec = swarm_again(watch.paths, watch.observer.facts())
    yield _code("%load_ext swarm_lab")
    if spec is not None:
        file = f"{watch.name}.yaml"
        text = yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True), sort_keys=False)
        yield _code(f"%%writefile {file}\n{text}")
        words = ("-f", file)
    yield _code(f"{PROMPT} up {_line(words)}")


def _training(watch: SwarmWatch, view: TrainingView, target: str) -> Iterator[Any]:
    again = training_again(watch.paths, watch.observer.facts(), view)
    yield _text("\n\n".join([f"## {view.id}", _story(view), *_remarks(again)]))
    if again.secrets:
        yield _code("\n".join(f'{name} = ""  # its value is kept nowhere but at the nodes' for name in again.secrets))
    folders = sorted({str(PurePosixPath(path).parent) for path in again.files} - {"."})
    if folders:
        made = (f"Path({folder!r}).mkdir(parents=True, exist_ok=True)" for folder in folders)
        yield _code("from pathlib import Path\n\n" + "\n".join(made))
    for path, text in again.files.items():
        yield _code(f"%%writefile {shlex.quote(path)}\n{text}")
    line = f"--name {watch.name} " + "".join(f"-e {name}={{{name}}} " for name in again.secrets) + f"-o {target} "
    line += _line(again.words)
    if again.program is None:
        yield _code(f"{PROMPT} train {shlex.quote(again.path)} {line}".rstrip())
    else:
        yield _code(f"%{PROMPT} train {line}".rstrip() + f"\n{again.program}")


def _story(view: TrainingView) -> str:
    """What came of it."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(view.created))
    word = {"queued": "waits", "running": "runs", "stopped": "was stopped"}.get(view.state, view.state)
    said = f"Started {when} on {', '.join(view.nodes)}; {word} after {view.round} rounds."
    if view.resumed:
        said += f" It was resumed {view.resumed} time{'s' * (view.resumed > 1)}; here it is done in one go."
    if view.model_digest:
        said += f" Its model has the digest `{view.model_digest}`."
    return said


def _remarks(again: TrainingAgain) -> Iterator[str]:
    if again.program is None:
        yield f"No node has its program any more: it is taken from `{again.path}`, as it is now."
    if again.lacking:
        names = ", ".join(f"`{path}`" for path in again.lacking)
        yield f"Files that are no text have to be put beside the notebook: {names}."


def _end(name: str) -> list[Any]:
    return [_code(f"{PROMPT} status {name}"), _code(f"# {PROMPT} down {name}")]


def _line(words: tuple[str, ...]) -> str:
    """Words of a magic's line; IPython fills in what stands in braces or after a dollar."""
    return shlex.join(words).replace("{", "{{").replace("}", "}}").replace("$", "$$")


def _code(source: str) -> Any:
    return _v4.new_code_cell(source.rstrip("\n"))


def _text(source: str) -> Any:
    return _v4.new_markdown_cell(source)


def _notebook(name: str, cells: list[Any]) -> Notebook:
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    made = _v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    check: Any = nbformat
    check.validate(made)
    return Notebook(name=name, content=dict(made))

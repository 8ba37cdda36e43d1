"""The demo's programs: a plain one becomes a swarm program by at most five statements."""

import ast
import difflib
import re

import pytest

from swarm_lab.experiments.baselines import program, train_alone
from swarm_lab.experiments.data import prepare
from swarm_lab.experiments.scores import score


@pytest.mark.parametrize(("framework", "most"), [("torch", 5), ("keras", 2)])
def test_a_few_statements_make_it_a_swarm_program(framework: str, most: int) -> None:
    plain, swarm = (_lines(program(framework, kind).read_text()) for kind in ("alone", "swarm"))
    changes = list(difflib.ndiff(plain, swarm))
    assert not [line for line in changes if line.startswith("- ")]
    assert len([line for line in changes if line.startswith("+ ")]) <= most


def _lines(source: str) -> list[str]:
    """One line a statement or argument, whatever the lines of the source: without the docstring."""
    whole = ast.unparse(ast.parse(source))
    return re.sub(r", callbacks=\[(.*)\]\)$", r")\n\1", whole, flags=re.MULTILINE).splitlines()[1:]


def test_plain_program_learns_from_one_node(tmp_path, need) -> None:
    need("python:torch")
    split = prepare("breast_cancer", tmp_path)
    found = score("torch", train_alone("torch", split.central, seed=1), split.test_x, split.test_y)
    assert found.accuracy > 0.9

"""The demo's programs: a plain one becomes a swarm program by at most five lines."""

import ast
import difflib

import pytest

from swarm_lab.experiments.baselines import program, train_alone
from swarm_lab.experiments.data import prepare
from swarm_lab.experiments.scores import score


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_at_most_five_changed_lines(framework: str) -> None:
    plain, swarm = (program(framework, kind).read_text().splitlines() for kind in ("alone", "swarm"))
    changes = list(difflib.unified_diff(plain[1:], swarm[1:], lineterm="", n=0))[2:]
    added = [line for line in changes if line.startswith("+") and line != "+"]
    assert len(added) <= 5
    assert not [line for line in changes if line.startswith("-")]
    ast.parse("\n".join(swarm))


def test_plain_program_learns_from_one_node(tmp_path, need) -> None:
    need("python:torch")
    split = prepare("breast_cancer", tmp_path)
    found = score("torch", train_alone("torch", split.central, seed=1), split.test_x, split.test_y)
    assert found.accuracy > 0.9

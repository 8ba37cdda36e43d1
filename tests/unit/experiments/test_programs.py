"""The demo's programs: a plain one becomes a swarm program by at most five statements."""

import ast
import difflib
import os
import re

import pytest

from swarm_lab.experiments.baselines import program, run_alone, train_alone
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


def test_the_swarm_program_runs_alone_and_learns_what_the_plain_one_learns(tmp_path, need, capfd) -> None:
    need("python:torch", "python:torchmetrics")
    data = prepare("breast_cancer", tmp_path).central
    before = dict(os.environ)
    found = run_alone(program("torch", "swarm"), data, seed=1)["model"].state_dict()
    expected = train_alone("torch", data, seed=1).state_dict()
    assert all(found[name].equal(expected[name]) for name in expected), "the callback changed the training"
    assert os.environ == before
    assert capfd.readouterr().out == ""


def test_what_a_program_finds_when_it_runs_alone(tmp_path) -> None:
    names = ["DATA_DIR", "MODEL_DIR", "SCRATCH_DIR", "SWARM_SEED", "SWARM_LOOPBACK", "BATCHES"]
    (tmp_path / "it.py").write_text(
        f"import os\nfound = {{name: os.environ[name] for name in {names}}}\nname = __name__\n"
    )
    made = run_alone(tmp_path / "it.py", tmp_path, seed=7, BATCHES="3")
    assert made["name"] == "__main__"
    assert made["found"]["DATA_DIR"] == str(tmp_path) and made["found"]["SWARM_SEED"] == "7"
    assert made["found"]["SWARM_LOOPBACK"] == "true" and made["found"]["BATCHES"] == "3"
    with pytest.raises(ZeroDivisionError):
        (tmp_path / "it.py").write_text("1 / 0")
        run_alone(tmp_path / "it.py", tmp_path)

"""A cell as a program: names it lacks, its lines, its modules."""

from pathlib import Path

import pytest

from swarm_lab.errors import BadProgram, CellNames
from swarm_lab.jupyter.cell import Cell, modules_beside, unbound


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("x = 1\nprint(x)", {}),
        ("print(model)", {"model": 1}),
        ("import os\ny = os.path", {}),
        ("def f(a, *b, c=d, **e):\n    return a + g", {"d": 1, "g": 2}),
        ("def f():\n    return later\nlater = 1", {}),
        ("[i for i in rows]", {"rows": 1}),
        ("class A(Base):\n    x = 1\n    def m(self):\n        return x", {"Base": 1, "x": 4}),
        ("def f():\n    global made\n    made = 1\nf()\nprint(made)", {}),
        ("from numpy import *\nprint(array)", {}),
        ("try:\n    pass\nexcept ValueError as error:\n    print(error)", {}),
        ("with open('a') as f, lock:\n    f.read()", {"lock": 1}),
        ("print(__name__, __file__, len([]))", {}),
        ("for x, (y, z) in pairs:\n    print(x, y, z)", {"pairs": 1}),
        ("if (n := 3) > 2:\n    print(n)", {}),
        ("del_me = 1\ndel del_me", {}),
        ("f = lambda v: v + w", {"w": 1}),
        ("match a:\n    case {'k': v}:\n        print(v)", {"a": 1}),
        ("x: int = 1\ny: Path = x", {"Path": 2}),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = y\n    return g", {"y": 5}),
    ],
)
def test_names_that_nothing_binds(source: str, missing: dict[str, int]) -> None:
    assert unbound(source, "cell-1.py") == missing


def test_lines_are_those_of_the_cell() -> None:
    with pytest.raises(CellNames, match=r"model \(line 3\) is defined in another cell; size \(line 3\) is .* nowhere"):
        Cell("import torch\nmodel.fit(size)\n", 7).check_names({"model": object()})


def test_a_syntax_error_names_cell_and_line() -> None:
    with pytest.raises(BadProgram, match=r"cell-7\.py, line 3"):
        Cell("import torch\n!ls\n", 7).check_names({})


def test_file_keeps_the_lines_and_each_content_its_own(tmp_path: Path) -> None:
    first, second = Cell("x = 1\n", 2), Cell("x = 2\n", 2)
    assert first.write(tmp_path).read_text().splitlines()[1] == "x = 1"
    assert first.write(tmp_path) != second.write(tmp_path)
    assert first.write(tmp_path).name == "cell-2.py"


def test_modules_beside_the_notebook_travel(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import deeper\nimport json\n")
    (tmp_path / "deeper.py").write_text("")
    (tmp_path / "unused.py").write_text("")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "swarm_lab").mkdir()
    (tmp_path / "swarm_lab" / "__init__.py").write_text("")
    found = modules_beside("from helper import x\nimport package.part\nfrom swarm_lab import SwarmCallback\n", tmp_path)
    assert {path.name for path in found} == {"helper.py", "deeper.py", "package"}

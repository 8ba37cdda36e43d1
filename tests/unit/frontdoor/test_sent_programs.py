"""What travels to the seats, whose data is whose, and what the environment must have."""

from pathlib import Path

import pytest

from swarm_lab.errors import BadData, BadProgram, BadRequirements
from swarm_lab.front.data import assign
from swarm_lab.front.program import gather
from swarm_lab.front.requirements import check_requirements


def _write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_imported_modules_travel_and_others_stay(tmp_path: Path) -> None:
    _write(
        tmp_path,
        prog_py="import os, json\nimport helper\nfrom pack import part\nfrom pack.deep import thing",
        helper_py="import second",
        second_py="import prog",
        unused_py="x = 1",
        pack__init_py="",
        pack__part_py="from . import sibling",
        pack__sibling_py="from ..helper import x",
        pack__deep_py="thing = 1",
    )
    (tmp_path / "pack" / "init.py").rename(tmp_path / "pack" / "__init__.py")
    bundle = gather(tmp_path / "prog.py")
    assert bundle.main == "prog.py"
    assert sorted(bundle.files) == [
        "helper.py",
        "pack/__init__.py",
        "pack/deep.py",
        "pack/part.py",
        "pack/sibling.py",
        "prog.py",
        "second.py",
    ]


def test_digest_follows_names_and_contents(tmp_path: Path) -> None:
    _write(tmp_path, prog_py="import helper", helper_py="x = 1")
    first = gather(tmp_path / "prog.py").digest
    assert first == gather(tmp_path / "prog.py").digest
    _write(tmp_path, helper_py="x = 2")
    assert gather(tmp_path / "prog.py").digest != first


def test_files_and_folders_travel(tmp_path: Path) -> None:
    _write(tmp_path, work__prog_py="x = 1")
    (tmp_path / "work" / "conf").mkdir()
    (tmp_path / "work" / "conf" / "a.yaml").write_text("a: 1")
    (tmp_path / "work" / "conf" / ".secret").write_text("no")
    (tmp_path / "words.txt").write_text("w")
    bundle = gather(tmp_path / "work" / "prog.py", [tmp_path / "work" / "conf", tmp_path / "words.txt"])
    assert sorted(bundle.files) == ["conf/a.yaml", "prog.py", "words.txt"]


def test_syntax_error_names_its_line(tmp_path: Path) -> None:
    _write(tmp_path, prog_py="x = 1\nfor:\n")
    with pytest.raises(BadProgram, match=r"prog\.py, line 2"):
        gather(tmp_path / "prog.py")


def test_syntax_error_in_a_module_names_the_module(tmp_path: Path) -> None:
    _write(tmp_path, prog_py="import helper", helper_py="def")
    with pytest.raises(BadProgram, match=r"helper\.py, line 1"):
        gather(tmp_path / "prog.py")


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"\xff\xfe\x00"])
def test_binary_program_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prog.py").write_bytes(content)
    with pytest.raises(BadProgram):
        gather(tmp_path / "prog.py")


def test_missing_program_and_files(tmp_path: Path) -> None:
    with pytest.raises(BadProgram, match="No such file"):
        gather(tmp_path / "prog.py")
    _write(tmp_path, prog_py="x = 1")
    with pytest.raises(BadProgram, match="nothing"):
        gather(tmp_path / "prog.py", [tmp_path / "nothing"])


def test_limit_of_bytes(tmp_path: Path) -> None:
    _write(tmp_path, prog_py="x = 1")
    for name in ("a.bin", "b.bin"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(20 * 1024**2)
    gather(tmp_path / "prog.py", [tmp_path / "a.bin"])
    with pytest.raises(BadProgram, match=r"32 MB at b\.bin"):
        gather(tmp_path / "prog.py", [tmp_path / "a.bin", tmp_path / "b.bin"])


def test_data_by_name_and_by_order(tmp_path: Path) -> None:
    for name in ("p1", "p10", "p2", ".hidden"):
        (tmp_path / "parts" / name).mkdir(parents=True)
    seats = ["sl-1", "sl-2", "sl-3"]
    assert [path.name for path in assign(tmp_path / "parts", seats).values()] == ["p1", "p2", "p10"]
    for name in ("sl-1", "sl-2"):
        (tmp_path / "named" / name).mkdir(parents=True)
    assert assign(tmp_path / "named", seats[:2])["sl-2"] == tmp_path / "named" / "sl-2"
    with pytest.raises(BadData, match="no folder for sl-3"):
        assign(tmp_path / "named", seats)
    with pytest.raises(BadData, match="3 folders and the training 4 seats"):
        assign(tmp_path / "parts", [*seats, "sl-4"])
    with pytest.raises(BadData, match="there is no folder"):
        assign(tmp_path / "nothing", seats)


def test_requirements(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# numbers\nnumpy>=1.0  # fine\n\nabsent-package; python_version < '3'\n")
    check_requirements(path)
    path.write_text("numpy>=99\nno-such-package-here==1.0\n")
    with pytest.raises(BadRequirements, match=r"numpy>=99 is asked for.*no-such-package-here==1\.0 is not installed"):
        check_requirements(path)
    path.write_text("numpy\n-r other.txt\n")
    with pytest.raises(BadProgram, match="line 2"):
        check_requirements(path)


def test_a_checkout_of_this_project_does_not_travel(tmp_path: Path) -> None:
    (tmp_path / "swarm_lab").mkdir()
    (tmp_path / "swarm_lab" / "__init__.py").write_text("")
    (tmp_path / "program.py").write_text("from swarm_lab import SwarmCallback\n")
    assert set(gather(tmp_path / "program.py").files) == {"program.py"}

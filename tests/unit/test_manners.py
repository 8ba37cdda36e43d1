"""The manners of this repository, where a machine can check them: sizes, docstrings, catching, addresses."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LONGER = {"swarm_lab/errors.py": 900}  # one entry a failure: read as a table, never from end to end
GENERATED = ("_pb2.py", "_pb2_grpc.py", "_pb2.pyi")
BROAD = {"Exception", "BaseException"}

# What would tie the repository to one machine or to one registry. Locks are clean of them on purpose.
ADDRESSES = [
    re.compile(r"(?<![\w/])/(?:root|work|home/\w+|Users/\w+|opt/wheels)/"),
    re.compile(r"https?://[^\s\"'>)]*(?:pypi|pythonhosted|npmjs|npmmirror|artifactory|nexus|jfrog)"),
    re.compile(r"\"resolved\":"),
    re.compile(r"(?:index-url|find-links|registry)\s*[=:]\s*[\"']?https?://(?!127\.0\.0\.1)"),
]


@cache
def tracked() -> tuple[Path, ...]:
    """Files that git knows or would add; the folder's own files where there is no git."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    names = listing.stdout.split("\n") if listing.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [
        path for top in ("swarm_lab", "tests", "deploy") for path in (ROOT / top).rglob("*.py")
    ]
    return tuple(path for path in paths if path.is_file())


def python_files(*tops: str) -> list[Path]:
    wanted = [path for path in tracked() if path.suffix == ".py" and not path.name.endswith(GENERATED)]
    return [path for path in wanted if path.relative_to(ROOT).parts[0] in tops]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert len(python_files("swarm_lab")) > 10


def test_files_are_short() -> None:
    sizes = {name(path): len(path.read_text("utf-8").splitlines()) for path in python_files(*TOPS)}
    assert {path: n for path, n in sizes.items() if n > LONGER.get(path, MAX_FILE_LINES)} == {}


def test_functions_are_short() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in python_files(*TOPS)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_modules_say_what_they_are_for() -> None:
    silent = [name(path) for path in python_files(*TOPS) if not ast.get_docstring(parsed(path))]
    assert silent == []


def test_broad_catches_give_their_reason() -> None:
    """`except Exception` needs a reason on its line or on one beside it; a bare `noqa` is none."""
    silent = []
    for path in python_files("swarm_lab", "deploy"):
        lines = path.read_text("utf-8").splitlines()
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler) or raises_again(node):
                continue
            caught = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else BROAD
            beside = "\n".join(lines[max(node.lineno - 2, 0) : node.lineno + 1])
            reason = re.sub(r"#\s*noqa: [A-Z0-9, ]+", "#", beside)
            if caught & BROAD and not re.search(r"#.*[a-z]{2}", reason):
                silent.append(f"{name(path)}:{node.lineno}")
    assert silent == []


def test_no_pickle_eval_or_shell() -> None:
    found = []
    for path in python_files("swarm_lab", "deploy"):
        for node in ast.walk(parsed(path)):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if {"pickle", "marshal", "shelve", "dill"} & {part.split(".")[0] for part in imported}:
                found.append(f"{name(path)}: imports {imported}")
            if isinstance(node, ast.keyword) and node.arg == "shell":
                found.append(f"{name(path)}: shell=")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "eval":
                found.append(f"{name(path)}:{node.lineno} eval")
    assert found == []


@pytest.mark.parametrize("pattern", ADDRESSES, ids=["machine path", "registry", "resolved", "index option"])
def test_no_address_of_one_machine_or_registry(pattern: re.Pattern[str]) -> None:
    found = []
    for path in tracked():
        if path == Path(__file__) or path.suffix in {".png", ".webm", ".gif"}:
            continue
        text = path.read_text("utf-8", errors="replace")
        found += [f"{name(path)}: {match.group(0)}" for match in pattern.finditer(text)]
    assert found == []


def test_test_file_names_are_unique() -> None:
    names = [path.name for path in python_files("tests") if path.name.startswith("test_")]
    assert sorted({one for one in names if names.count(one) > 1}) == []


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether it only cleans up: it ends with a bare `raise`."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


TOPS = ("swarm_lab", "tests", "deploy")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))

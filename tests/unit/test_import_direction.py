"""Imports point one way, as ARCHITECTURE.md has it; read from the source, so that no import hides in a function."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import swarm_lab

ROOT = Path(swarm_lab.__file__).parent

# Each part and what it may import of the others.
CORE = {"errors", "facts"}
NODES = {"nodes", "rounds", "ledger", "identity", "licensing", "protos", "callback", "provision.tools"}
ALLOWED: dict[str, set[str]] = {
    # The callback knows its own failures and imports nothing; the table of codes is one.
    "errors": {"callback"},
    "facts": {"errors", "nodes.config"},
    "protos": set(),
    "callback": set(),
    "identity": CORE | {"protos", "nodes.config"},
    "rounds": CORE,
    "ledger": CORE | {"rounds", "identity", "protos", "nodes.config"},
    "licensing": CORE | {"identity", "protos", "nodes.config"},
    "nodes": CORE | NODES,
    "provision": CORE | {"nodes.config"},
    "spec": CORE | {"nodes.config"},
    "front": CORE | NODES | {"provision", "spec", "front"},
    "swarm": CORE | NODES | {"provision", "spec", "front"},
    "verbs": CORE | NODES | {"provision", "spec", "front", "swarm"},
    "cli": CORE | {"spec", "front", "swarm", "verbs"},
    "experiments": CORE | {"spec", "front", "swarm", "verbs", "rounds", "callback"},
    "jupyter": CORE | {"spec", "front", "swarm", "verbs", "cli", "experiments"},
}
JUPYTER = {"IPython", "ipywidgets", "anywidget", "jupyter_server", "ipykernel", "notebook", "jupyterlab"}
# What a program imports must start fast and hold nothing but its link.
# What a framework's own modules import is loaded in its programs alone.
CALLBACK_MAY = {"numpy", "torch", "keras", "tensorflow", "sklearn", "transformers", "peft", "swarm_lab", "ml_dtypes"}


def _modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if "_pb2" not in path.name]


def _part(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            if node.module == "swarm_lab":
                yield from ((f"swarm_lab.{alias.name}", node.lineno) for alias in node.names)


def _ours(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "swarm_lab" or len(parts) == 1 or parts[1].startswith("__"):
        return None
    # `from swarm_lab import SwarmCallback` is what programs write; the package finds it when it is asked.
    known = (ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").is_file()
    return ".".join(parts[1:]) if known else None


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_ours(path: Path) -> None:
    part = _part(path)
    if part in ("__init__", "compat"):
        return
    allowed = ALLOWED[part] | {part}
    for name, line in _imports(path):
        ours = _ours(name)
        if ours is None:
            continue
        fine = any(ours == one or ours.startswith(one + ".") for one in allowed)
        assert fine, f"{path.relative_to(ROOT)}:{line} imports {name}: {part} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_jupyter_imports_jupyter(path: Path) -> None:
    if _part(path) == "jupyter":
        return
    found = [(name, line) for name, line in _imports(path) if name.split(".")[0] in JUPYTER]
    assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_callback_imports_little() -> None:
    import sys

    for path in (ROOT / "callback").rglob("*.py"):
        for name, line in _imports(path):
            top = name.split(".")[0]
            fine = top in CALLBACK_MAY or top in sys.stdlib_module_names
            assert fine, f"{path.relative_to(ROOT)}:{line} imports {name}"

"""What the package imports is declared in pyproject.toml: a fresh machine has nothing else by right."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
EXTRAS = ("torch", "keras", "huggingface", "sklearn", "notebook", "lab")
# TensorFlow's CPU build goes by another name than the module; protobuf's modules are of `google`; pydantic has two.
PROVIDED = {"tensorflow": "tensorflow-cpu", "google": "protobuf", "pydantic_core": "pydantic"}


def imported() -> dict[str, str]:
    """Top-level modules that the package imports anywhere, with one file that does."""
    found: dict[str, str] = {}
    for path in (ROOT / "swarm_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], str(path.relative_to(ROOT)))
    return found


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in EXTRAS)]
    return {canonicalize_name(Requirement(text).name) for texts in lists for text in texts}


def test_every_import_is_declared() -> None:
    known, distributions = declared(), packages_distributions()
    missing = {}
    for module, path in imported().items():
        if module in sys.stdlib_module_names or module == "swarm_lab":
            continue
        candidates = [PROVIDED.get(module, ""), module, *distributions.get(module, [])]
        if not known & {canonicalize_name(name) for name in candidates}:
            missing[module] = path
    assert missing == {}

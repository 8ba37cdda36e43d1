"""Parts of the machine that a test may need: says in one line which is missing.

In CI (the variable `CI` is set) a test whose part is missing fails; elsewhere it is skipped with that line.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from pathlib import Path

import pytest


def need(*names: str) -> None:
    """Go on only if every part is here: a program's name, `anvil`, `root`, `faketime`, or `python:<module>`."""
    for name in names:
        reason = missing(name)
        if reason and os.environ.get("CI"):
            pytest.fail(f"{reason} (in CI every part must be there)", pytrace=False)
        if reason:
            pytest.skip(reason)


@functools.cache
def missing(name: str) -> str | None:
    """Why the part cannot be used; None when it can."""
    if name.startswith("python:"):
        module = name.removeprefix("python:")
        return None if importlib.util.find_spec(module) else f"the Python package {module} is not installed"
    if name == "anvil":
        return _missing_anvil()
    if name == "faketime":  # the library alone, which Debian puts beside the program
        found = any(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        return None if found else "faketime is not installed"
    if name == "root":
        return None if os.geteuid() == 0 else "only root may do what this test does to the machine"
    return None if shutil.which(name) else f"{name} is not on the PATH"


def _missing_anvil() -> str | None:
    from swarm_lab.errors import SwarmLabError
    from swarm_lab.provision.tools import anvil

    try:
        anvil()
    except SwarmLabError as error:
        return str(error).splitlines()[0]
    return None

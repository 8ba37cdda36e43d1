"""The lab extension's own tests and its linter, run by what they are written for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "extension"
Jlpm = Callable[[str], None]


@pytest.fixture
def jlpm(need: Callable[..., None]) -> Jlpm:
    need("node", "extension")
    folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CI": "1"}

    def run(script: str) -> None:
        done = subprocess.run(
            [f"{folder}/jlpm", script],
            cwd=SOURCES,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    return run


def test_lint(jlpm: Jlpm) -> None:
    jlpm("lint")


def test_jest(jlpm: Jlpm) -> None:
    jlpm("test")

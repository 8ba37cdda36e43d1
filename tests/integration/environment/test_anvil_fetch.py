"""`anvil` fetched for real into an empty cache: by npm, by PyPI's Node, by two at once, and with no registry."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm_lab.provision import tools

SCRIPT = """
import sys
from swarm_lab.errors import SwarmLabError
from swarm_lab.provision.tools import anvil
try:
    print(anvil(lambda line: print(line, file=sys.stderr)))
except SwarmLabError as error:
    sys.exit(str(error))
"""


def start(cache: Path, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name != tools.OVERRIDE}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={**kept, "XDG_CACHE_HOME": str(cache), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_at_once_fetch_once(tmp_path: Path, need: Callable[..., None]) -> None:
    need("npm")
    started = [start(tmp_path), start(tmp_path)]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], answers
    path = Path(answers[0][0].strip())
    assert answers[1][0].strip() == str(path)
    assert sum("is in place" in said for _path, said in answers) == 1
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert tools.anvil_version() in version.stdout
    assert {entry.name for entry in path.parent.parent.iterdir()} == {"fetch.lock", tools.anvil_version()}


def test_no_registry(tmp_path: Path, need: Callable[..., None]) -> None:
    need("npm")
    refusing = {"npm_config_registry": "http://127.0.0.1:9", "npm_config_cache": str(tmp_path / "npm")}
    began = time.monotonic()
    process = start(tmp_path, **refusing)
    _answer, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "SWL-701" in said
    assert "ECONNREFUSED" in said
    assert "place an executable `anvil`" in said
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_without_npm_by_the_node_of_pypi(tmp_path: Path) -> None:
    process = start(tmp_path, PATH=str(tmp_path))
    answer, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "Node from PyPI" in said
    assert Path(answer.strip()).is_file()

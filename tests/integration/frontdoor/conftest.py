"""A data directory of its own for each test, and nothing left running after it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm_lab.facts import process
from swarm_lab.facts.paths import SwarmPaths, swarms_root
from swarm_lab.facts.swarm import read_swarm, swarm_names
from swarm_lab.provision.local import LocalNodes


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The user's data directory, with a name that needs quotes; every process of its swarms is ended afterwards."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "my data 100%"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    yield tmp_path
    for name in swarm_names():
        paths = SwarmPaths.of(name)
        LocalNodes(paths, read_swarm(paths)).stop(print)
    for swarm_dir in swarms_root().glob("*"):
        left = process.end(process.all_of(swarm_dir), term_s=5.0)
        assert not left, f"still running on {sys.platform}: {left}"

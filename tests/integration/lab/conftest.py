"""One server for all of the folder; each test has swarms of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from support.lab_server import LabServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    root = tmp_path_factory.mktemp("lab")
    found = LabServer(root / "data", root)
    yield found.start()
    found.stop()


@pytest.fixture(autouse=True)
def own_swarms(server: LabServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_DATA_HOME", str(server.data))
    yield
    shutil.rmtree(server.data / "swarm-lab", ignore_errors=True)

"""Real Keras programs, forked from a warm seat, beside a small node."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.keras_node import LIMIT, Node, Trained

from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.seats_client import SeatsClient


@pytest.fixture(scope="session")
def keras_seats(need: Callable[[str], None]) -> Iterator[SeatsClient]:
    """The warm parent of all programs here: TensorFlow is imported once."""
    need("python:keras")
    directory = Path(tempfile.mkdtemp(prefix="swl-keras-", dir="/tmp"))
    config = NodeConfig(
        swarm="t", name="seats", kind="seats", trust_domain="t.swarm", directory=directory / "seats",
        swarm_dir=directory, run_dir=directory, framework="keras",
    )  # fmt: skip
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "swarm_lab.nodes", str(config.write())], stderr=log)
        yield SeatsClient(directory / "seats.sock")
        process.kill()
        process.wait(10)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def train(keras_seats: SeatsClient, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Trained]]]:
    """train(source, give, ...) -> Trained; see `Node.train`."""
    await keras_seats.ready(LIMIT)
    node = Node(tmp_path, keras_seats.start)
    yield node.train
    await node.close()

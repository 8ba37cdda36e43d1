"""Real Hugging Face programs, forked from a seat that has imported their libraries, beside a small node."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.small_node import Launch, averager
from support.small_node import launch as launch_any
from support.torch_node import LIMIT, Node, Trained

from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.seats import SINGLE
from swarm_lab.nodes.seats_client import SeatsClient

__all__ = ["averager", "launch_any"]

# The seats of a swarm import PyTorch alone; these tests start many programs, and each would import for seconds.
WARM = """
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
from swarm_lab.callback import runner
def warm_up(framework, own=runner.warm_up):
    own(framework)
    import peft, transformers
    transformers.Trainer, transformers.BertForSequenceClassification
runner.warm_up = warm_up
from swarm_lab.nodes.__main__ import main
main(sys.argv)
"""


@pytest.fixture(scope="session")
def seats() -> Iterator[SeatsClient]:
    """The warm parent of all programs here."""
    for package in ("transformers", "peft", "accelerate"):
        pytest.importorskip(package)
    directory = Path(tempfile.mkdtemp(prefix="swl-hf-", dir="/tmp"))
    config = NodeConfig(
        swarm="t", name="seats", kind="seats", trust_domain="t.swarm", directory=directory / "seats",
        swarm_dir=directory, run_dir=directory, framework="torch",
    )  # fmt: skip
    with (directory / "log").open("w") as log:
        command = [sys.executable, "-c", WARM, str(config.write())]
        process = subprocess.Popen(command, stderr=log, env={**os.environ, **SINGLE})
        yield SeatsClient(directory / "seats.sock")
        process.kill()
        process.wait(10)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def launch(seats: SeatsClient, launch_any: Launch) -> Launch:
    """launch(source, name, variables=...) -> Member."""
    await seats.ready(LIMIT)
    return functools.partial(launch_any, start=seats.start)


@pytest.fixture
async def train(seats: SeatsClient, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Trained]]]:
    """train(source, give, ...) -> Trained; see `Node.train`."""
    await seats.ready(LIMIT)
    node = Node(tmp_path, seats)
    yield node.train
    await node.close()

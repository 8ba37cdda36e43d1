"""Real Hugging Face programs, forked from a seat that has imported their libraries, beside a small node."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.small_node import Launch, averager
from support.small_node import launch as launch_any
from support.torch_node import LIMIT, Node, Trained
from support.warm_seats import warm_seats

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
def seats(need: Callable[..., None]) -> Iterator[SeatsClient]:
    """The warm parent of all programs here."""
    need("python:transformers", "python:peft", "python:accelerate")
    with warm_seats("torch", ("-c", WARM), {**os.environ, **SINGLE}) as client:
        yield client


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

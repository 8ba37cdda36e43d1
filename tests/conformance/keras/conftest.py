"""Real Keras programs, forked from a warm seat, beside a small node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.keras_node import LIMIT, Node, Trained
from support.warm_seats import warm_seats

from swarm_lab.nodes.seats_client import SeatsClient


@pytest.fixture(scope="session")
def keras_seats(need: Callable[[str], None]) -> Iterator[SeatsClient]:
    """The warm parent of all programs here: TensorFlow is imported once."""
    need("python:keras")
    with warm_seats("keras") as client:
        yield client


@pytest.fixture
async def train(keras_seats: SeatsClient, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Trained]]]:
    """train(source, give, ...) -> Trained; see `Node.train`."""
    await keras_seats.ready(LIMIT)
    node = Node(tmp_path, keras_seats.start)
    yield node.train
    await node.close()

"""Real PyTorch programs, forked from a warm seat, beside a small node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from support.torch_node import LIMIT, Node, Trained
from support.warm_seats import warm_seats

from swarm_lab.nodes.seats_client import SeatsClient


@pytest.fixture(scope="session")
def seats() -> Iterator[SeatsClient]:
    """The warm parent of all programs here: torch is imported once."""
    with warm_seats("torch") as client:
        yield client


@pytest.fixture
async def train(seats: SeatsClient, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Trained]]]:
    """train(source, give, ...) -> Trained; see `Node.train`."""
    await seats.ready(LIMIT)
    node = Node(tmp_path, seats)
    yield node.train
    await node.close()

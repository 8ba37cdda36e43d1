"""One swarm for all tests of a module, and what they need to hurt it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.patients import Patient

from swarm_lab.swarm import Swarm


@pytest.fixture(scope="session")
def bring_up(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., None]) -> Iterator[Callable[..., Patient]]:
    """Bring a swarm up with data folders for its seats; all come down at the end of the session."""
    need("npm", "python:torch")
    made: list[Swarm] = []

    def make(name: str, sl: int = 4, **options: Any) -> Patient:
        swarm = Swarm.up(name, sl=sl, **{"framework": "torch"} | options)
        made.append(swarm)
        data = tmp_path_factory.mktemp(name)
        for seat in swarm.seats:
            (data / seat).mkdir()
        return Patient(swarm, data)

    yield make
    for swarm in made:
        swarm.down()


@pytest.fixture(scope="session")
def patient(bring_up: Callable[..., Patient]) -> Patient:
    """The swarm that most tests share: four seats, two SNs."""
    return bring_up("patient")

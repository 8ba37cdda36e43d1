"""A machine at the sync point of round 1."""

from __future__ import annotations

import pytest
from rounds_sim.bench import Bench


@pytest.fixture
def bench() -> Bench:
    """At the sync point of round 1; node B is its first coordinator."""
    made = Bench()
    made.tick()
    made.ready()
    return made

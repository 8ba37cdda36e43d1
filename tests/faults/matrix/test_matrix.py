"""Whatever is done to a swarm in a training: it finishes on all nodes with one model, and says whom it missed."""

from __future__ import annotations

from collections.abc import Callable

from support.hurts import Row
from support.matrix import Outcome, undergo
from support.wards import Ward


def test_after(row: Row, wards: Callable[[Row], Ward], outcomes: list[Outcome]) -> None:
    ward = wards(row)
    outcome = Outcome(row.name, error="it was cut off")
    outcomes.append(outcome)
    undergo(ward, row, outcome)
    assert not outcome.error, outcome.error

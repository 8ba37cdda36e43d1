"""Whatever is done to a swarm in a training: it finishes on all nodes with one model, and says whom it missed."""

from __future__ import annotations

from collections.abc import Callable

from support.hurts import Row
from support.matrix import Outcome, undergo
from support.wards import Ward


def test_after(row: Row, wards: Callable[[Row], Ward], outcomes: list[Outcome]) -> None:
    ward = wards(row)
    outcomes.append(Outcome(row.name, error="a wait had no end"))
    outcomes[-1] = undergo(ward, row)
    assert not outcomes[-1].error, outcomes[-1].error

"""Whatever comes together by chance: a training ends on all nodes with one model, and `verify` holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.chances import SEATS, Chance
from support.patients import Patient, finished

LIMIT_S = 150.0


@pytest.fixture(scope="module")
def struck(bring_up: Callable[..., Patient]) -> Patient:
    return bring_up("struck", sl=SEATS)


def test_by_chance(seed: int, struck: Patient) -> None:
    chance = Chance.of(seed)
    struck.until_ready(90)
    training = chance.train(struck)
    struck.until_round(training, chance.after)
    chance.befall(struck, training)
    last = finished(training, limit=LIMIT_S)
    assert last["state"] == "finished", (chance, last, training.view.failed)
    assert {end["digest"] for end in training.view.finished.values()} == {last["digest"]}, chance
    assert len(training.view.finished) == SEATS, chance
    struck.until_ready(90)  # what `verify` asks may just be coming back
    verdict = struck.swarm.verify(training.id)
    assert verdict.ok, (chance, [found for found in verdict.evidence if not found.ok])

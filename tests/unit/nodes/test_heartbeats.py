"""Heartbeats: changes that come together go as one, the coordinator hears at once, nothing is lost or late."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from swarm_lab.nodes import heartbeats
from swarm_lab.nodes.heartbeats import HEARTBEAT_S, Heartbeats
from swarm_lab.rounds.messages import Heartbeat, Phase


class Lab:
    def __init__(self) -> None:
        self.now = 0.0
        self.present = Heartbeat("0" * 64, Phase.TRAINING)
        self.sent: list[tuple[str, Heartbeat]] = []
        self.waiting: list[Coroutine[Any, Any, None]] = []
        self.beats = Heartbeats(
            "a",
            lambda: self.present,
            lambda: ("a", "b", "c"),
            lambda to, beat: self.sent.append((to, beat)),
            self.waiting.append,
            lambda: self.now,
        )

    def change(self, **changes: Any) -> None:
        self.present = replace(self.present, **changes)
        self.beats.beat()

    async def gathered(self) -> list[tuple[str, Heartbeat]]:
        """What has gone out since the last call, the time to gather being over."""
        waiting, self.waiting[:] = list(self.waiting), []
        await asyncio.gather(*waiting)
        sent, self.sent[:] = list(self.sent), []
        return sent


@pytest.fixture
async def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(heartbeats, "GATHER_S", 0.0)
    made = Lab()
    made.beats.beat()
    assert [to for to, _ in await made.gathered()] == ["b", "c"]
    return made


async def test_changes_that_come_together_go_as_one_and_the_last_one_counts(lab: Lab) -> None:
    for attempt in range(1, 5):
        lab.change(attempt=attempt)
    assert not lab.sent and len(lab.waiting) == 1
    assert await lab.gathered() == [("b", lab.present), ("c", lab.present)]
    lab.change(attempt=9)
    assert [beat.attempt for _, beat in await lab.gathered()] == [9, 9]


async def test_the_coordinator_hears_of_each_change_at_once(lab: Lab) -> None:
    lab.change(phase=Phase.CHECKED_IN, coordinator="c")
    assert lab.sent == [("c", lab.present)]
    assert [to for to, _ in await lab.gathered()] == ["c", "b", "c"]
    lab.change(coordinator="a")  # that is this node itself
    assert not lab.sent and len(await lab.gathered()) == 2


async def test_who_comes_or_goes_is_told_at_once(lab: Lab) -> None:
    lab.change(attempt=1)
    lab.change(phase=Phase.FAILED, reason="SWL-1")
    assert [to for to, _ in lab.sent] == ["b", "c"]
    assert len(await lab.gathered()) == 2  # and not once more


async def test_without_a_change_they_go_twice_a_second(lab: Lab) -> None:
    lab.now = HEARTBEAT_S * 0.9
    lab.change(batches=7)
    assert not lab.sent and not lab.waiting
    lab.now = HEARTBEAT_S
    lab.beats.beat()
    assert lab.sent == [("b", lab.present), ("c", lab.present)]

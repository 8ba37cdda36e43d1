"""How often a program that is killed is started again, and what its next start is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm_lab.nodes.starts import FRUITLESS, SHORT, SHORT_S, Starts, resume_of


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_starts_are_counted_over_the_node_s_own_restarts(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    assert [starts.begin(), starts.begin()] == [1, 2]
    assert Starts(tmp_path).begin() == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"starts": "many"}', '{"starts": -3}'])
def test_a_damaged_count_begins_anew(tmp_path: Path, damage: str) -> None:
    (tmp_path / "starts.json").write_text(damage)
    assert Starts(tmp_path).begin() == 1


def deaths(starts: Starts, clock: Clock, rounds: int, count: int, lived: float = 0.0) -> list[float | None]:
    pauses = []
    for _ in range(count):
        starts.begin()
        clock.now += lived
        pauses.append(starts.killed(rounds))
    return pauses


def test_a_program_that_dies_at_once_is_started_later_and_later_and_then_no_more(tmp_path: Path) -> None:
    clock = Clock()
    assert deaths(Starts(tmp_path, clock), clock, 0, FRUITLESS) == [0.0, 1.0, 2.0, None]


def test_a_round_makes_up_for_the_starts_before(tmp_path: Path) -> None:
    clock = Clock()
    starts = Starts(tmp_path, clock)
    for _ in range(5):
        assert None not in deaths(starts, clock, 0, FRUITLESS - 1, SHORT_S)
        assert deaths(starts, clock, 3, 1, SHORT_S) == [0.0]


def test_who_lives_long_comes_back_at_once_but_not_for_ever_without_a_round(tmp_path: Path) -> None:
    clock = Clock()
    assert deaths(Starts(tmp_path, clock), clock, 0, FRUITLESS, 60.0) == [0.0, 0.0, 0.0, None]


def test_who_dies_soon_after_each_round_is_no_storm_and_ends(tmp_path: Path) -> None:
    clock = Clock()
    pauses = deaths(Starts(tmp_path, clock), clock, 1, SHORT)
    assert pauses == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_only_a_return_is_told_where_it_goes_on() -> None:
    assert resume_of(1, 7) == {}
    assert resume_of(2, 7) == {"start": 2, "round": 7}

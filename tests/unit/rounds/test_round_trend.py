"""Adaptive sync and early stopping: our rule of both as a table, exact, and the same however a history is read."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rounds_sim.registry import node_id
from rounds_sim.schedules import chaos, limit
from rounds_sim.world import Setup, World

from swarm_lab.rounds import checks
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.events import Rules
from swarm_lab.rounds.trend import Course, Trend, mean_loss, step

NAN, INF = math.nan, math.inf
RULES = Rules("7" * 64, 1, 16, adaptive=True)


def members(*losses: float, weights: tuple[int, ...] = ()) -> tuple[m.Participant, ...]:
    """Participants with these losses, of weight 1 or of the weights given."""
    return tuple(
        m.Participant(node_id(k + 1), 1, (weights or (1,) * len(losses))[k], "a" * 64, False, m.bits(loss))
        for k, loss in enumerate(losses)
    )


def history(*losses: float, start: int = 16) -> tuple[m.Result, ...]:
    """Committed rounds of one participant, each with the interval that its round was due."""
    results: list[m.Result] = []
    for number, loss in enumerate(losses, 1):
        due = checks.next_interval(replace(RULES, sync=start), results, members(loss))
        results.append(m.Result("7" * 64, number, f"{number - 1:064x}", members(loss), False, due, "b" * 64))
    return tuple(results)


# Losses of the rounds one by one, and the interval after each. The interval starts with 16.
TABLE = [
    ("nothing known", [NAN, NAN, NAN], [16, 16, 16]),
    ("the first known loss is compared with nothing", [NAN, 1.0], [16, 16]),
    ("better by over 1 %: doubled, to 8 times the start", [1, 0.9, 0.8, 0.7, 0.6], [16, 32, 64, 128, 128]),
    ("better by exactly 1 % is not over 1 %", [100.0, 99.0], [16, 16]),
    ("better by a little over 1 %", [100.0, math.nextafter(99.0, 0)], [16, 32]),
    ("two without: halved, and the count starts anew", [1, 1, 1, 1, 1], [16, 16, 8, 8, 4]),
    ("down to a quarter of the start", [1] * 9, [16, 16, 8, 8, 4, 4, 4, 4, 4]),
    ("one without, then better: the count starts anew", [1, 1, 0.9, 0.9, 0.9], [16, 16, 32, 32, 16]),
    ("an improvement of less than 1 % is none", [1, 0.995, 0.990], [16, 16, 8]),
    ("compared with the mean before, not with the best", [1, 2, 1.9], [16, 16, 32]),
    ("worse counts as none", [1, 2, 3], [16, 16, 8]),
    ("a round without a loss leaves interval and count", [1, 1, NAN, 1], [16, 16, 16, 8]),
    ("and what the next one is compared with", [1, NAN, 0.9], [16, 16, 32]),
    ("an infinite loss is not known", [1, INF, 0.9, -INF, 0.8], [16, 16, 32, 32, 64]),
    ("below zero better is still smaller", [-1, -1.02], [16, 32]),
    ("by 1 % of its size", [-1, -1.005, -1.009], [16, 16, 8]),
    ("from above to below zero", [0.001, -0.001], [16, 32]),
    ("from zero any is better", [0.0, -5e-324], [16, 32]),
    ("zero stays zero", [0.0, 0.0, 0.0], [16, 16, 8]),
    ("up again after a halving", [1, 1, 1, 0.5], [16, 16, 8, 16]),
]


@pytest.mark.conformance("CB-13", "CB-62")
@pytest.mark.parametrize(("losses", "intervals"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_rule(losses: list[float], intervals: list[int]) -> None:
    assert [result.next for result in history(*losses)] == intervals


def test_the_documented_examples() -> None:
    page = (Path(__file__).parents[3] / "docs" / "adaptive-sync.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\d., unkow]+) \| ([\d, ]+) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for means, intervals in rows:
        losses = [NAN if word == "unknown" else float(word) for word in means.split(", ")]
        assert ", ".join(str(result.next) for result in history(*losses)) == intervals


@pytest.mark.parametrize(
    ("start", "shortest", "longest"), [(1, 1, 8), (2, 1, 16), (3, 1, 24), (5, 2, 40), (10, 3, 80), (2**31, 2**29, None)]
)
def test_bounds_of_odd_starts(start: int, shortest: int, longest: int | None) -> None:
    assert min(r.next for r in history(*[1.0] * 12, start=start)) == shortest
    assert max(r.next for r in history(*[0.5**k for k in range(12)], start=start)) == (longest or 2**32 - 1)


def test_the_mean_is_weighted_and_exact() -> None:
    assert mean_loss(members(0.1, 0.2, weights=(1, 3))) == (Fraction(0.1) + 3 * Fraction(0.2)) / 4
    assert mean_loss(members(0.5, NAN, INF, weights=(2, 5, 7))) == Fraction(1, 2)
    assert mean_loss(members(0.5, 9.0, weights=(2, 0))) == Fraction(1, 2)
    assert mean_loss(members(NAN, 0.5, weights=(1, 0))) is None
    assert mean_loss(members(1e308, 1e308)) == Fraction(1e308)  # where float64 would be infinite
    assert mean_loss(()) is None


def test_without_adaptive_sync_the_interval_stays() -> None:
    fixed = replace(RULES, adaptive=False)
    assert checks.next_interval(fixed, history(1.0), members(0.1)) == 16


@given(st.lists(st.floats(-10, 10) | st.just(NAN), max_size=12), st.integers(1, 40), st.randoms(use_true_random=False))
def test_a_history_read_in_any_order_gives_the_same(losses: list[float], start: int, order: object) -> None:
    whole = history(*losses, start=start)
    kept, lengths = Trend(start), list(range(len(whole) + 1)) * 2
    order.shuffle(lengths)  # type: ignore[attr-defined]
    for length in lengths:
        course = Course(start)
        for result in whole[:length]:
            course = step(course, start, result.participants)
        assert kept.after(whole[:length]) == course
    assert all(-(-start // 4) <= result.next <= 8 * start for result in whole)


def test_another_history_is_not_taken_for_the_one_before() -> None:
    trend = Trend(16)
    assert trend.after(history(1, 0.9, 0.8)).interval == 64
    assert trend.after(history(1, 1, 1)).interval == 8


@pytest.mark.parametrize(
    ("losses", "since"),
    [
        ([NAN, 1.0], 0),
        ([1.0, 1.0], 1),
        ([1.0, NAN, 1.0, NAN], 1),
        ([1.0, 0.999999], 0),
        ([1.0, 0.5, 0.6, 0.55, 0.7], 3),
        ([1.0, 0.5, 0.6, 0.49], 0),
    ],
)
def test_rounds_since_the_best_loss(losses: list[float], since: int) -> None:
    assert Trend(16).after(history(*losses)).since == since


# --- whole swarms -------------------------------------------------------------------------------------------


def swarm(*losses: float, **changes: object) -> World:
    """Three nodes that measure these losses of the models of rounds 1, 2, ..., and the last one from then on."""
    setup = {"sync": 4, "epochs": [80] * 3, **changes}
    world = World(Setup(**setup), 1)  # type: ignore[arg-type]

    def loss(number: int, batches: int) -> float:
        base = world.peers[world.names[number]].machine.desk.state.base
        return losses[min(base.round, len(losses)) - 1]

    world.setup.losses = loss
    return world


def test_the_programs_intervals_follow_the_loss() -> None:
    world = swarm(1, 0.9, 0.8, 0.8, 0.8, 0.8, adaptive=True)
    world.run(limit(world))
    results = world.newest.results
    assert [r.next for r in results][:6] == [4, 4, 8, 16, 16, 8]
    steps = [r.participants[0].steps for r in results[1:6]]
    assert steps == [4, 4, 8, 16, 16]


def test_a_late_joiner_trains_the_interval_of_the_others() -> None:
    world = swarm(1, 0.9, 0.8, adaptive=True, start=[0.0, 0.0, 4.0], assigned=False)
    world.run(limit(world))
    late = world.names[2]
    results = world.newest.results
    own = [(r.round, p.steps) for r in results for p in r.participants if p.node == late and not p.done]
    assert own[0][0] > 2 and {steps for _, steps in own} > {8, 16}
    assert all(steps == results[number - 2].next for number, steps in own)


@pytest.mark.conformance("CB-70")
@pytest.mark.parametrize("rule", ["all", "min_peers"])
def test_all_nodes_stop_early_with_one_model(rule: str) -> None:
    world = swarm(1, 0.9, 0.9, 0.95, early_stopping=2, end_rule=rule, batch_seconds=[0.1, 0.2, 0.15])
    world.run(limit(world))
    told = [n for p in world.peers.values() for n in p.notices if n.kind == "stops_early"]
    assert {n.fields["round"] for n in told} == {5}
    assert world.newest.results[-1].end and world.newest.results[-1].round in (6, 7)
    assert len({peer.finished and peer.finished.result.model for peer in world.peers.values()}) == 1
    assert all(peer.trainer.total < 80 for peer in world.peers.values())


def test_who_measures_nothing_is_told_once() -> None:
    world = swarm(NAN, adaptive=True, early_stopping=3)
    world.run(limit(world))
    told = [n for n in world.peers[world.names[0]].notices if n.kind == "no_validation"]
    assert [n.text for n in told] == [
        "no validation loss on this node: adaptive sync and early stopping cannot take it into account"
    ]
    assert {r.next for r in world.newest.results} == {4}


def test_a_finished_programs_loss_is_of_no_later_model() -> None:
    world = swarm(1, 0.9, 0.8, 0.7, epochs=[8, 80, 80])
    world.run(limit(world))
    first = world.names[0]
    mine = [p for r in world.newest.results for p in r.participants if p.node == first and p.done]
    assert m.number(mine[0].loss) == 0.9
    assert len(mine) > 2 and all(p.loss == m.ABSENT for p in mine[1:])


@pytest.mark.parametrize("part", range(2))
def test_faults_with_adaptive_sync(part: int) -> None:
    for seed in range(part * 20, part * 20 + 20):
        world = chaos(seed, adaptive=True)
        world.run(limit(world))


@pytest.mark.parametrize("enemy", ["liar", "two plans", "stale plan"])
def test_hostile_nodes_with_adaptive_sync(enemy: str) -> None:
    for seed in range(4):
        world = chaos(seed, enemy, adaptive=True)
        world.run(limit(world))

"""Each limit of section 5, by table."""

from __future__ import annotations

import pytest

from swarm_lab.rounds import limits


@pytest.mark.parametrize(("attempt", "factor"), [(0, 1.0), (1, 1.5), (2, 2.25), (3, 3.375), (4, 5.0), (1000, 5.0)])
def test_patience_grows_and_is_bounded(attempt: int, factor: float) -> None:
    assert limits.patience(attempt) == factor


@pytest.mark.parametrize(
    ("gamma", "intervals", "seconds"),
    [
        (1.0, [0.1], 1.0),
        (1.0, [4.0, 2.0, 9.0], 4.0),
        (2.0, [3.0, 1.0], 6.0),
        (0.0, [100.0], 1.0),
    ],
)
def test_grace_is_gamma_median_intervals(gamma: float, intervals: list[float], seconds: float) -> None:
    assert limits.grace(gamma, intervals) == seconds


@pytest.mark.parametrize(("rtt", "transfer", "seconds"), [(0.0, 0.0, 0.5), (0.1, 0.0, 0.7), (0.1, 1.0, 2.7)])
def test_a_peer_at_its_sync_point_has_only_a_message_to_send(rtt: float, transfer: float, seconds: float) -> None:
    assert limits.message(rtt, transfer) == pytest.approx(seconds)
    assert limits.fetch_again(rtt, transfer) == pytest.approx(seconds)


@pytest.mark.parametrize(("batch", "seconds"), [(0.0, 30.0), (0.001, 2.0), (0.5, 2.0), (1.0, 4.0), (30.0, 120.0)])
def test_stuck_is_measured_in_batches(batch: float, seconds: float) -> None:
    assert limits.stuck(batch) == seconds


@pytest.mark.parametrize(
    ("attempt", "with_all", "with_enough"),
    [(0, 1.3, 5.3), (1, 1.95, 7.95), (9, 6.5, 26.5)],
)
def test_wait_for_a_plan(attempt: int, with_all: float, with_enough: float) -> None:
    assert limits.plan_with_all(0.1, 0.0, attempt) == pytest.approx(with_all)
    assert limits.plan_with_enough(4.0, 0.1, 0.0, attempt) == pytest.approx(with_enough)


@pytest.mark.parametrize("silence", [1.5, 4.0, 15.0])
@pytest.mark.parametrize("attempt", [0, 3])
def test_exchange_outlasts_the_finding_of_a_dead_member(silence: float, attempt: int) -> None:
    worst_detection = 1.25 * silence
    assert limits.exchange(silence, 0.0, 0.0, attempt) > worst_detection
    assert limits.exchange(silence, 0.2, 1.0, attempt) > limits.exchange(silence, 0.0, 0.0, attempt)


@pytest.mark.parametrize(("took", "seconds"), [(0.0, 0.5), (0.8, 0.5), (4.0, 2.0)])
def test_wait_for_votes_is_half_the_exchange(took: float, seconds: float) -> None:
    assert limits.votes(took) == seconds


@pytest.mark.parametrize(("members", "plans"), [(2, 3), (3, 3), (4, 4), (7, 5)])
def test_plan_budget_leaves_room_for_a_minority_to_die(members: int, plans: int) -> None:
    assert limits.plans(members) == plans


def test_certificate_without_model_waits_for_a_transfer() -> None:
    assert limits.model_of_certificate(0.0, 0.0) == 2.0
    assert limits.model_of_certificate(0.25, 3.0) == 9.0


@pytest.mark.parametrize(("rank", "block", "seconds"), [(0, 0.5, 2.0), (1, 0.5, 3.0), (4, 2.0, 21.0)])
def test_heirs_of_a_commit_come_by_turn(rank: int, block: float, seconds: float) -> None:
    assert limits.commit_turn(rank, block) == seconds
    assert limits.commit_again(block) <= limits.commit_turn(0, block)

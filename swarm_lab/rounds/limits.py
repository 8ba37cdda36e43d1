"""Every limit of a round, in seconds, as a pure function of what this node measured. None is a constant of the network.

`rtt`, `transfer` (of one model) and `silence` are those of a `Link`; `attempt` counts coordinators of one round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RESEND: Final = 0.5
"""Every wait sends again what it waits on after this long."""
OFFER: Final = 1.0
"""A holder offers its certificate to those still at the round before, this often."""
ANNOUNCE: Final = 2.0
SPACING: Final = 0.25
"""Attempts that a limit started are at least this far apart."""
OWN_MODEL_LOST: Final = 4.0
"""A coordinator that certified a model which it does not hold itself plans again after this."""
FIRST_BATCH: Final = 30.0
"""The first batch of a program compiles, tunes and reads: nothing is known of it yet."""
STORE_AGAIN: Final = 2.0
"""A model that the disk did not take is tried again after this."""
STORED: Final = 8
"""So many nodes, those that commit first, hear of a stored model at once; heartbeats tell the others."""
STRANGER: Final = 9.0
"""A holder that did not vote leaves the commit to those that did for so long."""


def patience(attempt: int) -> float:
    """Factor by which later attempts wait longer, so that slow networks get through."""
    return min(5.0, 1.5 ** min(attempt, 6))


def grace(gamma: float, intervals: Sequence[float]) -> float:
    """For peers that still train: gamma median intervals of those that are in (at least one)."""
    return max(1.0, gamma * sorted(intervals)[len(intervals) // 2])


def message(rtt: float, transfer: float) -> float:
    """For a peer at its sync point: it has only its check-in to send."""
    return 0.5 + 2 * rtt + 2 * transfer


def stuck(batch_seconds: float) -> float:
    """A program that does no batch for so long is not waited for. 0 = none is measured yet."""
    if not batch_seconds:
        return FIRST_BATCH
    return max(2.0, 4 * batch_seconds)


def plan_with_all(rtt: float, transfer: float, attempt: int) -> float:
    """For the plan, once all live peers are at their sync point."""
    return (1.0 + 3 * rtt + 2 * transfer) * patience(attempt)


def plan_with_enough(grace_seconds: float, rtt: float, transfer: float, attempt: int) -> float:
    """For the plan, once `min_peers` are at their sync point and others still train."""
    return (grace_seconds + 1.0 + 3 * rtt + 2 * transfer) * patience(attempt)


def exchange(silence: float, rtt: float, transfer: float, attempt: int) -> float:
    """Without new bytes after a plan. Longer than finding a dead member takes: its coordinator plans again by then."""
    return (1.25 * silence + 0.75 + 4 * rtt + 2 * transfer) * patience(attempt)


def block_again(rtt: float, share: float) -> float:
    """Without new blocks, before missing ones are asked for again (`share`: transfer of what one member merges).

    They are in flight for longer than half a second on a slow line, and a second copy would only make it slower.
    """
    return RESEND + 2 * rtt + 2 * share


def accusation(rtt: float, transfer: float) -> float:
    """For blocks that a peer says it lacks: they have only to travel (`transfer`: of a share)."""
    return 0.5 + 2 * rtt + transfer


def votes(exchange_took: float) -> float:
    """For the votes of the rest, once there are enough."""
    return max(0.5, 0.5 * exchange_took)


def plans(members: int) -> int:
    """Plans that one coordinator may make in one attempt."""
    return members // 2 + 2


def model_of_certificate(rtt: float, transfer: float) -> float:
    """For the model of a certificate that came without it, while one voter lives."""
    return 2.0 + 2 * transfer + 4 * rtt


def fetch_again(rtt: float, transfer: float) -> float:
    """Between two requests for the same tensors."""
    return RESEND + 2 * rtt + 2 * transfer


def commit_turn(rank: int, block_seconds: float) -> float:
    """For the commit of those before, for the voter of that rank (0 = first by id)."""
    return (rank + 1) * 2 * block_seconds + 1.0


def commit_again(block_seconds: float) -> float:
    """Between two commits of one node for the same certificate."""
    return 1.0 + 2 * block_seconds

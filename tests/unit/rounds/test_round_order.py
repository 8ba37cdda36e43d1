"""Who coordinates: what the ledger says, the same for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.registry import node_id

from swarm_lab.rounds import order
from swarm_lab.rounds.events import LedgerView, Member, Rules
from swarm_lab.rounds.messages import GENESIS, Participant, Result

A, B, C, D = (node_id(k) for k in (1, 2, 3, 4))
RULES = Rules(training="7" * 64, min_peers=2, sync=4)


def view(*nodes: str, left: tuple[str, ...] = (), removed: tuple[str, ...] = ()) -> LedgerView:
    return LedgerView(
        members={n: Member(1, n) for n in nodes}, left=dict.fromkeys(left, ""), removed=dict.fromkeys(removed, "")
    )


def result(number: int, *nodes: str) -> Result:
    members = tuple(Participant(n, 1, 1, "a" * 64, False) for n in nodes)
    return Result(RULES.training, number, GENESIS, members, False, 4, "b" * 64)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (result(1, A, B, C), (C, A, B, D)),  # turned by round 2
        (result(2, A, B, C), (A, B, C, D)),
        (result(2, B, C), (C, B, A, D)),  # participants first, the rest by id
        (result(3, D), (D, A, B, C)),
    ],
)
def test_participants_of_the_last_commit_come_first(last: Result, expected: tuple[str, ...]) -> None:
    assert order.coordinators(RULES, view(A, B, C, D), last) == expected


def test_who_left_or_was_removed_is_not_in_it() -> None:
    last = result(2, A, B, C)
    assert order.coordinators(RULES, view(A, B, C, D, left=(A,), removed=(D,)), last) == (C, B)


def test_round_1_does_not_move_while_nodes_announce_themselves() -> None:
    rules = replace(RULES, assigned=(A, B, C))
    orders = {order.coordinators(rules, view(*some), None) for some in ((), (B,), (A, C), (A, B, C))}
    assert orders == {(B, C, A)}


def test_some_never_coordinate_unless_all_are_such() -> None:
    rules = replace(RULES, no_coordinators=frozenset({A, C}))
    assert order.coordinators(rules, view(A, B, C, D), result(2, A, B, C)) == (B, D)
    rules = replace(RULES, no_coordinators=frozenset({A, B}))
    assert order.coordinators(rules, view(A, B), result(2, A, B)) == (B, A)


def test_expected_are_those_that_can_still_come() -> None:
    rules = replace(RULES, assigned=(A, B, D))
    assert order.expected(rules, view(A, C, left=(A,))) == (B, C, D)

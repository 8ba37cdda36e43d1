"""What a node believes: certificates and plans, good and bent in every way that section 9 names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rounds_sim.registry import FORGED, SIGNATURE, Key, Registry, node_id

from swarm_lab.rounds import checks
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.events import LedgerView, Member, Rules

A, B, C, D = NODES = tuple(node_id(k) for k in (1, 2, 3, 4))
T, MODEL = "7" * 64, "b" * 64
RULES = Rules(training=T, min_peers=2, sync=4)
VIEW = LedgerView(members={n: Member(1, n) for n in (A, B, C)}, rosters=(frozenset({A, B, C}),), removed={}, left={})


def participant(node: str, **changes: object) -> m.Participant:
    return replace(m.Participant(node, 1, 1, "a" * 64, False), **changes)  # type: ignore[arg-type]


def result(*members: m.Participant, **changes: object) -> m.Result:
    return replace(m.Result(T, 1, m.GENESIS, members, False, 4, MODEL), **changes)  # type: ignore[arg-type]


def certify(registry: Registry, good: m.Result, *voters: str) -> m.Certificate:
    return m.Certificate(good, tuple(m.Vote(v, Key(registry, v).sign_result(good)) for v in voters))


# --- sets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("min_peers", "members", "votes"), [(1, 1, 1), (2, 2, 2), (2, 3, 2), (2, 5, 3), (4, 5, 4)])
def test_quorum_is_a_majority_and_at_least_min_peers(min_peers: int, members: int, votes: int) -> None:
    assert checks.quorum(min_peers, members) == votes


@pytest.mark.parametrize(
    ("rule", "done", "end"),
    [
        ("all", (True, True, True), True),
        ("all", (True, True, False), False),
        ("min_peers", (True, True, False), True),
        ("min_peers", (True, False, False), False),
    ],
)
def test_end_rule(rule: str, done: tuple[bool, ...], end: bool) -> None:
    rules = replace(RULES, end_rule=rule)  # type: ignore[arg-type]
    members = [participant(n, done=d) for n, d in zip(NODES, done, strict=False)]
    assert checks.may_end(rules, members) is end


@pytest.mark.parametrize(
    ("members", "end", "wrong"),
    [
        ([participant(A), participant(B)], False, None),
        ([participant(A)], False, "1 members"),
        ([participant(B), participant(A)], False, "order"),
        ([participant(A), participant(A)], False, "order"),
        ([participant(A), participant(B)], True, "not done"),
        ([participant(A, weight=0), participant(B, weight=0)], False, "weight"),
        ([participant(A, weight=0, done=True), participant(B, weight=0, done=True)], True, None),
    ],
)
def test_sets(members: list[m.Participant], end: bool, wrong: str | None) -> None:
    found = checks.bad_set(RULES, members, end)
    assert found is None if wrong is None else found and wrong in found


def test_a_coordinator_cannot_choose_the_next_interval() -> None:
    plans = Plans()
    good = plans.plan(*(plans.entry(n) for n in (A, B, C)))
    wrong = checks.bad_plan(RULES, plans.registry, VIEW, A, good, 8, 0)
    assert wrong == "its next interval is 4, not 8"
    certificate = certify(plans.registry, good.result(), A, B)
    assert checks.bad_certificate(RULES, plans.registry, certificate, 2) == "its next interval is 4, not 2"


def test_a_coordinator_cannot_put_the_end_off() -> None:
    rules = replace(RULES, end_rule="min_peers")
    two_done = [participant(A, done=True), participant(B, done=True), participant(C)]
    assert checks.bad_set(rules, two_done, True) is None
    assert "end is due" in (checks.bad_set(rules, two_done, False) or "")
    assert checks.bad_set(RULES, two_done, False) is None


def test_only_exactly_my_check_in_is_my_contribution() -> None:
    mine = m.CheckIn(T, 1, m.GENESIS, A, 1, 1, "a" * 64, False)
    good = result(participant(A), participant(B))
    assert checks.contributes(mine, good)
    assert not checks.contributes(None, good)
    assert not checks.contributes(replace(mine, root="c" * 64), good)
    assert not checks.contributes(replace(mine, incarnation=2), good)
    assert not checks.contributes(replace(mine, prev="d" * 64), good)


# --- certificates -------------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(1, 4), st.sets(st.sampled_from(NODES)), st.booleans())
def test_certificate_needs_a_quorum_of_members(count: int, min_peers: int, voters: set[str], forged: bool) -> None:
    registry, rules = Registry(), replace(RULES, min_peers=min_peers)
    members = NODES[:count]
    good = result(*(participant(n) for n in members))
    certificate = certify(registry, good, *sorted(voters))
    if forged:
        certificate = replace(certificate, votes=tuple(replace(v, signature=FORGED) for v in certificate.votes))
    valid = (
        count >= min_peers
        and voters <= set(members)
        and len(voters) >= checks.quorum(min_peers, count)
        and not (forged and voters)
    )
    assert (checks.bad_certificate(rules, registry, certificate, 4) is None) is valid


def test_bent_certificates_are_refused() -> None:
    registry = Registry()
    good = certify(registry, result(participant(A), participant(B)), A, B)
    assert checks.bad_certificate(RULES, registry, good, 4) is None
    bent = [
        replace(good, result=replace(good.result, model="e" * 64)),
        replace(good, result=replace(good.result, training="8" * 64)),
        replace(good, votes=(good.votes[0], good.votes[0])),
        replace(good, votes=(good.votes[0], replace(good.votes[1], voter=C))),
    ]
    assert all(checks.bad_certificate(RULES, registry, c, 4) for c in bent)


# --- plans --------------------------------------------------------------------------------------------------


class Plans:
    """Makes signed plans of coordinator A for round 1."""

    def __init__(self) -> None:
        self.registry = Registry()

    def entry(self, node: str, **changes: object) -> m.Entry:
        p = participant(node, **changes)
        check_in = m.CheckIn(T, 1, m.GENESIS, p.node, p.incarnation, p.weight, p.root, p.done)
        return m.Entry(p, Key(self.registry, node).sign_check_in(check_in))

    def plan(self, *entries: m.Entry, left: tuple[m.LeftOut, ...] = (), **changes: object) -> m.PlanMessage:
        content = checks.plan_content(entries, left, False, 4, MODEL)
        plan = replace(m.Plan(T, 1, m.GENESIS, 0, 1, content), **changes)  # type: ignore[arg-type]
        return m.PlanMessage(plan, Key(self.registry, A).sign_plan(plan), entries, left, False, 4, MODEL)

    def wrong(self, message: m.PlanMessage, coordinator: str = A, view: LedgerView = VIEW) -> str | None:
        return checks.bad_plan(RULES, self.registry, view, coordinator, message, 4, 0)


LEFT_OUT_C = (m.LeftOut(C, "connection lost"),)


def test_good_plans() -> None:
    plans = Plans()
    assert plans.wrong(plans.plan(*(plans.entry(n) for n in (A, B, C)))) is None
    assert plans.wrong(plans.plan(plans.entry(A), plans.entry(B), left=LEFT_OUT_C)) is None


BENT: dict[str, Callable[[Plans], m.PlanMessage]] = {
    "no reason given": lambda s: s.plan(s.entry(A), s.entry(B)),
    "not what was signed": lambda s: replace(s.plan(s.entry(A), s.entry(B), left=LEFT_OUT_C), model="f" * 64),
    "forged signature": lambda s: replace(s.plan(s.entry(A), s.entry(B), left=LEFT_OUT_C), signature=FORGED),
    "members, 2 needed": lambda s: s.plan(s.entry(A), left=(*LEFT_OUT_C, m.LeftOut(B, "x"))),
    "ascending": lambda s: s.plan(s.entry(B), s.entry(A), left=LEFT_OUT_C),
    "is not a member": lambda s: s.plan(s.entry(A), s.entry(D), left=(m.LeftOut(B, "x"), *LEFT_OUT_C)),
    "forged or stale check-in": lambda s: s.plan(s.entry(A), m.Entry(participant(B), SIGNATURE), left=LEFT_OUT_C),
    "another training": lambda s: s.plan(s.entry(A), s.entry(B), left=LEFT_OUT_C, training="8" * 64),
}


@pytest.mark.parametrize("reason", BENT)
def test_bent_plans_are_refused(reason: str) -> None:
    plans = Plans()
    wrong = plans.wrong(BENT[reason](plans))
    assert wrong and reason in wrong


def test_a_check_in_of_another_base_does_not_verify() -> None:
    plans = Plans()
    stale = plans.plan(plans.entry(A), plans.entry(B), left=LEFT_OUT_C, prev="9" * 64)
    assert "forged or stale" in (plans.wrong(stale) or "")


def test_no_reason_is_needed_for_who_left_or_was_removed() -> None:
    plans = Plans()
    plan = plans.plan(plans.entry(A), plans.entry(B))
    assert plans.wrong(plan, view=replace(VIEW, left={C: ""})) is None
    assert plans.wrong(plan, view=replace(VIEW, removed={C: "two check-ins"})) is None
    removed = replace(VIEW, removed={B: "two check-ins"})
    assert "is not a member" in (plans.wrong(plan, view=removed) or "")


def test_a_plan_of_another_node_is_not_this_coordinators() -> None:
    plans = Plans()
    plan = plans.plan(plans.entry(A), plans.entry(B), left=LEFT_OUT_C)
    assert plans.wrong(plan, coordinator=B) == "forged signature"

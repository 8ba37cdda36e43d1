"""Transitions of section 3, one by one: starting, member, coordinator."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.bench import ME, NODES, B, Bench, C, coordinating, planned, root, submit, vote
from rounds_sim.registry import FORGED, SIGNATURE

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m

# --- starting -----------------------------------------------------------------------------------------------


def test_announces_until_the_ledger_has_this_start() -> None:
    bench = Bench(view=e.LedgerView(members={ME: e.Member(1, "an earlier start")}))
    assert bench.take(e.Announce) == [e.Announce(ME[-2:])]
    bench.tick(1.0)
    assert not bench.take(e.Announce)
    bench.tick(1.1)
    assert bench.take(e.Announce)
    bench.ready()
    assert bench.machine.phase is m.Phase.STARTING
    bench.view = replace(bench.view, members={ME: e.Member(2, ME[-2:])})
    bench.tick()
    assert bench.own().incarnation == 2


def test_a_late_joiner_takes_the_head_from_its_disk_or_from_a_holder() -> None:
    head = m.Result("7" * 64, 1, m.GENESIS, (m.Participant(B, 1, 1, root("b"), False),), False, 4, root("1"))
    for on_disk in (True, False):
        bench = Bench()
        bench.final(head)
        result_id = bench.registry.result_id(head)
        disk = (e.StoredModel(result_id, root("1"), 1, 4),) if on_disk else ()
        bench = Bench(view=bench.view, disk=disk)
        bench.tick()
        bench.ready()
        if not on_disk:
            assert bench.machine.phase is m.Phase.FETCHING
            assert bench.sent(m.FetchMessage) == [(B, m.FetchMessage(root("1")))]
            bench.hear(B, m.ModelMessage(root("1")), root("1"))
        assert bench.take(e.Load) == [e.Load("adopt", root("1"), root("a"))]
        assert bool(bench.take(e.Store)) is not on_disk


# --- member -------------------------------------------------------------------------------------------------


def test_checks_in_with_its_update_once_and_repeats_without(bench: Bench) -> None:
    first = bench.take(e.Send)
    assert [(a.to, a.payload_root) for a in first] == [(B, root("a"))]
    bench.beat(C, m.Phase.TRAINING)
    bench.tick(0.6)
    again = [a for a in bench.take(e.Send) if isinstance(a.message, m.CheckInMessage)]
    assert [(a.to, a.payload_root) for a in again] == [(B, None)]
    bench.hear(B, m.FetchMessage(root("a")))
    assert bench.take(e.Send) == [e.Send(B, m.ModelMessage(root("a")), root("a"))]


def test_votes_with_the_whole_model_in_hand_and_not_before(bench: Bench) -> None:
    plan = bench.plan(B, bench.own(), bench.check_in(B, root("b")), model=root("1"), left=(C,))
    bench.hear(B, plan)
    assert bench.machine.phase is m.Phase.PLANNED
    assert not bench.sent(m.VoteMessage)
    bench.tick(0.6)
    assert (B, m.FetchMessage(root("1"))) in bench.sent(m.FetchMessage)
    bench.hear(B, m.ModelMessage(root("1")), root("1"))
    [(to, vote)] = bench.sent(m.VoteMessage)
    assert (to, vote.result_id) == (B, bench.registry.result_id(plan.result()))


def test_takes_plans_of_its_coordinator_only_and_each_number_once(bench: Bench) -> None:
    both = (bench.own(), bench.check_in(B, root("b")))
    bench.hear(C, bench.plan(C, *both, model=root("1"), left=(C,)), root("1"))
    assert bench.machine.phase is m.Phase.CHECKED_IN
    bench.hear(B, bench.plan(B, *both, model=root("1"), left=(C,)), root("1"))
    assert len(bench.sent(m.VoteMessage)) == 1
    bench.hear(B, bench.plan(B, *both, model=root("2"), left=(C,)), root("2"))
    assert not bench.sent(m.VoteMessage)
    bench.hear(B, bench.plan(B, *both, model=root("2"), number=2, left=(C,)), root("2"))
    assert len(bench.sent(m.VoteMessage)) == 1


def test_leaves_a_coordinator_whose_plan_is_bad(bench: Bench) -> None:
    bench.now += 0.3
    bad = bench.plan(B, bench.own(), bench.check_in(B, root("b")), model=root("1"), left=(C,))
    bench.hear(B, replace(bad, signature=FORGED), root("1"))
    assert [to for to, _ in bench.sent(m.CheckInMessage)][-1] == C
    assert next(n for n in bench.take(e.Notice) if n.kind == "bad_peer").nodes == (B,)


def test_leaves_a_coordinator_that_is_down_at_once(bench: Bench) -> None:
    bench.take(object)
    bench.apply(e.PeerDown(bench.now, B))
    assert [to for to, _ in bench.sent(m.CheckInMessage)] == [C]


@pytest.mark.parametrize(("others", "moves"), [(m.Phase.CHECKED_IN, True), (m.Phase.TRAINING, False)])
def test_leaves_a_silent_coordinator_when_all_are_in(bench: Bench, others: m.Phase, moves: bool) -> None:
    for node in (B, C):
        bench.beat(node, others, coordinator=B)
    bench.take(object)
    for _ in range(12):
        bench.tick()
    assert (C in [to for to, _ in bench.sent(m.CheckInMessage)]) is moves


def test_waits_once_more_when_it_is_left_out(bench: Bench) -> None:
    plan = bench.plan(B, bench.check_in(B, root("b")), bench.check_in(C, root("c")), model=root("1"), left=(ME,))
    bench.hear(B, plan, root("1"))
    assert bench.machine.phase is m.Phase.CHECKED_IN
    assert [n.text for n in bench.take(e.Notice) if n.kind == "left_out"] == ["connection lost"]


def test_does_not_follow_a_peer_that_only_starts(bench: Bench) -> None:
    late = Bench()
    late.beat(B, m.Phase.STARTING)
    late.tick()
    late.ready()
    assert [to for to, _ in late.sent(m.CheckInMessage)] == [C]


# --- coordinator --------------------------------------------------------------------------------------------


def test_plans_when_all_are_in_and_merged() -> None:
    bench, plan = planned()
    sends = [a for a in bench.take(e.Send) if isinstance(a.message, m.PlanMessage)]
    assert [(a.to, a.payload_root) for a in sends] == [(n, root("1")) for n in NODES]
    assert plan.result().nodes() == NODES


def test_asks_for_an_update_that_did_not_come() -> None:
    bench = coordinating()
    submit(bench, B, root("b"), payload=False)
    submit(bench, C, root("c"))
    assert not bench.take(e.Merge)
    assert (B, m.FetchMessage(root("b"))) in bench.sent(m.FetchMessage)
    bench.hear(B, m.ModelMessage(root("b")), root("b"))
    assert len(bench.take(e.Merge)) == 1


@pytest.mark.parametrize("change", ["signature", "sender", "update"])
def test_forged_check_ins_are_dropped(change: str) -> None:
    bench = coordinating()
    made = bench.check_in(B, root("b"))
    signature = FORGED if change == "signature" else SIGNATURE
    sender, update = (C if change == "sender" else B), (root("e") if change == "update" else root("b"))
    bench.hear(sender, m.CheckInMessage(made, signature, 0, 0.5), update)
    assert B not in bench.machine.coordinator.rounds[1, m.GENESIS].check_ins
    assert [n.nodes for n in bench.take(e.Notice) if n.kind == "bad_peer"] == [(sender,)]


def test_plans_without_a_peer_that_died_and_says_why() -> None:
    bench, _ = planned()
    bench.apply(e.PeerDown(bench.now, C))
    [merge] = bench.take(e.Merge)
    assert [p.node for p in merge.participants] == [ME, B]
    bench.apply(e.MergeDone(bench.now, merge.key, root("2")))
    [plan] = {
        a.message for a in bench.take(e.Send) if isinstance(a.message, m.PlanMessage) if a.message.plan.number == 2
    }
    assert plan.left_out == (m.LeftOut(C, "connection lost"),)


def test_plans_without_a_contribution_that_cannot_be_merged() -> None:
    bench = coordinating()
    submit(bench, B, root("b"))
    submit(bench, C, root("c"))
    [merge] = bench.take(e.Merge)
    bench.apply(e.MergeFailed(bench.now, merge.key, C, "tensor fc.weight: NaN"))
    [merge] = bench.take(e.Merge)
    assert [p.node for p in merge.participants] == [ME, B]
    assert bench.machine.coordinator.rounds[1, m.GENESIS].excluded[C].reason == "tensor fc.weight: NaN"


def test_waits_for_who_still_trains_at_most_the_grace_and_not_for_who_is_stuck() -> None:
    bench = coordinating()
    bench.beat(C, m.Phase.TRAINING, batches=3, batch_seconds=0.1)
    submit(bench, B, root("b"))
    assert not bench.take(e.Merge)
    bench.tick(1.1)
    assert [p.node for p in bench.take(e.Merge)[0].participants] == [ME, B]


def test_certifies_with_a_quorum_and_waits_a_little_for_the_rest() -> None:
    bench, plan = planned()
    vote(bench, B, plan)
    vote(bench, ME, plan)
    assert not bench.sent(m.CertificateMessage)
    bench.tick(0.6)
    sent = bench.sent(m.CertificateMessage)
    assert {to for to, _ in sent} == set(NODES)
    assert sent[0][1].certificate.voters() == (ME, B)


def test_a_member_that_dies_after_the_quorum_counts() -> None:
    bench, plan = planned()
    vote(bench, B, plan)
    vote(bench, ME, plan)
    bench.apply(e.PeerDown(bench.now, C))
    assert bench.sent(m.CertificateMessage)[0][1].certificate.result.nodes() == NODES


@pytest.mark.parametrize("junk", [{"result_id": "e" * 64}, {"signature": FORGED}])
def test_who_votes_for_junk_is_planned_without(junk: dict[str, str]) -> None:
    bench, plan = planned()
    vote(bench, C, plan, **junk)
    assert [p.node for p in bench.take(e.Merge)[0].participants] == [ME, B]


def test_two_check_ins_are_reported_until_the_ledger_has_it() -> None:
    bench = coordinating()
    submit(bench, B, root("b"))
    submit(bench, B, root("e"))
    [report] = bench.take(e.Report)
    assert {report.first.check_in.root, report.second.check_in.root} == {root("b"), root("e")}
    bench.tick(3.1)
    assert bench.take(e.Report) == [report]
    bench.view = replace(bench.view, removed={B: "two check-ins"})
    bench.tick(3.1)
    bench.tick(3.1)
    assert not bench.take(e.Report)


def test_a_check_in_of_another_base_or_start_is_no_double() -> None:
    bench = coordinating()
    submit(bench, B, root("b"))
    submit(bench, B, root("e"), incarnation=2)
    submit(bench, B, root("f"), prev="5" * 64)
    assert not bench.take(e.Report)

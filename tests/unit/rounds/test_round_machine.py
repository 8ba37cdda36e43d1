"""Transitions of section 3, one by one: member, coordinator, certificate, commit, waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.bench import ME, NODES, B, Bench, C, root
from rounds_sim.registry import FORGED, SIGNATURE

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m


@pytest.fixture
def bench() -> Bench:
    """At the sync point of round 1; node B is its first coordinator."""
    made = Bench()
    made.tick()
    made.ready()
    return made


def coordinating() -> Bench:
    """The others cannot coordinate."""
    bench = Bench(no_coordinators=frozenset({B, C}))
    bench.tick()
    bench.ready()
    loop(bench)
    return bench


def loop(bench: Bench) -> None:
    """Deliver what the node sends to itself."""
    while mine := [a for a in bench.done if isinstance(a, e.Send) and a.to == ME]:
        bench.done = [a for a in bench.done if a not in mine]
        for send in mine:
            bench.hear(ME, send.message, send.payload_root)


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


def submit(bench: Bench, node: str, digest: str, payload: bool = True, attempt: int = 0, **more: object) -> m.CheckIn:
    made = bench.check_in(node, digest, **more)  # type: ignore[arg-type]
    bench.beat(node, m.Phase.CHECKED_IN, coordinator=ME, attempt=attempt)
    bench.tick(0.01)
    bench.hear(node, m.CheckInMessage(made, SIGNATURE, attempt, 0.5), digest if payload else None)
    return made


def planned() -> tuple[Bench, m.PlanMessage]:
    bench = coordinating()
    submit(bench, B, root("b"))
    submit(bench, C, root("c"))
    [merge] = bench.take(e.Merge)
    bench.apply(e.MergeDone(bench.now, merge.key, root("1")))
    plan = bench.machine.coordinator.rounds[1, m.GENESIS].plan
    assert plan
    return bench, plan


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


def vote(bench: Bench, node: str, plan: m.PlanMessage, **changes: object) -> None:
    result_id = bench.registry.result_id(plan.result())
    bench.certificate(plan.result(), node)
    message = m.VoteMessage(1, m.GENESIS, plan.plan.content, result_id, SIGNATURE)
    bench.hear(node, replace(message, **changes))  # type: ignore[arg-type]


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


# --- commit -------------------------------------------------------------------------------------------------


def test_commits_only_after_min_peers_stored() -> None:
    bench, plan = planned()
    for node in NODES:
        vote(bench, node, plan)
    loop(bench)
    [store] = bench.take(e.Store)
    bench.tick()
    assert not bench.take(e.Commit)
    bench.apply(e.StoreDone(bench.now, store.result_id))
    assert {to for to, _ in bench.sent(m.StoredMessage)} == {B, C}
    assert not bench.take(e.Commit)
    bench.hear(C, m.StoredMessage(store.result_id))
    assert len(bench.take(e.Commit)) == 1
    bench.tick(0.5)
    assert not bench.take(e.Commit)
    bench.tick(3.0)
    assert len(bench.take(e.Commit)) == 1
    bench.view = replace(bench.view, included=frozenset({store.result_id}))
    bench.tick(5.0)
    assert not bench.take(e.Commit)


def test_heirs_commit_by_turn(bench: Bench) -> None:
    result = bench.finish_round_1(ME, B, C)
    result_id = bench.registry.result_id(result)
    for node in (B, C):
        bench.hear(node, m.StoredMessage(result_id))
    bench.tick(0.1)
    assert not bench.take(e.Commit)  # B issued it and lives
    bench.apply(e.PeerDown(bench.now, B))
    assert len(bench.take(e.Commit)) == 1


def test_a_full_disk_is_no_holder_and_tries_again(bench: Bench) -> None:
    bench.finish_round_1(ME, B, C)
    [store] = bench.take(e.Store)
    bench.apply(e.StoreFailed(bench.now, store.result_id, "no space left on device"))
    assert bench.machine.heartbeat().stored == ()
    bench.tick(2.1)
    assert bench.take(e.Store) == [store]


def test_offers_its_certificate_to_peers_that_are_a_round_behind(bench: Bench) -> None:
    bench.finish_round_1(ME, B, C)
    bench.take(object)
    bench.beat(B, m.Phase.TRAINING, 2)
    bench.beat(C, m.Phase.CHECKED_IN, 1)
    bench.tick(0.6)
    assert [to for to, _ in bench.sent(m.CertificateMessage)] == [C]


@pytest.mark.parametrize("change", [{"votes": ()}, {"result": "model"}, {"result": "prev"}])
def test_bent_certificates_bind_nothing(bench: Bench, change: dict[str, object]) -> None:
    members = tuple(bench.check_in(n, root(n[-1])).participant() for n in (B, C))
    result = m.Result("7" * 64, 1, m.GENESIS, members, False, 4, root("1"))
    good = bench.certificate(result, B, C)
    bent = (
        replace(good, votes=())
        if "votes" in change
        else replace(good, result=replace(result, **{str(change["result"]): "e" * 64}))
    )
    bench.hear(B, m.CertificateMessage(bent))
    assert bench.machine.desk.state.want is None
    assert bench.machine.desk.state.base.round == 0


# --- failing ------------------------------------------------------------------------------------------------


def test_a_final_result_that_vanishes_is_a_fork(bench: Bench) -> None:
    result = bench.finish_round_1(ME, B, C)
    bench.final(result)
    bench.tick()
    bench.final(replace(result, model="e" * 64))
    bench.tick()
    assert [f.code for f in bench.take(e.Fail)] == ["SWL-FORK"]
    assert bench.machine.phase is m.Phase.FAILED


def test_an_older_view_of_another_sn_is_not_taken_back_to(bench: Bench) -> None:
    result = bench.finish_round_1(ME, B, C)
    bench.final(result)
    bench.tick()
    bench.final()
    bench.tick()
    assert bench.machine.desk.view.results == (result,)
    assert not bench.take(e.Fail)


def test_a_program_that_fails_leaves_and_goes_on_serving(bench: Bench) -> None:
    bench.take(object)
    bench.apply(e.ProgramFailed(bench.now, "ZeroDivisionError in line 7"))
    assert bench.take(e.Leave) == [e.Leave("SWL-PROGRAM", "ZeroDivisionError in line 7")]
    assert bench.machine.heartbeat().reason == "ZeroDivisionError in line 7"
    bench.hear(B, m.FetchMessage(root("a")))
    assert bench.sent(m.ModelMessage)
    bench.tick(2.1)
    assert bench.take(e.Leave)
    bench.view = replace(bench.view, left={ME: "SWL-PROGRAM"})
    bench.tick(2.1)
    assert not bench.take(e.Leave)
    assert not bench.take(e.Fail)


@pytest.mark.parametrize("where", ["left", "removed"])
def test_fails_at_once_when_too_few_can_still_come(where: str) -> None:
    bench = Bench(assigned=NODES, min_peers=3)
    bench.tick()
    bench.ready()
    bench.view = replace(bench.view, **{where: {C: "SWL-PROGRAM"}})
    bench.tick()
    [fail] = bench.take(e.Fail)
    assert fail.code == "SWL-PEERS"
    assert C in fail.text
    assert "SWL-PROGRAM" in fail.text


@pytest.mark.parametrize(("up", "code", "text"), [((), "SWL-PEERS", "2 are needed, 1 are here"), ((B, C), None, None)])
def test_waits_for_peers_end_by_the_absent_limit(up: tuple[str, ...], code: str | None, text: str | None) -> None:
    bench = Bench(absent=60.0)
    bench.tick()
    bench.ready()
    bench.up = frozenset(up)
    for _ in range(700):
        bench.tick()
        for node in up:
            bench.beat(node, m.Phase.TRAINING, batches=int(bench.now * 10))
    fails = bench.take(e.Fail)
    assert [f.code for f in fails] == ([code] if code else [])
    if text:
        assert text in fails[0].text


def test_waits_are_named_once_when_they_change(bench: Bench) -> None:
    bench.take(object)
    bench.up = frozenset()
    for _ in range(30):
        bench.tick()
    waits = [n for n in bench.take(e.Notice) if n.kind == "waiting"]
    assert [w.fields["reason"] for w in waits] == ["peers"]
    assert waits[0].nodes == (B, C)


def test_round_1_waits_for_assigned_nodes_that_have_not_announced() -> None:
    view = e.LedgerView(members={n: e.Member(1, n[-2:]) for n in (ME, B)})
    bench = Bench(view=view, assigned=NODES, start_grace=10.0, no_coordinators=frozenset({B}))
    bench.up = frozenset({B})
    bench.tick()
    bench.ready()
    loop(bench)
    submit(bench, B, root("b"))
    for _ in range(30):
        bench.tick(0.3)
    assert not bench.take(e.Merge)
    assert [n.nodes for n in bench.take(e.Notice) if n.fields.get("reason") == "start"] == [(C,)]
    bench.tick(2.0)
    assert len(bench.take(e.Merge)) == 1


def test_round_1_does_not_wait_for_an_assigned_node_that_left() -> None:
    members = {n: e.Member(1, n[-2:]) for n in NODES}
    bench = Bench(
        view=e.LedgerView(members=members, left={C: "SWL-PROGRAM"}), assigned=NODES, no_coordinators=frozenset({B})
    )
    bench.up = frozenset({B})
    bench.tick()
    bench.ready()
    loop(bench)
    submit(bench, B, root("b"))
    assert len(bench.take(e.Merge)) == 1


def test_keeps_what_may_be_asked_for_and_drops_the_rest(bench: Bench) -> None:
    bench.finish_round_1(ME, B, C)
    kept = bench.take(e.Keep)[-1].roots
    assert {root("a"), root("1")} <= kept  # the contribution of a round that is not final, and its model
    bench.hear(C, m.ModelMessage(root("f")), root("f"))
    assert root("f") not in bench.machine.desk.have

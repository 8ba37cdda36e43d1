"""Waits with names and limits, and the ways to fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.bench import ME, NODES, B, Bench, C, loop, root, submit

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m


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
    bench.view = replace(bench.view, left={})  # the training was resumed: another start of this node takes part
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
    loop(bench)
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

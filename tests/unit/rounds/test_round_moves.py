"""Section 7's four moves: what the program is told, and when it may train."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.bench import ME, B, Bench, C, root

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m

Steering = e.Load | e.Train | e.Park | e.StopProgram


def steering(bench: Bench) -> list[Steering]:
    return bench.take(e.Load | e.Train | e.Park | e.StopProgram)  # type: ignore[arg-type]


def started(**rules: object) -> Bench:
    bench = Bench(**rules)  # type: ignore[arg-type]
    bench.tick()
    bench.ready()
    return bench


def sync_point(bench: Bench, letter: str, base: str, done: bool = False, batches: int = 4) -> list[e.Action]:
    nan = float("nan")
    return bench.apply(e.SyncPoint(bench.now, root(letter), base, done, nan, nan, 4, batches))


def in_round_2(*members: str, **rules: object) -> tuple[Bench, m.Result]:
    """Round 1 is final; the node has checked in to round 2 with contribution `c`."""
    bench = started(**rules)
    first = bench.finish_round_1(*(members or (ME, B, C)))
    bench.final(first)
    bench.tick()
    sync_point(bench, "c", root("1"))
    bench.take(object)
    return bench, first


def certify_round_2(bench: Bench, first: m.Result, *members: str, model: str = root("2")) -> m.Result:
    prev = bench.registry.result_id(first)
    check_ins = [bench.own() if n == ME else bench.check_in(n, root(n[-1]), 2, prev) for n in members]
    result = m.Result(first.training, 2, prev, tuple(c.participant() for c in check_ins), False, 4, model)
    bench.hear(B, m.CertificateMessage(bench.certificate(result, *members)))
    bench.hear(B, m.ModelMessage(model), model)
    return result


def test_round_1_merges_initial_weights() -> None:
    bench = started()
    assert bench.machine.phase is m.Phase.CHECKED_IN
    assert bench.own().root == root("a")
    assert bench.own().round == 1
    assert not steering(bench)


def test_adopt() -> None:
    bench = started()
    bench.finish_round_1(ME, B, C)
    assert steering(bench) == [e.Load("adopt", root("1"), root("a")), e.Train(4, False)]
    assert bench.machine.phase is m.Phase.TRAINING


def test_rebase_at_the_sync_point() -> None:
    bench = started()
    bench.finish_round_1(B, C)
    assert steering(bench) == [e.Load("rebase", root("1"), root("a")), e.Train(4, False)]


def test_rebase_while_training_goes_on_counting() -> None:
    bench, first = in_round_2()
    certify_round_2(bench, first, ME, B, C)
    steering(bench)
    prev = bench.machine.desk.state.base.result_id
    second = bench.machine.desk.state.base.result
    assert second
    third = m.Result(first.training, 3, prev, second.participants[1:], False, 4, root("3"))
    bench.final(first, second, third)
    bench.tick()
    bench.hear(B, m.ModelMessage(root("3")), root("3"))
    assert steering(bench) == [e.Load("rebase", root("3"), root("2"))]
    assert bench.machine.phase is m.Phase.TRAINING


def test_a_sync_point_of_the_base_before_a_rebase_does_not_count() -> None:
    bench, first = in_round_2()
    second = certify_round_2(bench, first, ME, B, C)
    third = replace(second, round=3, prev=bench.registry.result_id(second), participants=second.participants[1:])
    bench.final(first, second, replace(third, model=root("3")))
    bench.tick()
    bench.hear(B, m.ModelMessage(root("3")), root("3"))
    sync_point(bench, "d", root("2"))
    assert bench.machine.phase is m.Phase.TRAINING
    sync_point(bench, "e", root("3"))
    assert bench.own().root == root("e")
    assert bench.own().round == 4


def test_behind_but_in_the_set_is_adopted_not_rebased() -> None:
    bench, first = in_round_2()
    participants = (bench.own().participant(), bench.check_in(B, root("b")).participant())
    second = m.Result(first.training, 2, bench.registry.result_id(first), participants, False, 4, root("2"))
    bench.final(first, second)
    bench.tick()
    bench.hear(B, m.ModelMessage(root("2")), root("2"))
    assert steering(bench)[0] == e.Load("adopt", root("2"), root("1"))


@pytest.mark.parametrize(("winners", "lost"), [((B, C), 7), ((ME, B), 3)])
def test_reset_when_the_ledger_takes_another_result(winners: tuple[str, ...], lost: int) -> None:
    bench, first = in_round_2()
    own = bench.own()
    certify_round_2(bench, first, ME, B, C)
    bench.apply(e.Progress(bench.now, 7, 0.1))
    steering(bench)
    prev = bench.registry.result_id(first)
    check_ins = [own if n == ME else bench.check_in(n, root(n[-1]), 2, prev) for n in winners]
    winner = m.Result(first.training, 2, prev, tuple(c.participant() for c in check_ins), False, 4, root("9"))
    bench.final(first, winner)
    bench.tick()
    assert steering(bench) == [e.Park()]
    assert bench.machine.phase is m.Phase.FETCHING
    bench.hear(B, m.ModelMessage(root("9")), root("9"))
    assert steering(bench) == [e.Load("reset", root("9"), root("2")), e.Train(4, True)]
    assert [n.fields["count"] for n in bench.take(e.Notice) if n.kind == "lost_batches"] == [lost]


def test_restore_with_the_same_check_in_when_a_participant_is_removed() -> None:
    bench, first = in_round_2()
    own = bench.own()
    certify_round_2(bench, first, ME, B, C)
    bench.take(object)
    bench.view = replace(bench.view, removed={C: "two check-ins"})
    bench.tick()
    assert steering(bench) == [e.Load("restore", own.root, root("1")), e.Park()]
    assert bench.machine.phase is m.Phase.CHECKED_IN
    assert bench.own() == own
    assert all(x.check_in == own for _, x in bench.sent(m.CheckInMessage))


def test_a_node_that_was_not_in_the_set_keeps_its_work_when_the_round_is_repeated() -> None:
    bench, first = in_round_2()
    certify_round_2(bench, first, ME, B, C)
    bench.final(first, bench.machine.desk.state.base.result)  # type: ignore[arg-type]
    bench.tick()
    second = bench.machine.desk.state.base
    check_ins = [bench.check_in(n, root(n[-1]), 3, second.result_id) for n in (B, C)]
    members = tuple(c.participant() for c in check_ins)
    third = m.Result(first.training, 3, second.result_id, members, False, 4, root("3"))
    bench.hear(B, m.CertificateMessage(bench.certificate(third, B, C)))
    bench.hear(B, m.ModelMessage(root("3")), root("3"))
    bench.take(object)
    bench.view = replace(bench.view, removed={C: "two check-ins"})
    bench.tick()
    assert steering(bench) == [e.Load("rebase", root("2"), root("3"))]
    assert bench.machine.phase is m.Phase.TRAINING


# --- the end of the program ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "digest", "weight"), [("snapshot", root("d"), 1), ("active", root("2"), 1), ("inactive", root("2"), 0)]
)
def test_train_end_modes(mode: str, digest: str, weight: int) -> None:
    bench, first = in_round_2(train_end=mode)
    sync = bench.own()
    assert sync.weight == 1
    second = certify_round_2(bench, first, ME, B, C)
    bench.final(first, second)
    bench.tick()
    sync_point(bench, "d", root("2"), done=True)
    assert (bench.own().done, bench.own().weight) == (True, weight)
    third = replace(
        second,
        round=3,
        prev=bench.registry.result_id(second),
        participants=(bench.own().participant(), bench.check_in(B, root("b")).participant()),
        model=root("3"),
    )
    bench.hear(B, m.CertificateMessage(bench.certificate(third, ME, B)))
    bench.hear(B, m.ModelMessage(root("3")), root("3"))
    assert bench.machine.phase is m.Phase.CHECKED_IN
    assert bench.own().round == 4
    assert bench.own().root == (root("3") if mode != "snapshot" else digest)
    assert bench.own().weight == weight


def test_active_and_left_out_at_its_end_enters_its_last_work_later() -> None:
    bench, first = in_round_2(train_end="active")
    second = certify_round_2(bench, first, ME, B, C)
    bench.final(first, second)
    bench.tick()
    sync_point(bench, "d", root("2"), done=True)
    steering(bench)
    prev = bench.registry.result_id(second)
    members = tuple(bench.check_in(n, root(n[-1]), 3, prev).participant() for n in (B, C))
    third = m.Result(first.training, 3, prev, members, False, 4, root("3"))
    bench.hear(B, m.CertificateMessage(bench.certificate(third, B, C)))
    bench.hear(B, m.ModelMessage(root("3")), root("3"))
    assert steering(bench) == [e.Load("rebase", root("3"), root("2"))]
    sync_point(bench, "e", root("3"), done=True)
    assert bench.own().root == root("e")


def test_a_stop_ends_the_program_at_once_or_when_it_would_be_released() -> None:
    bench = started()
    bench.finish_round_1(ME, B, C)
    steering(bench)
    bench.apply(e.StopRequested(bench.now))
    bench.apply(e.StopRequested(bench.now))
    assert steering(bench) == [e.StopProgram()]

    bench = started()
    bench.apply(e.StopRequested(bench.now))
    assert not steering(bench)
    bench.finish_round_1(ME, B, C)
    assert steering(bench) == [e.Load("adopt", root("1"), root("a")), e.StopProgram(), e.Train(4, False)]


def test_the_end_is_loaded_when_it_is_final_and_not_trained_past() -> None:
    bench, first = in_round_2(end_rule="min_peers")
    prev = bench.registry.result_id(first)
    members = (
        bench.own().participant(),
        *(bench.check_in(n, root("b"), 2, prev, done=True).participant() for n in (B, C)),
    )
    last = m.Result(first.training, 2, prev, members, True, 4, root("2"))
    bench.hear(B, m.CertificateMessage(bench.certificate(last, ME, B, C)))
    bench.hear(B, m.ModelMessage(root("2")), root("2"))
    assert bench.machine.phase is m.Phase.CONFIRMING
    assert not steering(bench)
    bench.final(first, last)
    bench.tick()
    assert steering(bench) == [e.Load("adopt", root("2"), root("1"))]
    assert bench.take(e.Finish) == [e.Finish(last, bench.registry.result_id(last), ())]
    bench.hear(B, m.FetchMessage(root("2")))
    assert bench.sent(m.ModelMessage) == [(B, m.ModelMessage(root("2")))]

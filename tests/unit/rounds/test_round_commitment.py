"""From a certificate to the ledger: stored first, committed by turn, offered to who lacks it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.bench import ME, NODES, B, Bench, C, loop, planned, root, vote

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m


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

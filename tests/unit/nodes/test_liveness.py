"""Liveness: who is heard, on a clock that the test moves."""

from swarm_lab.nodes.liveness import Change, Liveness
from swarm_lab.rounds.messages import Heartbeat, Phase

A, B = "0x" + "a" * 40, "0x" + "b" * 40
BEAT = Heartbeat("0" * 64, Phase.TRAINING)


def test_a_peer_is_up_when_heard_and_down_after_its_limit() -> None:
    peers = Liveness()
    assert peers.heard(A, "1", 0.0, BEAT) == [Change(A, True)]
    assert peers.heard(A, "1", 0.5, BEAT) == [] and peers.up == {A}
    assert peers.silent(2.4) == []
    [change] = peers.silent(2.6)
    assert change.peer == A and not change.up and "2.1 s" in change.why
    assert peers.up == frozenset() and peers.heartbeats == {}
    assert peers.silent(3.0) == []
    assert peers.heard(A, "1", 4.0) == [Change(A, True)]


def test_the_limit_follows_the_measured_gaps_but_not_the_outage() -> None:
    peers = Liveness()
    for now in (0.0, 2.0, 4.0):
        peers.heard(A, "1", now, BEAT)
        peers.silent(now)
    # Gaps of 2 s were measured only while the peer was up: the first silence of 1.5 s took it down in between.
    assert peers.links(0)[A].silence == 8.0
    assert peers.silent(11.0) == [] and len(peers.silent(12.5)) == 1
    peers.heard(A, "1", 100.0, BEAT)
    assert peers.links(0)[A].silence == 8.0


def test_a_refused_connection_counts_at_once_and_only_once() -> None:
    peers = Liveness()
    assert peers.refused(A, 0.0) == []
    peers.heard(A, "1", 0.0)
    assert peers.refused(A, 0.1) == [Change(A, False, "connection lost")]
    assert peers.refused(A, 0.2) == []


def test_a_new_process_is_down_then_up() -> None:
    peers = Liveness()
    peers.heard(A, "1", 0.0)
    peers.heard(B, "1", 0.0)
    assert peers.heard(A, "2", 0.1) == [Change(A, False, "started again"), Change(A, True)]
    assert peers.up == {A, B}


def test_rate_and_round_trip_are_measured_apart() -> None:
    peers = Liveness()
    peers.heard(A, "1", 0.0)
    peers.measured(A, 0.010, 200)
    peers.measured(A, 0.5, 50_000_000)
    link = peers.links(100_000_000)[A]
    assert abs(link.rtt - 0.01) < 1e-9 and abs(link.transfer - 1.0) < 1e-6


def beat(*heard: str) -> Heartbeat:
    return Heartbeat("7" * 64, Phase.TRAINING, heard=heard)


def test_who_is_not_heard_directly_is_reached_through_one_who_hears_it() -> None:
    known = Liveness()
    known.heard("b", "1", 0.0, beat())
    known.heard("c", "1", 0.0, beat())
    assert known.relay("b", 0.5) is None and known.heard_directly(["a", "b", "c"], "a", 0.5) == ()
    known.heard("c", "1", 1.2, beat())
    assert known.relay("b", 1.2) == "c"  # before it counts as silent
    assert known.silent(1.4) == [] and known.heard_directly(["a", "b", "c"], "a", 1.2) == ("a", "c")
    known.heard("c", "1", 1.3, beat("a", "c"))
    assert known.relay("b", 1.3) is None  # the other does not hear it either


def test_what_comes_through_a_relay_keeps_a_peer_and_is_no_direct_way() -> None:
    known = Liveness()
    known.heard("b", "1", 0.0, beat())
    known.heard("c", "1", 0.0, beat())
    for at in (1.0, 2.0, 3.0):
        known.heard("c", "1", at, beat())
        known.heard("b", "1", at, beat("b", "c"), direct=False)
    assert known.silent(3.4) == [] and known.up == {"b", "c"}
    assert known.relay("b", 3.4) == "c"
    known.heard("b", "1", 3.5, beat())
    assert known.relay("b", 3.6) is None


def test_a_refused_connection_is_no_direct_way_any_more() -> None:
    known = Liveness()
    known.heard("b", "1", 0.0, beat())
    known.heard("c", "1", 0.0, beat("b", "c"))
    assert [change.up for change in known.refused("b", 0.1)] == [False]
    assert known.relay("b", 0.1) == "c"
    known.heard("b", "1", 0.2, beat("b", "c"), direct=False)
    assert known.refused("b", 0.3) == [] and known.up == {"b", "c"}  # each heartbeat tries the straight way as well

"""What dies when (section 12), and what it costs: whole swarms with one thing going wrong."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rounds_sim.peer import Peer
from rounds_sim.registry import root
from rounds_sim.schedules import limit, name_of
from rounds_sim.world import Setup, World

from swarm_lab.rounds import events as e
from swarm_lab.rounds.messages import Phase


def swarm(**changes: object) -> World:
    """Five equal nodes, 10 ms links, three rounds and the first."""
    given = {"nodes": 5, "min_peers": 3, "delay": (0.005, 0.01), "batch_seconds": [0.2] * 5, **changes}
    return World(Setup(**given), 1)  # type: ignore[arg-type]


def finish(world: World) -> World:
    return world.run(limit(world))


def notices(world: World, kind: str) -> list[e.Notice]:
    return [n for p in world.peers.values() for n in p.notices if n.kind == kind]


def reasons(peer: Peer) -> list[str]:
    return [str(n.fields["reason"]) for n in peer.notices if n.kind == "waiting"]


# --- one death ----------------------------------------------------------------------------------------------


def kill_at(world: World, moment: str, turn: int, host: bool) -> None:
    """Whoever does this for that time dies in the middle of it, for good."""
    seen = [0]

    def hook(world: World, peer: Peer, action: e.Action) -> None:
        seen[0] += name_of(action) == moment
        if seen[0] == turn and name_of(action) == moment and all(p.alive for p in world.peers.values()):
            world.crash(peer.me, False, host)

    world.hooks.append(hook)


MOMENTS = [
    ("PLAN", 7),
    ("CERT", 7),
    ("Merge", 2),
    ("VOTE", 7),
    ("CHECKIN", 8),
    ("Store", 6),
    ("Commit", 2),
    ("Train", 6),
]


@pytest.mark.parametrize(("moment", "turn"), MOMENTS)
@pytest.mark.parametrize("host", [False, True], ids=["process", "host"])
def test_one_death_costs_at_most_three_seconds(moment: str, turn: int, host: bool) -> None:
    undisturbed = finish(swarm())
    world = swarm()
    kill_at(world, moment, turn, host)
    finish(world)
    assert sum(p.alive for p in world.peers.values()) == 4
    assert len(world.newest.results) == len(undisturbed.newest.results)
    assert world.now - undisturbed.now <= 3.0


def test_the_round_after_a_death_loses_nothing() -> None:
    world, undisturbed = swarm(epochs=[18] * 5), finish(swarm(epochs=[18] * 5))
    kill_at(world, "PLAN", 12, True)
    finish(world)

    def gaps(w: World) -> list[float]:
        times = w.invariants.commit_times
        return [b - a for a, b in pairwise(times)]

    disturbed = [k for k, (a, b) in enumerate(zip(gaps(world), gaps(undisturbed), strict=True)) if a - b > 0.45]
    assert len(disturbed) == 1


def test_a_silent_coordinator_costs_about_two_seconds() -> None:
    undisturbed = finish(swarm())
    world = swarm()

    def silent(world: World, peer: Peer, actions: list[e.Action]) -> list[e.Action]:
        return [a for a in actions if name_of(a) != "PLAN"]

    world.hostile[world.names[2]] = silent
    finish(world)
    assert any(n.kind == "coordinator" for p in world.honest() for n in p.notices)
    assert world.now - undisturbed.now <= 3.0


def test_everyone_dies_and_nothing_committed_is_lost() -> None:
    world = swarm()
    for k, name in enumerate(world.names):
        world.at(2.5, world.crash, name)
        world.at(3.5 + 0.1 * k, world.boot, name)
    world.setup.quiet = 4.0
    finish(world)
    assert {m.incarnation for m in world.newest.members.values()} == {2}


def test_a_lost_disk_is_filled_by_the_others() -> None:
    world = swarm(wipes=True, quiet=4.0)
    world.at(2.5, world.crash, world.names[0], True)
    world.at(3.5, world.boot, world.names[0])
    finish(world)
    assert world.peers[world.names[0]].finished


def test_a_program_that_fails_is_not_waited_for() -> None:
    undisturbed = finish(swarm())
    world = swarm()
    world.at(2.0, world.break_program, world.names[0])
    finish(world)
    assert world.newest.left == {world.names[0]: "SWL-PROGRAM"}
    assert world.names[0] not in world.newest.results[-1].nodes()
    assert world.now - undisturbed.now <= 1.0


def test_the_others_fail_at_once_when_too_few_are_left() -> None:
    world = swarm(min_peers=5)
    world.at(2.0, world.break_program, world.names[0])
    world.advance(4.0)
    failed = [p.failed for p in world.honest() if p.failed]
    assert [f.code for f in failed].count("SWL-PEERS") == 4
    assert all(world.names[0] in f.text for f in failed if f.code == "SWL-PEERS")


# --- cut in halves ------------------------------------------------------------------------------------------


def test_halves_that_both_certify_end_with_one_model() -> None:
    world = swarm(nodes=4, min_peers=2, batch_seconds=[0.2] * 4, block_seconds=2.0, quiet=12.0)
    left, right = world.names[:2], world.names[2:]
    pairs = [(a, b) for a in left for b in right]
    world.at(4.3, world.cut, pairs)
    world.at(12.0, world.heal, pairs)
    world.advance(11.9)
    committed = world.newest.results[-1].nodes()
    losers = [world.peers[n] for n in world.names if n not in committed]
    assert {p.me for p in losers} in ({*left}, {*right})
    assert all("model" in reasons(p) for p in losers)
    finish(world)
    lost = notices(world, "lost_batches")
    assert {n.nodes[0] for n in lost} == {p.me for p in losers}


def test_a_broken_link_between_two_stops_nobody() -> None:
    world = swarm(quiet=1e9)
    world.at(1.0, world.cut, [(world.names[1], world.names[3])])
    world.at(20.0, world.calm)
    world.advance(19.0)
    assert world.newest.results[-1].end


# --- the ledger ---------------------------------------------------------------------------------------------


def test_a_silent_ledger_costs_nothing_until_one_interval_is_over() -> None:
    world = swarm(ledger_off=(1.7, 6.0), quiet=6.0)
    world.advance(5.9)
    for peer in world.peers.values():
        assert peer.phase is Phase.CHECKED_IN
        assert peer.machine.waits.wait and peer.machine.waits.wait.reason == "ledger"
        assert peer.machine.desk.state.base.round == len(world.newest.results) + 1
    finish(world)


def test_a_ledger_that_stays_silent_ends_by_the_absent_limit() -> None:
    world = swarm(ledger_off=(1.7, 1e9), absent=10.0)
    world.advance(20.0)
    assert [p.failed.code for p in world.peers.values() if p.failed] == ["SWL-LEDGER"] * 5


def test_a_reorganisation_sends_the_same_certificate_again() -> None:
    world = swarm(depth=3, block_seconds=0.1, reorganise=0.5, quiet=5.0)
    finish(world)


# --- who comes and goes -------------------------------------------------------------------------------------


def test_a_late_joiner_ends_with_the_same_model() -> None:
    world = swarm(start=[0.0, 0.0, 0.0, 0.0, 2.5], start_grace=1.0)
    finish(world)
    last = world.peers[world.names[4]]
    assert root(last.trainer.x) == world.newest.results[-1].model


def test_round_1_waits_for_all_assigned_nodes() -> None:
    world = swarm(start=[0.0, 0.0, 0.0, 0.0, 2.5], start_grace=10.0)
    finish(world)
    assert world.newest.results[0].nodes() == tuple(world.names)
    assert "start" in reasons(world.peers[world.names[0]])


@pytest.mark.parametrize("slow", [4.0, 30.0])
def test_a_slow_node_is_left_out_and_its_work_enters_later(slow: float) -> None:
    world = swarm(batch_seconds=[0.2, 0.2, 0.2, 0.2, 0.2 * slow], epochs=[9, 9, 9, 9, 4])
    finish(world)
    assert any(world.names[4] not in r.nodes() for r in world.newest.results)
    assert world.names[4] in world.newest.results[-1].nodes()


def test_a_hung_program_does_not_hold_the_others() -> None:
    world = swarm(hang={4: (1.5, 100.0)}, quiet=100.0)
    world.advance(20.0)
    assert world.newest.results[-1].end
    assert world.names[4] not in world.newest.results[-1].nodes()
    finished = world.peers[world.names[0]].finished
    assert finished and finished.without == (world.names[4],)


def test_a_stop_ends_the_training_with_the_open_round() -> None:
    world = swarm(epochs=[10_000] * 5)
    world.at(3.0, world.stop, world.names)
    world.setup.epochs = [100] * 5
    finish(world)
    assert world.now < 6.0


@pytest.mark.parametrize("rule", ["all", "min_peers"])
@pytest.mark.parametrize("mode", ["snapshot", "active", "inactive"])
def test_ends_whatever_the_mode_and_rule(mode: str, rule: str) -> None:
    finish(swarm(modes=[mode] * 5, end_rule=rule, epochs=[4, 7, 9, 12, 13]))


def test_two_nodes_and_forty() -> None:
    finish(swarm(nodes=2, min_peers=2, batch_seconds=[0.2] * 2))
    finish(swarm(nodes=40, min_peers=20, batch_seconds=[0.2] * 40, epochs=[6] * 40))

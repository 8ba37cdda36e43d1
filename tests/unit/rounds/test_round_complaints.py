"""Whom a coordinator leaves out for what members lack, who is guilty when votes differ, which way a model goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rounds_sim.bench import ME, B, C, T, coordinating, root
from rounds_sim.registry import FORGED, SIGNATURE, Key

from swarm_lab.rounds import messages as m
from swarm_lab.rounds import path
from swarm_lab.rounds.assignments import assignment_of, slice_of
from swarm_lab.rounds.complaints import Complaints
from swarm_lab.rounds.events import Link
from swarm_lab.rounds.gathering import Gathering
from swarm_lab.rounds.slices import SignedSlice, deal
from swarm_lab.rounds.verdicts import Verdicts

NODES = (ME, B, C)


class Case:
    """A sharded plan of three that this node coordinates, and what the others' heartbeats say."""

    def __init__(self, owners: tuple[str, ...] = NODES) -> None:
        self.bench = coordinating()
        self.desk = self.bench.machine.desk
        check_ins = (self.bench.own(), self.bench.check_in(B, root("b")), self.bench.check_in(C, root("c")))
        plan = self.bench.plan(ME, *check_ins, model="")
        self.plan = replace(plan, owners=deal(6, dict.fromkeys(owners, 1)))
        self.g = Gathering(1, m.GENESIS, sharded=True, plan=self.plan, number=1)
        self.complaints = Complaints(self.desk)
        self.mine: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        """What the coordinator itself lacks: contributions, merged blocks."""

    def says(self, node: str, lacks: tuple[str, ...] = (), unmerged: tuple[str, ...] = ()) -> None:
        self.bench.beat(node, m.Phase.EXCHANGING, coordinator=ME, lacks=lacks, unmerged=unmerged)

    def act(self, seconds: float = 2.0) -> bool:
        """What comes of complaints that last so long."""
        self._act(0.1)
        return self._act(seconds)

    def _act(self, seconds: float) -> bool:
        self.bench.tick(seconds)
        state = self.desk.state
        state.phase, state.coordinator = m.Phase.EXCHANGING, ME
        state.lacks, state.unmerged = self.mine
        return self.complaints.act(self.g)

    def excluded(self) -> set[str]:
        return set(self.g.excluded)


def test_what_two_lack_is_left_out() -> None:
    case = Case()
    case.mine = (C,), ()
    case.says(B, lacks=(C,))
    assert case.act()
    assert case.excluded() == {C} and case.g.excluded[C].proven


def test_one_peers_word_takes_only_its_own_merging_from_it() -> None:
    case = Case()
    case.says(B, lacks=(C,))
    assert case.act()
    assert case.excluded() == set()
    assert case.g.no_owners == {B}


def test_a_complaint_that_does_not_last_changes_nothing() -> None:
    case = Case()
    case.says(B, lacks=(C,))
    assert not case.act(0.2)
    case.says(B)
    assert not case.act()
    assert case.excluded() == set() and case.g.no_owners == set()


def test_who_lacks_contributions_cannot_be_blamed_for_merged_blocks() -> None:
    case = Case()
    case.mine = (), (B,)
    case.says(C, unmerged=(B,))
    case.says(B, lacks=(C,))
    case.act()
    assert B not in case.excluded()


def test_merged_blocks_that_nobody_gets_are_their_mergers_fault() -> None:
    case = Case()
    case.mine = (), (B,)
    case.says(C, unmerged=(B,))
    assert case.act()
    assert case.excluded() == {B}


def test_who_merges_nothing_needs_nothing() -> None:
    case = Case(owners=(ME, C))
    case.says(B, lacks=(C,))
    assert not case.act()
    assert case.excluded() == set()


def test_nobody_leaves_itself_out() -> None:
    case = Case()
    case.says(B, lacks=(ME,), unmerged=(ME,))
    case.says(C, lacks=(ME,), unmerged=(ME,))
    case.act()
    assert case.excluded() == set()


# --- votes that differ --------------------------------------------------------------------------------------


def vote(case: Case, node: str, model: str, digests: dict[str, str] | None = None, **bent: object) -> m.VoteMessage:
    name = assignment_of(case.bench.rules, case.plan).id
    slices = []
    for merger in NODES:
        digest = (digests or {}).get(merger, root("d"))
        Key(case.bench.registry, merger).sign_slice(slice_of(case.plan, name, merger, digest))
        slices.append(SignedSlice(merger, digest, SIGNATURE))
    made = m.VoteMessage(1, m.GENESIS, case.plan.plan.content, root("1"), SIGNATURE, model, tuple(slices))
    return replace(made, **bent)  # type: ignore[arg-type]


def verdict(case: Case, **votes: m.VoteMessage) -> dict[str, str]:
    nodes = {"me": ME, "b": B, "c": C}
    return Verdicts(case.desk).of_votes(case.plan, {nodes[k]: v for k, v in votes.items()})


def test_votes_for_one_model_are_not_looked_into() -> None:
    case = Case()
    assert verdict(case, me=vote(case, ME, root("a")), b=vote(case, B, root("a"), slices=())) == {}


def test_a_merger_that_signed_two_slices_is_guilty_and_remembered() -> None:
    case = Case()
    verdicts = Verdicts(case.desk)
    votes = {ME: vote(case, ME, root("a")), B: vote(case, B, root("b"), {C: root("e")})}
    assert set(verdicts.of_votes(case.plan, votes)) == {C}
    assert set(verdicts.known()) == {C} and verdicts.known()[C].proven


def test_the_same_slices_and_another_model_are_junk() -> None:
    case = Case()
    assert set(verdict(case, me=vote(case, ME, root("a")), b=vote(case, B, root("b")))) == {B}


@pytest.mark.parametrize("kept", [0, 2])
def test_a_vote_without_its_slices_is_guilty(kept: int) -> None:
    case = Case()
    bad = vote(case, B, root("b"))
    found = verdict(case, me=vote(case, ME, root("a")), b=replace(bad, slices=bad.slices[:kept]))
    assert set(found) == {B} and "without slice signatures" in found[B]


def test_a_forged_slice_is_its_voters_fault_not_the_mergers() -> None:
    case = Case()
    bad = vote(case, B, root("b"))
    forged = tuple(replace(s, signature=FORGED, digest=root("f")) for s in bad.slices)
    assert set(verdict(case, me=vote(case, ME, root("a")), b=replace(bad, slices=forged))) == {B}


# --- assignments, path --------------------------------------------------------------------------------------


def test_an_assignment_is_named_by_set_owners_and_round() -> None:
    case = Case()
    one = assignment_of(case.bench.rules, case.plan)
    other_owners = replace(case.plan, owners=deal(6, {ME: 1, B: 1}))
    again = replace(case.plan, plan=replace(case.plan.plan, number=9, attempt=3))
    assert assignment_of(case.bench.rules, other_owners).id != one.id
    assert assignment_of(case.bench.rules, again).id == one.id, "whoever leads, in whatever attempt"
    assert [x.node for x in one.members] == list(NODES)
    assert assignment_of(replace(case.bench.rules, merge="geomedian"), case.plan).tables
    assert slice_of(case.plan, one.id, B, root("d")).training == T


@pytest.mark.parametrize(
    ("nbytes", "blocks", "nodes", "transfer", "rtt", "sharded"),
    [
        (2**20, 0, 4, 0.0, 0.01, False),  # not cut into blocks
        (2**20, 16, 1, 0.0, 0.01, False),
        (2**20, 16, 4, 0.0, 0.01, False),  # nothing measured, small
        (2**23, 16, 4, 0.0, 0.01, True),
        (2**25, 16, 4, 0.001, 0.01, True),  # too much for one node's memory
        (2**20, 16, 4, 0.0001, 0.3, False),  # a long way, quickly filled
        (2**20, 16, 4, 5.0, 0.01, True),  # a slow line
    ],
)
def test_small_models_go_through_the_coordinator(
    nbytes: int, blocks: int, nodes: int, transfer: float, rtt: float, sharded: bool
) -> None:
    choice = path.choose(nbytes, blocks, nodes, Link(rtt, transfer))
    assert choice.sharded is sharded and choice.why


def test_more_nodes_never_turn_shards_into_the_small_path() -> None:
    link = Link(0.02, 0.5)
    chosen = [path.choose(2**20, 64, n, link).sharded for n in range(2, 65)]
    assert chosen == sorted(chosen)

"""Whose check-ins a coordinator has, who is still waited for, and why somebody is left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from swarm_lab.rounds import checks, limits
from swarm_lab.rounds.events import Merge
from swarm_lab.rounds.messages import (
    AT_SYNC,
    Certificate,
    CheckInMessage,
    Digest,
    Entry,
    Heartbeat,
    LeftOut,
    NodeId,
    Participant,
    Phase,
    PlanMessage,
    VoteMessage,
)
from swarm_lab.rounds.slices import Shares, deal
from swarm_lab.rounds.state import Desk

PROBE = 8
"""Every so many rounds a node whose link was too slow takes part again: links change."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a node is not planned. `proven`: for all attempts of this round; else until it checks in again."""

    reason: str
    proven: bool = False
    lost: bool = False
    """It was not heard any more."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan whose model is being merged."""

    key: str
    entries: tuple[Entry, ...]
    end: bool

    def participants(self) -> tuple[Participant, ...]:
        """Its set."""
        return tuple(e.participant for e in self.entries)


@dataclass(slots=True)
class Gathering:
    """What a node keeps while it coordinates one round on one base."""

    round: int
    prev: Digest
    check_ins: dict[NodeId, CheckInMessage] = field(default_factory=dict)
    roots: set[Digest] = field(default_factory=set)
    """Of all check-ins that came."""
    excluded: dict[NodeId, Exclusion] = field(default_factory=dict)
    enough_since: float | None = None
    waiting_for: tuple[NodeId, ...] = ()
    asked_at: dict[NodeId, float] = field(default_factory=dict)
    number: int = 0
    draft: Draft | None = None
    merging: dict[str, Merge] = field(default_factory=dict)
    merged: dict[tuple[Participant, ...], Digest] = field(default_factory=dict)
    plan: PlanMessage | None = None
    planned_at: float = 0.0
    sharded: bool = False
    plan_before: Shares = ()
    """Shares of my last plan."""
    no_owners: set[NodeId] = field(default_factory=set)
    """Members that are to merge nothing."""
    votes: dict[NodeId, VoteMessage] = field(default_factory=dict)
    quorum_at: float | None = None
    certificate: Certificate | None = None
    certified_at: float = 0.0
    offer_at: float = 0.0
    looked_at: int = -1
    """`Desk.told` when it was last asked whether to plan, or to plan anew."""
    came: bool = False
    """Whether a check-in has come since."""
    _members: tuple[tuple[Entry, ...], dict[NodeId, Participant]] = ((), {})

    def planned(self) -> bool:
        """Whether there is a plan or its draft."""
        return self.plan is not None or self.draft is not None

    def members(self) -> dict[NodeId, Participant]:
        """The set of the plan or its draft, ascending; empty while there is none."""
        entries = self.plan.entries if self.plan else self.draft.entries if self.draft else ()
        if self._members[0] is not entries:
            self._members = entries, {e.participant.node: e.participant for e in entries}
        return self._members[1]

    def set(self) -> tuple[NodeId, ...]:
        """Its nodes."""
        return tuple(self.members())

    def agreed(self) -> tuple[Digest, tuple[NodeId, ...]]:
        """The model that most have voted for, and who has, ascending."""
        voters: dict[Digest, list[NodeId]] = {}
        for node in sorted(self.votes):
            voters.setdefault(self.votes[node].model, []).append(node)
        model = max(voters, key=lambda m: (len(voters[m]), m), default="")
        return model, tuple(voters.get(model, ()))

    def drop_plan(self) -> None:
        """The plan is void, and with it every exclusion that is not proven."""
        self.plan = self.draft = self.enough_since = self.quorum_at = self.certificate = None
        self.votes = {}
        self.excluded = {n: x for n, x in self.excluded.items() if x.proven}


class Gatherer:
    """The coordinator's judgement of its peers; limits of section 5."""

    def __init__(self, desk: Desk, not_started: Callable[[], tuple[NodeId, ...]]) -> None:
        self.desk = desk
        self.not_started = not_started
        self._live = (-1, 0)
        """`Desk.told`, and how many of the roster are live."""
        self._progress: dict[NodeId, tuple[int, Phase, float]] = {}

    # --- who is in ----------------------------------------------------------------------------------------

    def elsewhere(self, g: Gathering, node: NodeId) -> bool:
        """Its heartbeat says that it follows another coordinator by now, or works for a later round."""
        beat = self.desk.heartbeat_of(node)
        if beat is None:
            return False
        if beat.round > g.round:
            return True
        known = g.check_ins[node].attempt if node in g.check_ins else -1
        here = beat.round == g.round and beat.phase in AT_SYNC
        return here and beat.coordinator != self.desk.me and beat.attempt > known

    def worth_a_look(self, g: Gathering) -> bool:
        """Whether a plan may be due now that was not before: the world has changed, or the last check-in has come."""
        desk = self.desk
        if g.looked_at != desk.told:
            g.looked_at = desk.told
            return True
        if self._live[0] != desk.told:
            self._live = desk.told, sum(desk.live(n) for n in desk.roster)
        count = len(g.check_ins)
        return count >= self._live[1] or (g.enough_since is None and count >= desk.rules.min_peers)

    def ready(self, g: Gathering) -> list[CheckInMessage]:
        """Check-ins that a plan may list, ascending; none if there is nothing to weigh and no end."""
        desk = self.desk
        found = []
        for node in desk.roster:
            message = g.check_ins.get(node)
            if message is None or node in g.excluded or not desk.live(node):
                continue
            c = message.check_in
            present = c.incarnation == desk.view.members[node].incarnation
            if present and (g.sharded or c.root in desk.have) and not self.elsewhere(g, node):
                found.append(message)
        found = self._without_slow(g, found)
        if any(m.check_in.weight for m in found):
            return found
        return found if checks.may_end(desk.rules, [m.check_in.participant() for m in found]) else []

    def _without_slow(self, g: Gathering, found: list[CheckInMessage]) -> list[CheckInMessage]:
        """Leave out whose link would take longer than the others train, if enough remain; now and then it may try."""
        limit = limits.grace(self.desk.rules.grace, [m.took for m in found]) if g.sharded and found else 0.0
        for message in list(found) if limit else []:
            node = message.check_in.node
            seconds = self.desk.link(node).exchange(len(found))
            tries = g.round % PROBE == 0 and g.plan is None
            if node != self.desk.me and seconds > limit and not tries and len(found) > self.desk.rules.min_peers:
                rate = 8 * self.desk.nbytes / max(self.desk.link(node).transfer, 1e-9) / 1e6
                g.excluded[node] = Exclusion(f"slow link: {rate:.2g} Mbit/s, needs {seconds:.0f} s")
                found.remove(message)
        return found

    def too_slow(self, g: Gathering) -> bool:
        """Whether an exchange that goes on would be over sooner without a member whose link turned out to be slow."""
        desk = self.desk
        messages = [g.check_ins[n] for n in g.set() if n in g.check_ins]
        if not messages or desk.now - g.planned_at < limits.grace(desk.rules.grace, [m.took for m in messages]):
            return False
        return len(self._without_slow(g, messages)) < len(g.set())

    # --- who is waited for --------------------------------------------------------------------------------

    def waits(self, g: Gathering, ready: list[CheckInMessage]) -> bool:
        """Whether to wait longer with the plan; `g.waiting_for` names for whom."""
        desk = self.desk
        g.enough_since = desk.now if g.enough_since is None else g.enough_since
        waited = desk.now - g.enough_since
        nodes = {m.check_in.node for m in ready}
        starting = [n for n in self.not_started() if n not in nodes] if g.round == 1 else []
        missing = [n for n in desk.roster if n not in nodes and desk.live(n) and n not in g.excluded]
        here, training = [], []
        for node in missing:
            beat = desk.heartbeat_of(node)
            if beat is not None and beat.phase is Phase.TRAINING:
                if not self._is_stuck(g, node, beat):
                    training.append(node)
            elif self._comes(node, beat, waited):
                here.append(node)
        g.waiting_for = tuple(sorted({*starting, *here, *training}))
        if starting:
            return True
        all_done = all(m.check_in.done for m in ready)
        if all_done and desk.rules.end_rule == "all" and training:
            return True
        grace = limits.grace(desk.rules.grace, [m.took for m in ready])
        return bool(here or training) and waited < grace

    def _comes(self, node: NodeId, beat: Heartbeat | None, waited: float) -> bool:
        """Whether a peer that does not train will still check in here: it has only a message to send."""
        if beat is not None and beat.phase not in AT_SYNC:
            return False
        link = self.desk.link(node)
        return waited < limits.message(link.rtt, link.transfer)

    def _is_stuck(self, g: Gathering, node: NodeId, beat: Heartbeat) -> bool:
        now = self.desk.now
        batches, phase, since = self._progress.get(node, (-1, beat.phase, now))
        if (batches, phase) != (beat.batches, beat.phase):
            self._progress[node] = (beat.batches, beat.phase, now)
            return False
        if now - since <= limits.stuck(beat.batch_seconds):
            return False
        g.excluded[node] = Exclusion(f"stuck: no batch for {limits.stuck(beat.batch_seconds):.0f} s")
        return True

    # --- a draft ------------------------------------------------------------------------------------------

    def draft(self, g: Gathering, ready: list[CheckInMessage]) -> Draft:
        """The next plan: who is in, and whether it is the end."""
        desk = self.desk
        entries = tuple(Entry(m.check_in.participant(), m.signature) for m in ready)
        nodes = {e.participant.node for e in entries}
        end = checks.may_end(desk.rules, [e.participant for e in entries])
        if desk.rules.end_rule == "all" and any(
            n not in nodes and n not in g.excluded and desk.live(n) and self._trains(n) for n in desk.roster
        ):
            end = False
        g.number += 1
        return Draft(f"{g.round}/{g.prev[:8]}/{g.number}", entries, end)

    def owners(self, g: Gathering, draft: Draft) -> Shares:
        """Who merges which blocks: by the rate of their links; who has blocks since an earlier plan keeps them."""
        desk, state = self.desk, self.desk.state
        nodes = [p.node for p in draft.participants()]
        times = [desk.link(n).transfer for n in nodes if n != desk.me and desk.link(n).transfer]
        best = min(times, default=0.0)
        weights = {}
        for node in nodes:
            transfer = desk.link(node).transfer if node != desk.me else best
            # In powers of two, so that the noise of a measurement moves no block.
            halvings = round(math.log2(transfer / best)) if best and transfer else 0
            weights[node] = 0 if node in g.no_owners else max(1, 16 >> min(halvings, 4))
        before = g.plan_before or (state.owners[2] if state.owners[:2] == (g.round, g.prev) else ())
        kept = tuple(s for s in before if s.node not in g.no_owners)
        return deal(desk.blocks, weights, kept)

    def left_out(self, g: Gathering, draft: Draft) -> tuple[LeftOut, ...]:
        """Who is not in, and why; asked when the plan goes out, as the roster may have changed during the merge."""
        nodes = {e.participant.node for e in draft.entries}
        return tuple(LeftOut(n, self._reason(g, n)) for n in self.desk.roster if n not in nodes)

    def _trains(self, node: NodeId) -> bool:
        beat = self.desk.heartbeat_of(node)
        return beat is not None and beat.phase is Phase.TRAINING

    def _reason(self, g: Gathering, node: NodeId) -> str:
        desk = self.desk
        if node in g.excluded:
            return g.excluded[node].reason
        if not desk.live(node):
            return desk.absence(node)
        beat = desk.heartbeat_of(node)
        message = g.check_ins.get(node)
        if beat is None:
            return "no heartbeat yet"
        if self.elsewhere(g, node):
            return "with another coordinator"
        if message is not None and message.check_in.root not in desk.have:
            return "its update did not arrive"
        if beat.phase is Phase.TRAINING:
            return f"still training at the deadline, {beat.batches} batches in all"
        return f"not in at the deadline: {beat.phase.value}"

"""Whose check-ins a coordinator has, who is still waited for, and why somebody is left out."""

from __future__ import annotations

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
    Signature,
)
from swarm_lab.rounds.state import Desk


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
    votes: dict[NodeId, Signature] = field(default_factory=dict)
    quorum_at: float | None = None
    certificate: Certificate | None = None
    certified_at: float = 0.0
    offer_at: float = 0.0

    def planned(self) -> tuple[Participant, ...]:
        """The set of the plan or its draft; empty while there is none."""
        entries = self.plan.entries if self.plan else self.draft.entries if self.draft else ()
        return tuple(e.participant for e in entries)

    def set(self) -> tuple[NodeId, ...]:
        """Its nodes."""
        return tuple(p.node for p in self.planned())

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
            if present and c.root in desk.have and not self.elsewhere(g, node):
                found.append(message)
        if any(m.check_in.weight for m in found):
            return found
        return found if checks.may_end(desk.rules, [m.check_in.participant() for m in found]) else []

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

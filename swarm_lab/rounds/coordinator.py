"""A coordinator's side of a round: collect check-ins, have them merged, plan, collect votes, hand out the certificate.

It decides nothing that the others cannot check and holds no power over the ledger. Any number of nodes may coordinate
the same round at once: same set, same result; different sets, the ledger takes one.
"""

from __future__ import annotations

from dataclasses import replace

from swarm_lab.rounds import checks, limits
from swarm_lab.rounds.complaints import Complaints
from swarm_lab.rounds.doubles import Doubles
from swarm_lab.rounds.events import Merge, MergeDone, MergeFailed, Received
from swarm_lab.rounds.gathering import Draft, Exclusion, Gatherer, Gathering
from swarm_lab.rounds.messages import (
    Certificate,
    CertificateMessage,
    CheckIn,
    CheckInMessage,
    Digest,
    FetchMessage,
    NodeId,
    Phase,
    Plan,
    PlanMessage,
    SignedCheckIn,
    Vote,
    VoteMessage,
)
from swarm_lab.rounds.pace import Pace
from swarm_lab.rounds.slices import Shares
from swarm_lab.rounds.state import Desk
from swarm_lab.rounds.verdicts import Verdicts

ROUNDS_AHEAD = 2
"""A peer may be at the sync point of the next round but one before this node has heard of the certificate between."""


class Coordinator:
    """All rounds that are gathered here, one `Gathering` for each (round, prev)."""

    def __init__(self, desk: Desk, doubles: Doubles, pace: Pace) -> None:
        self.desk = desk
        self.doubles = doubles
        self.gatherer = Gatherer(desk, pace.not_started)
        self.complaints = Complaints(desk)
        self.verdicts = Verdicts(desk)
        self.rounds: dict[tuple[int, Digest], Gathering] = {}
        self.broken = ""
        """Why this node cannot merge."""
        self.was_sharded: bool | None = None
        self.changes = 0
        """Goes up when `roots` may have changed."""

    def roots(self) -> set[Digest]:
        """Updates and merged models that it may still need."""
        found: set[Digest] = set()
        for g in self.rounds.values():
            found |= g.roots
            found.update(g.merged.values())
        return found

    # --- check-ins ----------------------------------------------------------------------------------------

    def on_check_in(self, event: Received, message: CheckInMessage) -> None:
        """Take a check-in, whether I think that it is my turn or not; its sender thinks so."""
        desk, state, c, sender = self.desk, self.desk.state, message.check_in, event.sender
        if not self._genuine(event, message):
            desk.notice("bad_peer", "forged check-in", (sender,), round=c.round)
            return
        self.doubles.see(SignedCheckIn(c, message.signature))
        known = state.held.certificate if state.held else state.last_certificate
        if known and c.round == known.result.round:
            desk.send(sender, CertificateMessage(known))
        elif state.base.round < c.round <= state.base.round + ROUNDS_AHEAD:
            self._take(self._open(c), message)

    def _genuine(self, event: Received, message: CheckInMessage) -> bool:
        c = message.check_in
        return (
            c.node == event.sender
            and c.training == self.desk.rules.training
            and event.payload_root in (None, c.root)
            and self.desk.verifier.check_in(c, message.signature)
        )

    def _open(self, c: CheckIn) -> Gathering:
        """A node works on one base a round: its check-ins for others of that round are void."""
        key = (c.round, c.prev)
        self.changes += 1
        for other, g in list(self.rounds.items()):
            if other != key and other[0] == c.round and c.node in g.check_ins:
                del g.check_ins[c.node]
                if not g.check_ins:
                    del self.rounds[other]
        if key not in self.rounds:
            self.rounds[key] = Gathering(*key, sharded=self._sharded(c.round), excluded=self.verdicts.known())
        return self.rounds[key]

    def _sharded(self, number: int) -> bool:
        """Which way the models of this round go; told when it changes."""
        choice = self.desk.path()
        if choice.sharded is not self.was_sharded:
            self.was_sharded = choice.sharded
            way = "in shards between all members" if choice.sharded else "through the coordinator"
            self.desk.notice("path", f"models go {way}: {choice.why}", (self.desk.me,), round=number)
        return choice.sharded

    def _take(self, g: Gathering, message: CheckInMessage) -> None:
        desk, c = self.desk, message.check_in
        node = c.node
        old = g.check_ins.get(node)
        if old and old.check_in.incarnation > c.incarnation:
            return
        exclusion = g.excluded.get(node)
        if exclusion and not exclusion.proven and (g.plan is None or exclusion.lost):
            del g.excluded[node]
        came_back = old is None or message.attempt > old.attempt
        g.check_ins[node] = message
        g.roots.add(c.root)
        g.came = True
        self._ask_for_update(g, c)
        if g.certificate or not g.planned():
            return
        if g.members().get(node) != c.participant():
            if old and old.check_in != c and node in g.members():
                self._draft(g)  # it restarted in mid-round
        elif came_back:
            g.drop_plan()  # it gave me up once and came back
        elif g.plan and desk.now - g.planned_at > limits.RESEND:
            desk.send(node, g.plan)  # it lost the plan; it fetches the model itself

    def _ask_for_update(self, g: Gathering, c: CheckIn) -> None:
        desk, node = self.desk, c.node
        if g.sharded:
            return
        link = desk.link(node)
        if c.root not in desk.have and desk.now >= g.asked_at.get(node, desk.now):
            g.asked_at[node] = desk.now + limits.fetch_again(link.rtt, link.transfer)
            desk.send(node, FetchMessage(c.root))

    # --- plans --------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Take every round gathered here one step further."""
        for key in sorted(self.rounds):
            g = self.rounds[key]
            if len(self.desk.view.results) >= g.round or self.desk.state.phase is Phase.FINISHED:
                del self.rounds[key]
                self.changes += 1
            else:
                self._step(g)

    def forget(self, number: int, prev: Digest) -> None:
        """The round is made again from the start."""
        self.rounds.pop((number, prev), None)
        self.changes += 1

    def forget_all(self) -> None:
        """This node coordinates no more."""
        self.rounds.clear()
        self.changes += 1

    def _step(self, g: Gathering) -> None:
        desk, state = self.desk, self.desk.state
        if g.certificate:
            self._certified(g)
            return
        on_base = state.base.result_id == g.prev and state.phase is not Phase.FETCHING
        if not on_base or desk.final_id() != g.prev or self.broken:
            return
        if not g.planned():
            if not self.gatherer.worth_a_look(g):
                return
            g.waiting_for = ()
            ready = self.gatherer.ready(g)
            if len(ready) < desk.rules.min_peers:
                g.enough_since = None
            elif not self.gatherer.waits(g, ready):
                self._draft(g)
        elif self._has_quorum(g) and g.plan:
            self._certify(g, g.plan)
        elif g.came or g.looked_at != desk.told:
            g.came, g.looked_at, g.waiting_for = False, desk.told, ()
            self._plan_anew(g)

    def _has_quorum(self, g: Gathering) -> bool:
        needed = checks.quorum(self.desk.rules.min_peers, len(g.set()))
        return g.plan is not None and len(g.votes) >= needed and len(g.agreed()[1]) >= needed

    def _plan_anew(self, g: Gathering) -> None:
        """If a member died or went elsewhere, or one that had left came back: then its absence needs a reason."""
        returned = g.plan is not None and checks.unexplained(self.desk.view, g.plan) is not None
        lost = [n for n in g.set() if not self.desk.live(n)]
        for node in lost:
            g.excluded[node] = Exclusion(self.desk.absence(node), lost=True)
        gone = lost or returned or any(self.gatherer.elsewhere(g, n) for n in g.set())
        if gone or (g.plan and g.plan.owners and self._stands_still(g)):
            self._draft(g)

    def _stands_still(self, g: Gathering) -> bool:
        """Whether the exchange needs another plan, for complaints of its members or for a link that is slow."""
        return self.complaints.act(g) or self.gatherer.too_slow(g)

    def _draft(self, g: Gathering) -> None:
        """Plan what is ready now; its model is merged first, if it is not yet."""
        desk = self.desk
        ready = self.gatherer.ready(g)
        g.plan, g.draft, g.votes, g.quorum_at = None, None, {}, None
        if len(ready) < desk.rules.min_peers:
            g.drop_plan()
            return
        g.draft = draft = self.gatherer.draft(g, ready)
        participants, base = draft.participants(), desk.state.base
        if base.model and not any(p.weight for p in participants):
            g.merged[participants] = base.model
            self.changes += 1
        if g.sharded and participants not in g.merged:
            self._publish(g, draft, "", self.gatherer.owners(g, draft))
            return
        if participants in g.merged:
            self._publish(g, draft, g.merged[participants])
            return
        if not any(p.weight for p in participants):
            participants = tuple(replace(p, weight=1) for p in participants)  # round 1: there is no base to keep
        merge = Merge(draft.key, participants, base.model or None, desk.rules.merge)
        g.merging[draft.key] = merge
        desk.act(merge)

    def on_merge_done(self, event: MergeDone) -> None:
        """Publish the draft that it was made for; a later one may still use it."""
        self.changes += 1
        for g in self.rounds.values():
            merge = g.merging.pop(event.key, None)
            if merge is None:
                continue
            self.desk.have.add(event.root)
            g.merged[merge.participants] = event.root
            if g.draft and g.draft.key == event.key:
                self._publish(g, g.draft, event.root)

    def on_merge_failed(self, event: MergeFailed) -> None:
        """Plan without the node whose contribution cannot be merged; if none is to blame, leave it to the next."""
        for g in self.rounds.values():
            if g.merging.pop(event.key, None) is None:
                continue
            if event.node is None:
                self.broken = event.reason
                g.drop_plan()
                self.desk.notice("merge_failed", event.reason, (self.desk.me,), round=g.round)
            else:
                g.excluded[event.node] = Exclusion(event.reason[:200], proven=True)
                self._draft(g)

    def _publish(self, g: Gathering, draft: Draft, model: Digest, owners: Shares = ()) -> None:
        desk = self.desk
        next_interval = desk.next_interval(g.round, draft.participants())
        left_out = self.gatherer.left_out(g, draft)
        content = checks.plan_content(draft.entries, left_out, draft.end, next_interval, model, owners)
        attempt = max(g.check_ins[e.participant.node].attempt for e in draft.entries)
        plan = Plan(desk.rules.training, g.round, g.prev, attempt, g.number, content)
        signature = desk.signer.sign_plan(plan)
        g.draft = None
        g.plan = PlanMessage(plan, signature, draft.entries, left_out, draft.end, next_interval, model, owners)
        g.planned_at, g.plan_before = desk.now, owners
        for node in g.set():
            desk.send(node, g.plan, None if g.sharded else model)
        for absent in left_out:
            if desk.live(absent.node):
                desk.send(absent.node, g.plan)

    # --- votes --------------------------------------------------------------------------------------------

    def on_vote(self, event: Received, message: VoteMessage) -> None:
        """Count a vote for my plan. Where its model is known a vote for another is junk; else all must agree."""
        desk, state, sender = self.desk, self.desk.state, event.sender
        if state.held and message.round == state.held.certificate.result.round:
            desk.send(sender, CertificateMessage(state.held.certificate))
            return
        g = self.rounds.get((message.round, message.prev))
        if g is None or g.plan is None or g.certificate or sender not in g.members():
            return
        if message.content != g.plan.plan.content:
            return
        result = g.plan.result(message.model)
        good = bool(result.model) and message.result_id == desk.verifier.result_id(result)
        if not good or not desk.verifier.vote(result, sender, message.signature):
            reason = "forged vote" if good else "voted for another model than the planned one"
            self._convict(g, {sender: reason})
            return
        g.votes[sender] = message
        if g.plan.owners:
            self._convict(g, self.verdicts.of_votes(g.plan, g.votes))

    def _convict(self, g: Gathering, guilty: dict[NodeId, str]) -> None:
        """Plan without them, in all attempts of this round."""
        for node, reason in guilty.items():
            self.desk.notice("bad_peer", reason, (node,), round=g.round)
            g.excluded[node] = Exclusion(reason, proven=True)
        if guilty:
            self._draft(g)

    def _certify(self, g: Gathering, plan: PlanMessage) -> None:
        desk = self.desk
        g.quorum_at = desk.now if g.quorum_at is None else g.quorum_at
        model, voters = g.agreed()
        waiting = [n for n in g.set() if n not in g.votes and desk.live(n)]
        if waiting and desk.now - g.quorum_at < limits.votes(g.quorum_at - g.planned_at):
            g.waiting_for = tuple(waiting)
            return
        votes = tuple(Vote(n, g.votes[n].signature) for n in voters)
        g.certificate = Certificate(plan.result(model), votes)
        g.certified_at, g.offer_at = desk.now, desk.now + limits.OFFER
        message = CertificateMessage(g.certificate)
        for node in (*sorted(desk.up), desk.me):
            desk.send(node, message)

    def _certified(self, g: Gathering) -> None:
        desk, state = self.desk, self.desk.state
        certificate = g.certificate
        assert certificate is not None
        unused = state.held is None and state.base.result_id == g.prev
        if unused and desk.now - g.certified_at > limits.OWN_MODEL_LOST:
            g.drop_plan()
        elif desk.now >= g.offer_at:
            g.offer_at = desk.now + limits.OFFER
            behind = [n for n, beat in desk.heartbeats.items() if beat.round == g.round and beat.prev == g.prev]
            for node in sorted(behind):
                desk.send(node, CertificateMessage(certificate))

"""Two different check-ins of one node for one round, base and incarnation: a proof that the contract takes."""

from __future__ import annotations

from swarm_lab.rounds import limits
from swarm_lab.rounds.events import Report
from swarm_lab.rounds.messages import CheckIn, Digest, Entry, NodeId, PlanMessage, SignedCheckIn
from swarm_lab.rounds.state import Desk


class Doubles:
    """Remembers the first check-in of each key that it saw (this round and the last), and reports contradictions."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.seen: dict[tuple[int, Digest], dict[NodeId, Entry]] = {}
        """By round and prev, then by node: of its latest incarnation."""
        self.proofs: dict[NodeId, Report] = {}
        self.report_at = 0.0

    def see(self, signed: SignedCheckIn) -> None:
        """A check-in whose signature is good. Signatures are not compared: one content may have two."""
        c = signed.check_in
        self._see(c.round, c.prev, Entry(c.participant(), signed.signature))

    def see_plan(self, message: PlanMessage) -> None:
        """All check-ins of a plan, which are good."""
        key = message.plan.round, message.plan.prev
        planned = {entry.participant.node: entry for entry in message.entries}
        for node in sorted(planned.keys() & self.seen.setdefault(key, {}).keys()):
            self._see(*key, planned.pop(node))
        self.seen[key].update(planned)

    def _see(self, number: int, prev: Digest, entry: Entry) -> None:
        p = entry.participant
        book = self.seen.setdefault((number, prev), {})
        first = book.setdefault(p.node, entry)
        if first is entry or first.participant == p:
            return
        if first.participant.incarnation != p.incarnation:
            book[p.node] = max(first, entry, key=lambda one: one.participant.incarnation)
            return
        if p.node in self.proofs or p.node in self.desk.view.removed:
            return
        self.proofs[p.node] = Report(*(self._signed(number, prev, one) for one in (first, entry)))
        self.desk.notice("bad_peer", "two check-ins for one round", (p.node,), round=number)
        self.report_at = self.desk.now

    def _signed(self, number: int, prev: Digest, entry: Entry) -> SignedCheckIn:
        return SignedCheckIn(CheckIn.of(self.desk.rules.training, number, prev, entry.participant), entry.signature)

    def tick(self) -> None:
        """Report until the ledger has it."""
        desk = self.desk
        if not self.proofs or desk.now < self.report_at:
            return
        self.report_at = desk.now + limits.commit_again(desk.view.block_seconds)
        for node in sorted(self.proofs):
            if node in desk.view.removed:
                del self.proofs[node]
            else:
                desk.act(self.proofs[node])

    def forget(self, number: int) -> None:
        """Rounds up to this one are final and over."""
        self.seen = {k: v for k, v in self.seen.items() if k[0] >= number}

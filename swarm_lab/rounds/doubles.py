"""Two different check-ins of one node for one round, base and incarnation: a proof that the contract takes."""

from __future__ import annotations

from swarm_lab.rounds import limits
from swarm_lab.rounds.events import Report
from swarm_lab.rounds.messages import Digest, NodeId, SignedCheckIn
from swarm_lab.rounds.state import Desk

_Key = tuple[NodeId, int, Digest, int]


class Doubles:
    """Remembers the first check-in of each key that it saw (this round and the last), and reports contradictions."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.seen: dict[_Key, SignedCheckIn] = {}
        self.proofs: dict[NodeId, Report] = {}
        self.report_at = 0.0

    def see(self, signed: SignedCheckIn) -> None:
        """A check-in whose signature is good. Signatures are not compared: one content may have two."""
        c = signed.check_in
        first = self.seen.setdefault((c.node, c.round, c.prev, c.incarnation), signed)
        if first.check_in != c and c.node not in self.proofs and c.node not in self.desk.view.removed:
            self.proofs[c.node] = Report(first, signed)
            self.desk.notice("bad_peer", "two check-ins for one round", (c.node,), round=c.round)
            self.report_at = self.desk.now

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
        self.seen = {k: v for k, v in self.seen.items() if k[1] >= number}

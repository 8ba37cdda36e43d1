"""Models that this node lacks: fetch them by digest, and serve those that it has."""

from __future__ import annotations

from swarm_lab.rounds import limits
from swarm_lab.rounds.commitment import Commitment
from swarm_lab.rounds.messages import Digest, FetchMessage, ModelMessage, NodeId, Phase
from swarm_lab.rounds.moves import Moves
from swarm_lab.rounds.state import Desk, Want


class CatchUp:
    """Asks the round's participants in turn, then anyone whose heartbeat says that it has the model."""

    def __init__(self, desk: Desk, moves: Moves, commitment: Commitment) -> None:
        self.desk = desk
        self.moves = moves
        self.commitment = commitment
        self.asked: Digest = ""
        self.ask_at = 0.0
        self.turn = 0

    def holders(self, want: Want) -> list[NodeId]:
        """Live peers that should have it, participants first."""
        desk = self.desk
        nodes = want.result.nodes()
        rest = {n for n, beat in desk.heartbeats.items() if beat.model == want.result.model}.difference(nodes)
        return [n for n in nodes if n in desk.up] + sorted(rest)

    def tick(self) -> None:
        """Take the wanted model if it is here; else ask for it."""
        desk, want = self.desk, self.desk.state.want
        if want is None:
            return
        if want.result.model in desk.have:
            self._take(want)
            return
        if self.asked == want.result.model and desk.now < self.ask_at:
            return
        holders = self.holders(want)
        if holders:
            holder = holders[self.turn % len(holders)]
            self.turn += 1
            self.asked = want.result.model
            link = desk.link(holder)
            self.ask_at = desk.now + limits.fetch_again(link.rtt, link.transfer)
            desk.send(holder, FetchMessage(want.result.model))

    def _take(self, want: Want) -> None:
        desk, state = self.desk, self.desk.state
        if want.certificate is None:
            self.moves.settle(want)
            return
        state.want = None
        fits = (want.result.round, want.result.prev) == (state.base.round + 1, state.base.result_id)
        if (
            fits
            and state.base_final
            and len(desk.view.results) < want.result.round
            and state.phase is not Phase.FINISHED
        ):
            self.commitment.hold(want.issuer, want.certificate)

    def on_fetch(self, sender: NodeId, message: FetchMessage) -> None:
        """Serve what I have; a root that I do not have is not answered, the asker goes on to the next."""
        if message.root in self.desk.have:
            self.desk.send(sender, ModelMessage(message.root), message.root)

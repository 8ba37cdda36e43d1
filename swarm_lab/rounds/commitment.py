"""From a certificate to the ledger: hold it, store its model, offer it, commit it by turn, see it final."""

from __future__ import annotations

from swarm_lab.rounds import checks, limits
from swarm_lab.rounds.events import Commit, Fail, StoredModel, StoreDone, StoreFailed
from swarm_lab.rounds.messages import (
    Certificate,
    CertificateMessage,
    Digest,
    NodeId,
    Phase,
    StoredMessage,
)
from swarm_lab.rounds.moves import Moves
from swarm_lab.rounds.state import Desk, Held, Want

_NOT_NOW = frozenset({Phase.STARTING, Phase.FETCHING, Phase.FINISHED, Phase.FAILED})
STORED_KEPT = 8


class Commitment:
    """A certificate binds with its model in hand, is committed once `min_peers` stored that, and counts when final."""

    def __init__(self, desk: Desk, moves: Moves) -> None:
        self.desk = desk
        self.moves = moves
        self.holders: dict[Digest, set[NodeId]] = {}
        self.store_at: float | None = None
        self._looked: tuple[int, Digest] = (-1, "")
        self.later: tuple[NodeId, Certificate] | None = None
        """A certificate for the round after the one that I hold: it came before my view of the ledger."""

    # --- certificates -------------------------------------------------------------------------------------

    def on_certificate(self, sender: NodeId, certificate: Certificate) -> None:
        """Adopt it, fetch its model, or keep it for the next view of the ledger."""
        desk, state = self.desk, self.desk.state
        result = certificate.result
        if state.phase in _NOT_NOW:
            return
        if state.held:
            if result.round == state.base.round + 1 and result.prev == state.base.result_id:
                self.later = (sender, certificate)
            return
        if (result.round, result.prev) != (state.base.round + 1, state.base.result_id):
            return
        if len(desk.view.results) >= result.round or self._lists_removed(certificate):
            return
        wanted = state.want.result if state.want else None
        if wanted == result and result.model not in desk.have:
            return
        next_interval = desk.next_interval(result.round, result.participants)
        wrong = checks.bad_certificate(desk.rules, desk.verifier, certificate, next_interval)
        if wrong:
            desk.notice("bad_peer", f"bad certificate: {wrong}", (sender,), round=result.round)
        elif result.model in desk.have:
            self.hold(sender, certificate)
        else:
            result_id = desk.verifier.result_id(result)
            state.want = Want(result, result_id, "certificate", certificate, sender, desk.now)

    def hold(self, issuer: NodeId, certificate: Certificate) -> None:
        """Its model is in hand: it is the next base."""
        desk = self.desk
        voters = certificate.voters()
        if issuer == desk.me:
            wait = 0.0
        elif desk.me in voters:
            wait = limits.commit_turn(voters.index(desk.me), desk.view.block_seconds)
        else:
            wait = limits.STRANGER
        self.moves.merge(certificate, issuer, desk.now + wait)

    def _lists_removed(self, certificate: Certificate) -> bool:
        removed = self.desk.view.removed
        return bool(removed) and not removed.keys().isdisjoint(certificate.result.nodes())

    # --- stored -------------------------------------------------------------------------------------------

    def on_store_done(self, event: StoreDone) -> None:
        """It is on my disk: tell all."""
        desk, state = self.desk, self.desk.state
        order = self.moves.storing.pop(event.result_id, None)
        if order is None:
            return
        stored = StoredModel(event.result_id, order.result.model, order.result.round, order.batches)
        state.disk[event.result_id] = stored
        desk.have.add(stored.root)
        if state.base.result_id == event.result_id:
            self.on_stored(desk.me, event.result_id)
            for peer in self._committers():
                desk.send(peer, StoredMessage(event.result_id))

    def _committers(self) -> list[NodeId]:
        held, up = self.desk.state.held, self.desk.up
        if held is None:
            return []
        turns = dict.fromkeys((held.issuer, *held.certificate.voters()))
        return [n for n in turns if n in up][: limits.STORED]

    def on_store_failed(self, event: StoreFailed) -> None:
        """Not a holder; tried again while the commit may need this node for it."""
        self.desk.notice("store_failed", event.reason, (self.desk.me,))
        if event.result_id in self.moves.storing:
            self.store_at = self.desk.now + limits.STORE_AGAIN

    def _store_again(self) -> None:
        order = self.moves.storing.get(self.desk.state.base.result_id)
        if order and self.store_at is not None and self.desk.now >= self.store_at:
            self.store_at = None
            self.moves.store(order)

    def on_stored(self, node: NodeId, result_id: Digest) -> None:
        """It is on that node's disk."""
        if node in self.desk.view.members:
            self.holders.setdefault(result_id, set()).add(node)
            while len(self.holders) > STORED_KEPT:
                del self.holders[next(iter(self.holders))]

    def stored_by(self, result_id: Digest) -> set[NodeId]:
        """Who is known to have the result's model on disk."""
        if result_id in self.desk.state.disk:
            self.on_stored(self.desk.me, result_id)
        if self._looked != (self.desk.told, result_id):
            self._looked = self.desk.told, result_id
            for node, beat in self.desk.heartbeats.items():
                if result_id in beat.stored:
                    self.on_stored(node, result_id)
        return self.holders.get(result_id, set())

    # --- commit -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Offer what I hold to those that lack it, and commit it when it is my turn."""
        held = self.desk.state.held
        self._store_again()
        if held:
            self._offer(held)
            self._commit(held)

    def _offer(self, held: Held) -> None:
        desk, result = self.desk, held.certificate.result
        if desk.now < held.next_offer:
            return
        held.next_offer = desk.now + limits.OFFER
        behind = [n for n, b in desk.heartbeats.items() if b.round == result.round and b.prev == result.prev]
        for node in sorted(behind):
            desk.send(node, CertificateMessage(held.certificate))

    def _commit(self, held: Held) -> None:
        desk, result_id = self.desk, self.desk.state.base.result_id
        if result_id in desk.view.included:
            return
        if desk.now < held.next_commit and (held.committed_once or not self._first(held)):
            return
        if len(self.stored_by(result_id)) < desk.rules.min_peers:
            return
        held.next_commit = desk.now + limits.commit_again(desk.view.block_seconds)
        held.committed_once = True
        desk.act(Commit(held.certificate))

    def _first(self, held: Held) -> bool:
        """Whether the turn is mine: the issuer's, else that of the first live voter."""
        desk = self.desk
        if desk.live(held.issuer):
            return held.issuer == desk.me
        return next((v.voter for v in held.certificate.votes if desk.live(v.voter)), None) == desk.me

    # --- the ledger ---------------------------------------------------------------------------------------

    def watch(self) -> None:
        """What the ledger's final results mean for my base. Included but not final decides nothing."""
        desk, state = self.desk, self.desk.state
        results = desk.view.results
        if state.phase is Phase.FINISHED:
            return
        want = state.want
        if state.phase is Phase.FETCHING:
            if want and results[-1].round > want.result.round:
                self.moves.want_head("boot" if want.why == "boot" else "reset")
            return
        if state.held:
            self._watch_held(state.held)
        if not state.held and state.phase not in _NOT_NOW:
            self._watch_ahead()

    def _watch_ahead(self) -> None:
        desk, state = self.desk, self.desk.state
        results, want = desk.view.results, state.want
        if not results:
            return
        if results[-1].round > state.base.round and (
            want is None or want.why == "certificate" or want.result.round < results[-1].round
        ):
            self.moves.want_head("behind")
        elif want and want.certificate and self._lists_removed(want.certificate):
            state.want = None

    def _watch_held(self, held: Held) -> None:
        desk, state = self.desk, self.desk.state
        results, number = desk.view.results, state.base.round
        if len(results) < number:
            if self._lists_removed(held.certificate):
                self.moves.restore()
        elif results[number - 1] == state.base.result:
            self.moves.confirmed()
            if self.later and state.phase is not Phase.FINISHED:
                later, self.later = self.later, None
                self.on_certificate(*later)
        else:
            text = f"round {number}: the ledger took another result"
            desk.notice("race_lost", text, (desk.me,), round=number)
            self.moves.race_lost(held, results[number - 1])


def fork(desk: Desk, results: tuple[object, ...]) -> Fail | None:
    """A final result that vanished, or became another."""
    known = desk.view.results
    common = min(len(known), len(results))
    if common and known[common - 1] != results[common - 1]:
        return Fail("SWL-FORK", f"the ledger changed round {common}, which was final")
    return None

"""The four moves between rounds (section 7): adopt, rebase, reset, restore; and what comes after each."""

from __future__ import annotations

from typing import Literal

from swarm_lab.rounds import checks, limits
from swarm_lab.rounds.coordinator import Coordinator
from swarm_lab.rounds.events import Finish, Store
from swarm_lab.rounds.member import Member
from swarm_lab.rounds.messages import AT_SYNC, Certificate, Digest, NodeId, Phase, Result
from swarm_lab.rounds.program import Program
from swarm_lab.rounds.state import OWN_WEIGHTS, Base, Desk, Held, Kept, Want


class Moves:
    """Changes the base, and with it the program's weights. All moves happen between two batches."""

    def __init__(self, desk: Desk, program: Program, member: Member, coordinator: Coordinator) -> None:
        self.desk = desk
        self.program = program
        self.member = member
        self.coordinator = coordinator
        self.finished = False
        self.storing: dict[Digest, Store] = {}

    def begin(self) -> None:
        """Announced, and the program is there: round 1 merges initial weights; later ones are joined by fetching."""
        desk, state = self.desk, self.desk.state
        state.base, state.base_final = OWN_WEIGHTS, True
        self.program.since = desk.now
        if desk.view.results:
            self.want_head("boot")
            state.phase = Phase.FETCHING
        else:
            self.member.check_in()

    def want_head(self, why: Literal["boot", "reset", "behind"]) -> None:
        """Fetch the ledger's head."""
        desk = self.desk
        head = desk.view.results[-1]
        desk.state.want = Want(head, desk.final_id(), why, since=desk.now)

    # --- forward ------------------------------------------------------------------------------------------

    def merge(self, certificate: Certificate, issuer: NodeId, next_commit: float) -> None:
        """A good certificate for the open round, and its model is here: adopt, or rebase if I am not in it."""
        desk, state = self.desk, self.desk.state
        result = certificate.result
        kept = Kept(state.base, state.base_final, state.check_in, state.phase, self.program.mark())
        state.held = Held(certificate, issuer, kept, next_commit, desk.now + limits.RESEND)
        own = state.check_in.check_in if state.check_in else None
        included = checks.contributes(own, result)
        self._base(result, desk.verifier.result_id(result), certificate)
        state.base_final, state.want = False, None
        without = self._without(result)
        desk.notice("merged", f"round {result.round} merged", result.nodes(), round=result.round, without=len(without))
        if result.end:
            self.program.park()
            state.phase = Phase.CONFIRMING
        else:
            self._continue(included)

    def settle(self, want: Want) -> None:
        """The model that the ledger holds is here: reset to it, or carry the work over to it."""
        desk, state = self.desk, self.desk.state
        own = state.check_in.check_in if state.check_in else None
        old = state.base
        closed = desk.view.results[old.round] if len(desk.view.results) > old.round else None
        included = want.why == "behind" and closed is not None and checks.contributes(own, closed)
        state.held, state.want, state.base_final = None, None, True
        self._base(want.result, want.result_id, None)
        self.member.round_over()
        if want.result.end:
            self.finish()
        elif want.why == "boot":
            self._continue(included=True)
        elif want.why == "reset":
            self.program.reset(want.result.model)
            self._go_on(keep_count=True)
        else:
            self._continue(included)

    def _base(self, result: Result, result_id: Digest, certificate: Certificate | None) -> None:
        state = self.desk.state
        self.member.end_exchange()
        state.base = Base(result.round, result_id, result.model, result)
        if result_id not in state.disk:
            self.store(Store(result, result_id, state.batches, certificate))

    def store(self, order: Store) -> None:
        """Have the base written to disk."""
        self.storing[order.result_id] = order
        self.desk.act(order)

    def _continue(self, included: bool) -> None:
        """adopt or rebase, and on."""
        state, model = self.desk.state, self.desk.state.base.model
        running = state.phase is Phase.TRAINING
        if included:
            self.program.adopt(model)
        else:
            self.program.rebase(model)
        if running:
            self.program.keep_pace()
        else:
            self._go_on(keep_count=False)

    def _go_on(self, keep_count: bool) -> None:
        if not self.program.go_on(keep_count):
            self.member.check_in()

    # --- back ---------------------------------------------------------------------------------------------

    def race_lost(self, held: Held, winner: Result) -> None:
        """The ledger took another result than my base: stand still, and fetch what it took.

        Lost is what was trained since the merge, and the contribution as well if the winner does not have it.
        """
        kept, state = held.kept, self.desk.state
        own = kept.check_in.check_in if kept.check_in else None
        if not checks.contributes(own, winner):
            self.program.counted_from = min(self.program.counted_from, kept.program.counted_from)
        self.member.end_exchange()
        self.program.park()
        state.phase, state.held = Phase.FETCHING, None
        self.want_head("reset")

    def restore(self) -> None:
        """The certificate can never be committed: back to the round before, with the same check-in."""
        desk, state = self.desk, self.desk.state
        held = state.held
        assert held is not None
        kept, number = held.kept, state.base.round
        desk.notice("repeated", f"round {number} cannot be committed; it is made again", (desk.me,), round=number)
        rejected = state.base.model
        self.member.end_exchange()
        state.base, state.base_final = kept.base, kept.base_final
        state.held = state.want = None
        self.coordinator.forget(number, kept.base.result_id)
        own = kept.check_in.check_in if kept.check_in else None
        if own is not None and kept.phase in AT_SYNC and own.round == number:
            state.check_in = kept.check_in
            self.program.restore(own.root, kept.program)
            self.member.restored()
            return
        was_training = state.phase is Phase.TRAINING
        if self.program.loaded == rejected:
            self.program.rebase(kept.program.loaded)
        if was_training:
            self.program.keep_pace()
        else:
            self._go_on(keep_count=True)

    # --- the end ------------------------------------------------------------------------------------------

    def confirmed(self) -> None:
        """The ledger has my base, final."""
        state = self.desk.state
        if state.held:
            state.last_certificate = state.held.certificate
        state.base_final, state.held = True, None
        self.member.round_over()
        number = state.base.round
        self.desk.notice("committed", f"round {number} is on the ledger", round=number, result_id=state.base.result_id)
        if state.base.result is not None and state.base.result.end:
            self.finish()

    def finish(self) -> None:
        """The last model is final and here."""
        desk, state = self.desk, self.desk.state
        result = state.base.result
        assert result is not None
        if self.finished:
            return
        self.finished = True
        own = state.check_in.check_in if state.check_in else None
        if not checks.contributes(own, result):
            self.program.lose(self.program.counted_from)
        state.phase = Phase.FINISHED
        self.program.finish(result.model)
        desk.act(Finish(result, state.base.result_id, self._without(result)))

    def _without(self, result: Result) -> tuple[NodeId, ...]:
        inside = set(result.nodes())
        return tuple(n for n in self.desk.roster if n not in inside)

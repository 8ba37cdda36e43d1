"""A member's side of a round: its check-in, the coordinator that it follows, the plan that it votes for."""

from __future__ import annotations

from swarm_lab.rounds import checks, limits, order
from swarm_lab.rounds.assignments import assignment_of
from swarm_lab.rounds.doubles import Doubles
from swarm_lab.rounds.events import Received
from swarm_lab.rounds.exchange import Assignment
from swarm_lab.rounds.exchange_events import EndExchange, ExchangeDone, ExchangeMoved, ExchangeSpoiled, StartExchange
from swarm_lab.rounds.messages import (
    ABSENT,
    CheckIn,
    CheckInMessage,
    Digest,
    FetchMessage,
    NodeId,
    Phase,
    PlanMessage,
    SignedCheckIn,
    VoteMessage,
)
from swarm_lab.rounds.pace import Pace
from swarm_lab.rounds.program import Program
from swarm_lab.rounds.slices import SignedSlice
from swarm_lab.rounds.state import Desk

MODELS_KEPT = 4
PLANS_WITHOUT_ME = 3
CANNOT_LEAD = frozenset({Phase.STARTING, Phase.FETCHING, Phase.FAILED})


class Member:
    """From the sync point to the vote. It signs one check-in a round and base; a retry sends the same bytes.

    Small path: the update is the payload of CHECKIN, the merged model that of PLAN, and a member cannot merge again
    what it has no updates of: it votes for the model that its coordinator made (trust with audit, by spot checks).
    Sharded: a plan starts an exchange, and what comes together there is voted for. The witness of section 9 belongs
    between the two.
    """

    def __init__(self, desk: Desk, program: Program, doubles: Doubles) -> None:
        self.desk = desk
        self.program = program
        self.doubles = doubles
        self.pace = Pace(desk)
        self.plan: PlanMessage | None = None
        self.exchanging = False
        self.assignment: Assignment | None = None
        """Of the plan, if it has owners."""
        self.vote: VoteMessage | None = None
        self.exchanged: dict[Digest, ExchangeDone] = {}
        """By assignment: exchanges of the open round that are over."""
        self.models: dict[Digest, None] = {}
        """Merged models that were planned for the open round, latest last."""
        self.planned = 0
        """Goes up when `models` changes."""
        self.last_plan: dict[tuple[int, Digest, NodeId], tuple[int, int]] = {}
        self.plans = self.plans_without_me = 0
        self.took = 0.0
        self.resend_at = 0.0
        self.given_to: NodeId = ""
        self.blind = False
        """Whether it was told that this node measures no loss."""

    # --- check-in -----------------------------------------------------------------------------------------

    def check_in(self) -> None:
        """At the sync point: sign one check-in for this round and base, and find its coordinator."""
        desk, state, base = self.desk, self.desk.state, self.desk.state.base
        signed = state.check_in
        if signed is None or (signed.check_in.round, signed.check_in.prev) != (base.round + 1, base.result_id):
            root, weight = self.program.contribution()
            program = self.program
            check_in = CheckIn(
                training=desk.rules.training,
                round=base.round + 1,
                prev=base.result_id,
                node=desk.me,
                incarnation=state.incarnation,
                weight=weight,
                root=root,
                done=program.done,
                steps=program.steps,
                **program.measured(root),
            )
            state.check_in = SignedCheckIn(check_in, desk.signer.sign_check_in(check_in))
            self._tell_without_loss(check_in)
        self.took = desk.now - self.program.since
        self.pace.synced_at = desk.now
        state.phase, state.attempt, state.coordinator = Phase.CHECKED_IN, 0, ""
        self._follow_first()

    def _tell_without_loss(self, check_in: CheckIn) -> None:
        """Once: what follows the validation loss cannot follow that of this node."""
        rules = self.desk.rules
        if self.blind or check_in.round == 1 or check_in.done or check_in.loss != ABSENT:
            return
        wanted = [
            what for what, on in (("adaptive sync", rules.adaptive), ("early stopping", rules.early_stopping)) if on
        ]
        if wanted:
            self.blind = True
            text = f"no validation loss on this node: {' and '.join(wanted)} cannot take it into account"
            self.desk.notice("no_validation", text, (self.desk.me,), round=check_in.round)

    def _follow_first(self) -> None:
        """Round 1 finds its coordinator when all have started: who comes first would follow itself."""
        if not self.pace.not_started():
            self.follow(0)

    def follow(self, attempt: int) -> None:
        """Go to the first live coordinator from this attempt on, and check in there."""
        state = self.desk.state
        state.phase = Phase.CHECKED_IN
        state.attempt, state.coordinator = self._leader(attempt)
        self.plan = self.vote = None
        self.plans = self.plans_without_me = 0
        self.given_to = ""
        self.pace.restart()
        self._send_check_in()

    def _leader(self, attempt: int) -> tuple[int, NodeId]:
        ring = order.coordinators(self.desk.rules, self.desk.view, self.desk.state.base.result)
        for number in range(attempt, attempt + len(ring)):
            node = ring[number % len(ring)]
            if self._may_lead(node):
                return number, node
        return attempt, self.desk.me

    def _may_lead(self, node: NodeId) -> bool:
        desk = self.desk
        beat = desk.heartbeats.get(node)
        absent = beat is not None and beat.phase in CANNOT_LEAD
        return desk.live(node) and node in desk.view.members and (node == desk.me or not absent)

    def _send_check_in(self) -> None:
        desk, state = self.desk, self.desk.state
        signed = state.check_in
        assert signed is not None
        self.resend_at = desk.now + limits.RESEND
        message = CheckInMessage(signed.check_in, signed.signature, state.attempt, self.took)
        first = self.given_to != state.coordinator
        self.given_to = state.coordinator
        with_update = first and not desk.path().sharded
        desk.send(state.coordinator, message, signed.check_in.root if with_update else None)

    def restored(self) -> None:
        """Back at the sync point of a round that is made again, with the check-in that was signed for it."""
        self.took, self.pace.synced_at = 1.0, self.desk.now
        self.follow(self.desk.state.attempt + 1)

    def move_on(self, why: str, sure: bool = False) -> None:
        """Leave a coordinator: at once if `sure`, else at the pace of the others."""
        attempt = self.pace.next_attempt(sure)
        if attempt is not None:
            state = self.desk.state
            left = state.coordinator
            self.follow(attempt)
            nodes = (state.coordinator, left)
            self.desk.notice("coordinator", why, nodes, round=state.base.round + 1, attempt=state.attempt)

    # --- limits -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The limits of a member at its sync point."""
        desk, state = self.desk, self.desk.state
        if not state.at_sync() or state.held or self._model_comes():
            return
        beat = desk.heartbeats.get(state.coordinator)
        if not state.coordinator:
            self._follow_first()
        elif not desk.live(state.coordinator):
            self.move_on(desk.absence(state.coordinator), sure=True)
        elif beat is not None and beat.phase is Phase.FAILED:
            self.move_on("it gave up", sure=True)
        elif self.plan is None:
            self._wait_for_plan()
        else:
            self._wait_for_certificate(self.plan)

    def _model_comes(self) -> bool:
        want = self.desk.state.want
        if want is None or want.certificate is None:
            return False
        slow = self.desk.slowest()
        in_time = self.desk.now - want.since < limits.model_of_certificate(slow.rtt, slow.transfer)
        return in_time and any(self.desk.live(v) for v in want.certificate.voters())

    def _wait_for_plan(self) -> None:
        majority = self.pace.majority_ahead()
        if majority is not None:
            self.follow(majority)
            return
        if self.desk.now >= self.resend_at:
            self._send_check_in()
        why = self.pace.no_plan(self.took, self.program.done)
        if why:
            self.move_on(why)

    def _wait_for_certificate(self, plan: PlanMessage) -> None:
        desk, state = self.desk, self.desk.state
        link = desk.link(state.coordinator)
        if desk.now >= self.resend_at:
            self.resend_at = desk.now + limits.fetch_again(link.rtt, link.transfer)
            if self.vote:
                desk.send(state.coordinator, self.vote)
            elif plan.model:
                desk.send(state.coordinator, FetchMessage(plan.model))
        slow = desk.slowest()
        limit = limits.exchange(slow.silence, slow.rtt, slow.transfer, state.attempt)
        if desk.now - self.pace.progress_at > limit:
            self.move_on("exchange stands still")

    # --- plan ---------------------------------------------------------------------------------------------

    def on_plan(self, event: Received, message: PlanMessage) -> None:
        """Take a plan of the coordinator that I follow, and of no other; see what is wrong with it; vote."""
        state, plan = self.desk.state, message.plan
        signed = state.check_in
        if signed is None or not state.at_sync() or event.sender != state.coordinator:
            return
        if (plan.round, plan.prev) != (signed.check_in.round, signed.check_in.prev):
            return
        key = (plan.round, plan.prev, event.sender)
        if (plan.attempt, plan.number) <= self.last_plan.get(key, (-1, -1)):
            self.on_model()
            return
        desk = self.desk
        due = desk.next_interval(plan.round, message.result().participants)
        wrong = checks.bad_plan(desk.rules, desk.verifier, desk.view, event.sender, message, due, desk.blocks)
        wrong = wrong or self._bad_model(message)
        if wrong:
            self.desk.notice("bad_peer", f"bad plan: {wrong}", (event.sender,))
            self.move_on(f"bad plan: {wrong}")
            return
        self.last_plan[key] = (plan.attempt, plan.number)
        self.doubles.see_plan(message)
        if checks.contributes(signed.check_in, message.result()):
            self._accept(message)
        else:
            self._left_out(event.sender, message)

    def _bad_model(self, message: PlanMessage) -> str | None:
        base = self.desk.state.base
        weightless = not any(e.participant.weight for e in message.entries)
        if weightless and base.model and message.model != base.model:
            return "another model than the last one, of members without weight"
        return None

    def _left_out(self, coordinator: NodeId, message: PlanMessage) -> None:
        reason = next((x.reason for x in message.left_out if x.node == self.desk.me), "another check-in of this node")
        self.desk.notice("left_out", reason, (self.desk.me,), round=message.plan.round, coordinator=coordinator)
        self.pace.forget()
        self.plans_without_me += 1
        if self.plans_without_me > PLANS_WITHOUT_ME:
            self.move_on("too many plans without this node")

    def _accept(self, message: PlanMessage) -> None:
        self.plans += 1
        if self.plans > limits.plans(len(message.entries)):
            self.move_on("too many plans")
            return
        desk = self.desk
        self.plan, self.vote = message, None
        desk.state.phase = Phase.PLANNED
        if message.owners:
            self._exchange(message)
        else:
            self._remember(message.model)
        self.pace.progress_at = desk.now
        link = desk.link(desk.state.coordinator)
        self.resend_at = desk.now + limits.fetch_again(link.rtt, link.transfer)
        self.on_model()

    def _remember(self, model: Digest) -> None:
        self.planned += 1
        self.models.pop(model, None)
        self.models[model] = None
        while len(self.models) > MODELS_KEPT:
            del self.models[next(iter(self.models))]

    # --- exchange -----------------------------------------------------------------------------------------

    def _exchange(self, message: PlanMessage) -> None:
        """Begin the exchange of this plan, or go on with it if another coordinator had planned the same."""
        desk, base = self.desk, self.desk.state.base
        before, self.assignment = self.assignment, assignment_of(desk.rules, message)
        desk.state.owners = (message.plan.round, message.plan.prev, message.owners)
        if before is None or before.id != self.assignment.id:
            desk.state.lacks = desk.state.unmerged = ()
        if self.assignment.id not in self.exchanged:
            round_, prev = message.plan.round, message.plan.prev
            self.exchanging = True
            desk.act(StartExchange(round_, prev, self.assignment, desk.rules.merge, base.model or None))

    def end_exchange(self) -> None:
        """The round is over here, however it ended."""
        if self.exchanging:
            self.exchanging = False
            self.desk.act(EndExchange())
        self.desk.state.lacks = self.desk.state.unmerged = ()

    def on_moved(self, event: ExchangeMoved) -> bool:
        """Blocks have come, or are overdue; whether this changes more than a clock."""
        desk, state = self.desk, self.desk.state
        if not self._is_of_plan(event.assignment):
            return False
        before = state.phase, state.lacks, state.unmerged
        if event.moved:
            self.pace.progress_at = desk.now
            state.phase = Phase.EXCHANGING
        state.lacks, state.unmerged = event.lacks, event.unmerged
        return before != (state.phase, state.lacks, state.unmerged)

    def on_exchanged(self, event: ExchangeDone) -> None:
        """The merged model has come together."""
        self.exchanged[event.assignment] = event
        self.desk.have.add(event.root)
        self._remember(event.root)
        if self._is_of_plan(event.assignment):
            self.desk.state.lacks = self.desk.state.unmerged = ()
            self.on_model()

    def on_spoiled(self, event: ExchangeSpoiled) -> None:
        """A peer's blocks do not fit what was signed: they are asked for again, and told if they do not come."""
        self.desk.notice("bad_peer", event.reason, (event.node,), round=self.desk.state.base.round + 1)

    def _is_of_plan(self, assignment: Digest) -> bool:
        at_plan = self.plan is not None and self.desk.state.at_sync()
        return at_plan and self.assignment is not None and self.assignment.id == assignment

    # --- vote ---------------------------------------------------------------------------------------------

    def on_model(self) -> None:
        """Vote, once the planned model is in hand and not before."""
        desk, plan = self.desk, self.plan
        if plan is None or self.vote is not None or not desk.state.at_sync():
            return
        model = plan.model
        slices: tuple[SignedSlice, ...] = ()
        if plan.owners:
            done = self.exchanged.get(self.assignment.id) if self.assignment else None
            if done is None:
                return
            model, slices = done.root, done.slices
        if model not in desk.have:
            return
        result = plan.result(model)
        self.pace.progress_at = desk.now
        self.vote = VoteMessage(
            result.round,
            result.prev,
            plan.plan.content,
            desk.verifier.result_id(result),
            desk.signer.sign_result(result),
            "" if plan.model else model,
            slices,
        )
        desk.send(desk.state.coordinator, self.vote)

    def round_over(self) -> None:
        """A round is final: what was planned for it, or before, is of no use any more."""
        self.planned += 1
        self.models.clear()
        self.exchanged.clear()
        number = self.desk.state.base.round
        self.last_plan = {k: v for k, v in self.last_plan.items() if k[0] > number}
        self.doubles.forget(number)

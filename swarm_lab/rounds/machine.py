"""The round machine of one node: `apply(event) -> [action]`. No I/O, no clock, no randomness, no tensors.

How a driver uses it
--------------------
One machine is one process start of a node in one training. Its first event is `Start`; after that, any order. The
actions of an event are done in their order, before the next event: each is quick, or is started and its end comes back
as an event. After `Fail` or `ProgramFailed` the machine leaves, goes on serving what it holds, and does nothing else.

* **Tensors** are named by root. The driver holds those of the latest `Keep` in memory and its checkpoints on disk, and
  drops the rest once the actions of an event are done, not before: an event may bring tensors that its actions use. A
  root on disk counts as held. `Received.payload_root` names the tensors that came with a message, checked.
* **Send** to this node itself comes back as `Received` from itself. A peer's messages arrive in order, or are lost.
* **Merge** is computed from held roots and answered by `MergeDone` or `MergeFailed` with its key; its tensors are
  held under the new root. Several may be under way; the machine uses those that it still needs.
* **Store** is answered by `StoreDone` or `StoreFailed`. A result is committed once `min_peers` nodes stored its model.
* **Load, Train, Park, StopProgram** concern the program, which starts parked. `Load` changes its weights between two
  batches, running or not, and neither parks nor releases it. After `Park` it stands until the next `Train`.
  `Train(interval, keep_count=True)` with a count that has reached the interval: sync point after the next batch.
  `StopProgram` ends a running program after its batch, a parked one at the next `Train`: `SyncPoint(done=True)`.
  `done` is for good, and told even if the program was to park. `Finish` comes after a last `Load`: the program is then
  told that the training is over.
* **SyncPoint** is given when the program parks at its sync point or for good, with the root of the base that it trained
  from. If it stands there and the actions of an event changed its base without a `Train`, the driver gives `SyncPoint`
  again, with the contribution as it is now. The machine takes those that it needs and ignores the others.
* **Heartbeat**: `heartbeat()` goes to all every 0.5 s, and when it differs from the last one in more than its batches.
* **Transactions** (`Announce`, `Commit`, `Leave`, `Report`) are sent once each time; the machine repeats them.

Notices (kind: fields). phase: round. waiting: reason, round. coordinator: round, attempt. left_out: round, coordinator.
merged: round, without. committed: round, result_id. race_lost, repeated, merge_failed, bad_peer: round. lost_batches:
count. no_validation, stops_early: round. store_failed. Texts hold node ids; a driver may put names in their places.

An *exchange* (sharded path) is begun, begun anew for another plan and ended by order (`exchange_events`); its blocks
never come near the machine, which hears that they move, are overdue, spoiled or complete.

Simplified on purpose: no witness (who merges a block is believed: trust with audit, spot checks to come) and so no
DISPUTE; two plans with one number are refused, not reported. Two slices that one merger signed for one assignment
exclude it for the training at every coordinator that saw them; the contract does not take them as a proof yet.
"""

from __future__ import annotations

from swarm_lab.rounds import events as e
from swarm_lab.rounds import limits
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.catchup import CatchUp
from swarm_lab.rounds.commitment import Commitment, fork
from swarm_lab.rounds.coordinator import Coordinator
from swarm_lab.rounds.doubles import Doubles
from swarm_lab.rounds.exchange_events import ExchangeDone, ExchangeMoved, ExchangeSpoiled
from swarm_lab.rounds.member import Member
from swarm_lab.rounds.moves import Moves
from swarm_lab.rounds.program import Program
from swarm_lab.rounds.signatures import Signer, Verifier
from swarm_lab.rounds.state import Desk
from swarm_lab.rounds.waits import Waits


class Machine:
    """One node in one training, from its process start on."""

    def __init__(self, me: m.NodeId, rules: e.Rules, signer: Signer, verifier: Verifier) -> None:
        self.desk = Desk(me, rules, signer, verifier)
        self.program = Program(self.desk)
        self.doubles = Doubles(self.desk)
        self.member = Member(self.desk, self.program, self.doubles)
        self.coordinator = Coordinator(self.desk, self.doubles, self.member.pace)
        self.moves = Moves(self.desk, self.program, self.member, self.coordinator)
        self.commitment = Commitment(self.desk, self.moves)
        self.catch_up = CatchUp(self.desk, self.moves, self.commitment)
        self.waits = Waits(self.desk, self.member, self.coordinator, self.commitment, self.catch_up)
        self._nonce = ""
        self._kept: e.Keep | None = None
        self._marks: object = None
        self._phase = m.Phase.STARTING
        self._transaction_at = 0.0
        self._leaving: e.Leave | None = None
        self._gave_up = self._stops_early = False

    @property
    def phase(self) -> m.Phase:
        """What the node is doing."""
        return self.desk.state.phase

    @property
    def awaits_ledger(self) -> bool:
        """Whether the ledger is what it waits for: its announcement, the commit of its base, its leaving."""
        state = self.desk.state
        return state.held is not None or self._leaving is not None or not state.incarnation

    def heartbeat(self) -> m.Heartbeat:
        """What to tell all peers now."""
        return self.desk.heartbeat()

    def apply(self, event: e.Event) -> list[e.Action]:
        """Take one event; the actions are to be done in this order."""
        desk = self.desk
        desk.out, desk.now = [], max(desk.now, event.now)
        if not self._hear(event):
            return desk.out
        if desk.state.phase is m.Phase.FAILED:
            self._afterlife()
        else:
            self._advance()
        self._tell_phase()
        self._keep()
        return desk.out

    # --- events -------------------------------------------------------------------------------------------

    def _hear(self, event: e.Event) -> bool:
        """Take the event in; False if nothing can follow from it: those come often."""
        desk = self.desk
        match event:
            case e.Received():
                self._receive(event)
            case e.Tick():
                self._look(event)
            case e.Progress():
                desk.state.batches = max(desk.state.batches, event.batches)
                desk.state.batch_seconds = event.batch_seconds
                return False
            case e.SyncPoint():
                if self.program.on_sync_point(event):
                    self.member.check_in()
            case e.PeerUp():
                desk.hears(desk.up | {event.peer}, desk.heartbeats)
                desk.gone.pop(event.peer, None)
            case e.PeerDown():
                desk.heartbeats.pop(event.peer, None)
                desk.hears(desk.up - {event.peer}, desk.heartbeats)
                desk.gone[event.peer] = event.why
            case ExchangeMoved():
                return self.member.on_moved(event)
            case ExchangeDone():
                self.member.on_exchanged(event)
            case ExchangeSpoiled():
                self.member.on_spoiled(event)
            case e.MergeDone():
                self.coordinator.on_merge_done(event)
            case e.MergeFailed():
                self.coordinator.on_merge_failed(event)
            case e.StoreDone():
                self.commitment.on_store_done(event)
            case e.StoreFailed():
                self.commitment.on_store_failed(event)
            case _:
                self._live(event)
        return True

    def _live(self, event: e.Event) -> None:
        """Events of the process itself."""
        match event:
            case e.Start():
                self._nonce = event.nonce
                self.desk.state.disk = {x.result_id: x for x in event.disk}
                self.desk.have.update(x.root for x in event.disk)
                self.desk.see(event.view)
            case e.ProgramReady():
                self.program.on_ready(event)
            case e.StopRequested():
                self.program.request_stop()
            case e.ProgramFailed():
                self._leave(event.code, event.reason)

    def _look(self, event: e.Tick) -> None:
        desk = self.desk
        wrong = fork(desk, event.view.results)
        if wrong and desk.state.phase is not m.Phase.FAILED:
            self._fail(wrong)
        elif not wrong and len(event.view.results) >= len(desk.view.results):
            desk.see(event.view)
        desk.hears(event.up, event.heartbeats, event.links)

    def _receive(self, event: e.Received) -> None:
        desk, message = self.desk, event.message
        if event.payload_root:
            desk.have.add(event.payload_root)
        if isinstance(message, m.FetchMessage):
            self.catch_up.on_fetch(event.sender, message)
        elif isinstance(message, m.StoredMessage):
            self.commitment.on_stored(event.sender, message.result_id)
        elif desk.state.phase is not m.Phase.STARTING and desk.state.phase is not m.Phase.FAILED:
            self._receive_in_round(event)

    def _receive_in_round(self, event: e.Received) -> None:
        match event.message:
            case m.CheckInMessage():
                self.coordinator.on_check_in(event, event.message)
            case m.PlanMessage():
                self.member.on_plan(event, event.message)
            case m.VoteMessage():
                self.coordinator.on_vote(event, event.message)
            case m.CertificateMessage():
                self.commitment.on_certificate(event.sender, event.message.certificate)
            case m.ModelMessage():
                self.member.on_model()

    # --- after each event ---------------------------------------------------------------------------------

    def _advance(self) -> None:
        """What follows from where things stand now, whatever the event was; repeating it changes nothing."""
        self._stop_early()
        if self.desk.state.phase is m.Phase.STARTING:
            self._start()
        if self.desk.state.phase is not m.Phase.STARTING:
            self.commitment.watch()
            self.catch_up.tick()
            self.commitment.tick()
            self.member.tick()
            self.coordinator.tick()
            self.doubles.tick()
        failure = self._removed() or self.waits.tick(self.program.ready)
        if failure:
            self._fail(failure)

    def _stop_early(self) -> None:
        """End with a closing round once the losses on the ledger say so: all nodes read the same there."""
        desk, patience = self.desk, self.desk.rules.early_stopping
        if not patience or self._stops_early or desk.trend.after(desk.view.results).since < patience:
            return
        self._stops_early = True
        text = f"no better validation loss for {patience} rounds: the training ends with its next round"
        desk.notice("stops_early", text, (desk.me,), round=len(desk.view.results))
        self.program.request_stop()

    def _start(self) -> None:
        desk = self.desk
        entry = desk.view.members.get(desk.me)
        if entry and entry.nonce == self._nonce and desk.me not in desk.view.left:
            desk.state.incarnation = entry.incarnation
            if self.program.ready:
                self.moves.begin()
        elif desk.now >= self._transaction_at:
            self._transaction_at = desk.now + limits.ANNOUNCE
            desk.act(e.Announce(self._nonce))

    def _removed(self) -> e.Fail | None:
        reason = self.desk.view.removed.get(self.desk.me)
        if reason is None or self.desk.state.phase is m.Phase.FINISHED:
            return None
        return e.Fail("SWL-REMOVED", f"this node was removed from the training: {reason}")

    def _fail(self, failure: e.Fail) -> None:
        self.desk.act(failure)
        self.desk.state.phase = m.Phase.FAILED
        self._leave(failure.code, failure.text)

    def _leave(self, code: str, reason: str) -> None:
        state = self.desk.state
        if state.phase is m.Phase.FINISHED or self._gave_up:
            return
        self._gave_up = True
        state.phase, state.want = m.Phase.FAILED, None
        state.reason = reason[: m.MAX_REASON]
        self.coordinator.forget_all()
        self.member.end_exchange()
        self._leaving, self._transaction_at = e.Leave(code, state.reason), 0.0

    def _afterlife(self) -> None:
        """A node that gave up takes no part; what it holds it still serves, offers and commits."""
        desk, state = self.desk, self.desk.state
        if state.held and len(desk.view.results) >= state.base.round:
            state.held = None
        self.commitment.tick()
        if desk.me in desk.view.left or desk.me in desk.view.removed:
            self._leaving = None  # for good: a resumed training forgets who had left, and this start of it stays over
        if self._leaving and desk.now >= self._transaction_at:
            self._transaction_at = desk.now + limits.ANNOUNCE
            desk.act(self._leaving)

    def _tell_phase(self) -> None:
        state = self.desk.state
        if state.phase is not self._phase:
            self._phase = state.phase
            self.desk.notice("phase", state.phase.value, (self.desk.me,), round=state.base.round + 1)

    def _keep(self) -> None:
        """Everything that somebody may still ask for, or that a move back needs; worked out when any of it changed."""
        desk, state, program = self.desk, self.desk.state, self.program
        marks = (
            (program.root, program.snapshot, program.loaded, program.ready, state.phase, state.base.result_id),
            (state.check_in, state.want, state.held, len(state.disk), len(desk.have), len(desk.view.results)),
            (self.coordinator.changes, self.member.planned),
        )
        if marks == self._marks:
            return
        roots = self.program.roots() | self.coordinator.roots() | set(self.member.models)
        roots.add(state.base.model)
        fetching = state.phase in (m.Phase.STARTING, m.Phase.FETCHING)
        ids = {i for i, x in state.disk.items() if fetching or x.round > len(desk.view.results)}
        ids.add(state.base.result_id)
        if state.check_in and state.check_in.check_in.round > state.base.round:
            roots.add(state.check_in.check_in.root)
        if state.want:
            roots.add(state.want.result.model)
            ids.add(state.want.result_id)
        if state.held:
            kept = state.held.kept
            roots |= {kept.base.model, kept.program.loaded}
            ids.add(kept.base.result_id)
            if kept.check_in:
                roots.add(kept.check_in.check_in.root)
        roots.discard("")
        state.disk = {i: x for i, x in state.disk.items() if i in ids}
        desk.have &= roots.union(x.root for x in state.disk.values())
        keep = e.Keep(frozenset(roots), frozenset(ids - {m.GENESIS}))
        counts = (len(state.disk), len(desk.have))
        self._marks = (marks[0], (*marks[1][:3], *counts, marks[1][5]), marks[2])
        if keep != self._kept:
            self._kept = keep
            desk.act(keep)

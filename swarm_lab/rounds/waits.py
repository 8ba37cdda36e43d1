"""What a node waits for, with a name and the peers it waits for; and the waits that end in failure."""

from __future__ import annotations

from dataclasses import dataclass

from swarm_lab.rounds import order
from swarm_lab.rounds.catchup import CatchUp
from swarm_lab.rounds.commitment import Commitment
from swarm_lab.rounds.coordinator import Coordinator
from swarm_lab.rounds.events import Fail
from swarm_lab.rounds.member import Member
from swarm_lab.rounds.messages import NodeId, Phase
from swarm_lab.rounds.state import Desk, Want

ENDS_IN_FAILURE = {
    "announce": "SWL-LEDGER",
    "ledger": "SWL-LEDGER",
    "peers": "SWL-PEERS",
    "model": "SWL-MODEL",
}
"""Reasons that last at most `Rules.absent`, and the code of their failure. The others have limits of their own."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait. `reason` is a stable word, `text` is for people."""

    reason: str
    text: str
    nodes: tuple[NodeId, ...] = ()


class Waits:
    """Names the present wait, at most once when it changes, and fails the node when one has lasted too long."""

    def __init__(
        self, desk: Desk, member: Member, coordinator: Coordinator, commitment: Commitment, catch_up: CatchUp
    ) -> None:
        self.desk = desk
        self.member = member
        self.coordinator = coordinator
        self.commitment = commitment
        self.catch_up = catch_up
        self.wait: Wait | None = None
        self.since = 0.0
        self._plan_wait: tuple[object, Wait] | None = None

    def tick(self, ready: bool) -> Fail | None:
        """Tell what changed. `ready`: the program is connected."""
        desk = self.desk
        wait = self._present(ready)
        if wait != self.wait:
            if wait is None or self.wait is None or wait.reason != self.wait.reason:
                self.since = desk.now
            self.wait = wait
            if wait is not None:
                desk.notice("waiting", wait.text, wait.nodes, reason=wait.reason, round=desk.state.base.round + 1)
        return self._too_long() or self._too_few()

    def _too_long(self) -> Fail | None:
        wait, rules = self.wait, self.desk.rules
        if wait is None or wait.reason not in ENDS_IN_FAILURE or self.desk.now - self.since <= rules.absent:
            return None
        named = ", ".join(f"{n} ({self._why(n)})" for n in wait.nodes)
        missing = f"; missing: {named}" if named else ""
        return Fail(ENDS_IN_FAILURE[wait.reason], f"{wait.text}{missing}: not within {rules.absent:.0f} s")

    def _why(self, node: NodeId) -> str:
        desk = self.desk
        if node not in desk.view.members:
            return "never announced"
        return "here" if desk.live(node) else desk.absence(node)

    def _too_few(self) -> Fail | None:
        """Fewer than `min_peers` can still come, or still store what is certified: no use to wait for the limit."""
        desk, state, rules = self.desk, self.desk.state, self.desk.rules
        if not rules.assigned or state.want or state.phase is Phase.FINISHED:
            return None
        view = desk.view
        if state.held and state.base.result_id in view.included:
            return None
        if (not view.left and not view.removed) or (view.results and view.results[-1].end):
            return None
        can_come = set(order.expected(rules, view))
        if state.held:
            can_come |= self.commitment.stored_by(state.base.result_id)
        if len(can_come) >= rules.min_peers:
            return None
        gone = [f"{n} left ({view.left[n] or 'no reason given'})" for n in sorted(view.left)]
        gone += [f"{n} was removed ({view.removed[n]})" for n in sorted(view.removed)]
        return Fail("SWL-PEERS", f"{rules.min_peers} peers are needed and {len(can_come)} can come: {', '.join(gone)}")

    # --- names --------------------------------------------------------------------------------------------

    def _present(self, ready: bool) -> Wait | None:
        state = self.desk.state
        if state.phase is Phase.STARTING:
            if not state.incarnation:
                return Wait("announce", "waiting for the ledger to take the announcement of this node")
            return None if ready else Wait("program", "waiting for the program to start", (self.desk.me,))
        if state.want and (state.phase is Phase.FETCHING or state.at_sync()):
            return self._model(state.want)
        if state.phase is Phase.CONFIRMING or (state.held and state.at_sync()):
            return Wait("ledger", f"waiting for the ledger to confirm round {state.base.round}")
        if state.phase is Phase.CHECKED_IN:
            # Nobody waits for the very moment at which such a wait changes its name: the tick after it will do.
            key = (self.desk.told, state.coordinator, state.base.result_id)
            if self._plan_wait is None or self._plan_wait[0] != key:
                self._plan_wait = key, self._plan()
            return self._plan_wait[1]
        if state.phase is Phase.EXCHANGING and self.member.vote is None:
            late = tuple(sorted({*state.lacks, *state.unmerged}))
            text = "blocks are overdue" if late else "exchanging blocks with the others"
            return Wait("exchange", text, late)
        if state.phase in (Phase.PLANNED, Phase.EXCHANGING):
            return Wait("certificate", "waiting for the votes of the others", (state.coordinator,))
        return None

    def _model(self, want: Want) -> Wait:
        reachable = self.catch_up.holders(want)
        number = want.result.round
        if reachable:
            return Wait("transfer", f"fetching the model of round {number}", tuple(reachable))
        text = f"the model of round {number} is held by peers that are not reachable"
        return Wait("model", text, want.result.nodes())

    def _plan(self) -> Wait:
        desk, state = self.desk, self.desk.state
        number = state.base.round + 1
        if desk.final_id() != state.base.result_id:
            return Wait("ledger", f"waiting for the ledger to confirm round {state.base.round}")
        starting = self.member.pace.not_started()
        if starting:
            return Wait("start", "waiting for assigned nodes to start", starting)
        assigned = () if number > 1 else desk.rules.assigned
        gone = desk.present.union(assigned).difference(desk.up, desk.view.left, desk.view.removed, (desk.me,))
        here = len(desk.present) - len(desk.present & gone)
        if here < desk.rules.min_peers:
            text = f"waiting for peers: {desk.rules.min_peers} are needed, {here} are here"
            return Wait("peers", text, tuple(sorted(gone)))
        beats = desk.heartbeats
        late = tuple(sorted((desk.present & beats.keys()) - desk.crowd().at_sync.keys()))
        gathering = self.coordinator.rounds.get((number, state.base.result_id))
        if state.coordinator == desk.me and gathering and gathering.waiting_for:
            return Wait("members", "waiting for members to check in", gathering.waiting_for)
        if late:
            return Wait("members", "waiting for members to check in", late)
        if state.coordinator != desk.me:
            return Wait("plan", "waiting for the coordinator's plan", (state.coordinator,))
        elsewhere = tuple(n for n in desk.roster if n in beats and beats[n].coordinator not in ("", desk.me))
        return Wait("plan", "planning the round; waiting for those that follow another coordinator", elsewhere)

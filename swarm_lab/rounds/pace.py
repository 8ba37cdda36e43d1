"""When a member leaves its coordinator, and for which attempt: one pace for all, or they chase one another for ever."""

from __future__ import annotations

from swarm_lab.rounds import limits
from swarm_lab.rounds.messages import AT_SYNC, NodeId, Phase
from swarm_lab.rounds.state import Desk


class Pace:
    """The clocks of one attempt, and the one-pace rule of section 6."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.synced_at = 0.0
        self.followed_at = 0.0
        self.progress_at = 0.0
        """Last new bytes after a plan."""
        self.all_since: float | None = None
        """Since when all live peers stand at this round's sync point."""
        self.enough_since: float | None = None
        """Since when `min_peers` of them do."""
        self.seen_up: set[NodeId] = set()
        self._starting: tuple[int, tuple[NodeId, ...]] = (-1, ())
        self._counted = (-1, -1, 0, 0, False)
        """desk.told, round, others that may come, those of them that are at the sync point, whether one trains."""

    def restart(self) -> None:
        """A new attempt."""
        self.followed_at = self.progress_at = self.desk.now
        self.forget()

    def forget(self) -> None:
        """Wait for a plan from now on."""
        self.all_since = self.enough_since = None

    def _attempts(self) -> list[int]:
        return [beat.attempt for beat in self.desk.peers_at_sync(self.desk.state.base.round + 1)]

    def majority_ahead(self) -> int | None:
        """The attempt that more than half of the others have reached, if it is ahead of mine (rule 2)."""
        attempts = sorted(self._attempts(), reverse=True)
        if len(attempts) > 1 and attempts[len(attempts) // 2] > self.desk.state.attempt:
            return attempts[len(attempts) // 2]
        return None

    def next_attempt(self, sure: bool) -> int | None:
        """Where to go from here; None = not now. `sure`: the coordinator is down, which needs no pace."""
        mine, attempts = self.desk.state.attempt, self._attempts()
        if not sure:
            if attempts and 2 * sum(a >= mine for a in attempts) < len(attempts):
                self.restart_clocks()
                return None
            if self.desk.now - self.followed_at < limits.SPACING:
                return None
        ahead = [a for a in attempts if a > mine]
        return min(ahead) if len(ahead) > 1 else mine + 1

    def restart_clocks(self) -> None:
        """Ahead of most: let them come first, then count again (rule 1)."""
        self.progress_at = self.desk.now
        self.forget()

    # --- no plan ------------------------------------------------------------------------------------------

    def no_plan(self, took: float, done: bool) -> str | None:
        """Why to give the coordinator up that has sent no plan; None = its time is not over."""
        desk, state = self.desk, self.desk.state
        if desk.final_id() != state.base.result_id or self.not_started():
            self.forget()
            return None
        trains = self._clock()
        link, now = desk.slowest(), desk.now
        if self.all_since is not None:
            if now - self.all_since > limits.plan_with_all(link.rtt, link.transfer, state.attempt):
                return "all are in, no plan"
        elif self.enough_since is not None:
            grace = limits.grace(desk.rules.grace, [took])
            limit = limits.plan_with_enough(grace, link.rtt, link.transfer, state.attempt)
            if not (done and trains) and now - self.enough_since > limit:
                return "no plan in time"
        return None

    def _clock(self) -> bool:
        """Start or stop the clocks by who is here; whether some other member still trains."""
        desk = self.desk
        number = desk.state.base.round + 1
        if self._counted[:2] != (desk.told, number):
            beats, members = desk.heartbeats, desk.view.members
            others = [b for n, b in beats.items() if b.phase is not Phase.FAILED and n in members]
            here = sum(b.phase in AT_SYNC and b.round == number for b in others)
            trains = any(b.phase is Phase.TRAINING for b in others)
            self._counted = desk.told, number, len(others), here, trains
        _, _, others_here, here, trains = self._counted
        if 1 + here < desk.rules.min_peers:
            self.forget()
            return trains
        self.enough_since = desk.now if self.enough_since is None else self.enough_since
        if here < others_here:
            self.all_since = None
        elif self.all_since is None:
            self.all_since = desk.now
        return trains

    def not_started(self) -> tuple[NodeId, ...]:
        """Assigned nodes that round 1 still waits for: not announced, not reached yet, or their program starts."""
        desk, state = self.desk, self.desk.state
        if state.base.round:
            return ()
        self.seen_up |= desk.up
        if desk.now - self.synced_at >= desk.rules.start_grace:
            return ()
        if self._starting[0] != desk.told:
            self._starting = desk.told, tuple(n for n in desk.rules.assigned if n != desk.me and self._comes(n))
        return self._starting[1]

    def _comes(self, node: NodeId) -> bool:
        desk = self.desk
        if node in desk.view.left or node in desk.view.removed:
            return False
        beat = desk.heartbeats.get(node)
        if beat is not None and node in desk.up:
            return beat.phase is Phase.STARTING or (node not in desk.view.members and beat.phase is not Phase.FAILED)
        return node not in desk.view.members or node not in self.seen_up

"""When a member leaves its coordinator, and for which attempt: one pace for all, or they chase one another for ever."""

from __future__ import annotations

from swarm_lab.rounds import limits
from swarm_lab.rounds.messages import AT_SYNC, Heartbeat, NodeId, Phase
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
        others = [
            beat
            for n, beat in sorted(desk.heartbeats.items())
            if n in desk.up and n in desk.view.members and beat.phase is not Phase.FAILED
        ]
        self._count(others)
        link, now = desk.slowest(), desk.now
        if self.all_since is not None:
            if now - self.all_since > limits.plan_with_all(link.rtt, link.transfer, state.attempt):
                return "all are in, no plan"
        elif self.enough_since is not None:
            trains = any(beat.phase is Phase.TRAINING for beat in others)
            grace = limits.grace(desk.rules.grace, [took])
            limit = limits.plan_with_enough(grace, link.rtt, link.transfer, state.attempt)
            if not (done and trains) and now - self.enough_since > limit:
                return "no plan in time"
        return None

    def _count(self, others: list[Heartbeat]) -> None:
        desk = self.desk
        number = desk.state.base.round + 1
        here = 1 + sum(beat.phase in AT_SYNC and beat.round == number for beat in others)
        if here < desk.rules.min_peers:
            self.forget()
            return
        self.enough_since = desk.now if self.enough_since is None else self.enough_since
        if here < 1 + len(others):
            self.all_since = None
        elif self.all_since is None:
            self.all_since = desk.now

    def not_started(self) -> tuple[NodeId, ...]:
        """Assigned nodes that round 1 still waits for: not announced, not reached yet, or their program starts."""
        desk, state = self.desk, self.desk.state
        self.seen_up |= desk.up
        if state.base.round or desk.now - self.synced_at >= desk.rules.start_grace:
            return ()
        return tuple(n for n in desk.rules.assigned if n != desk.me and self._comes(n))

    def _comes(self, node: NodeId) -> bool:
        desk = self.desk
        if node in desk.view.left or node in desk.view.removed:
            return False
        beat = desk.heartbeats.get(node)
        if beat is not None and node in desk.up:
            return beat.phase is Phase.STARTING or (node not in desk.view.members and beat.phase is not Phase.FAILED)
        return node not in desk.view.members or node not in self.seen_up

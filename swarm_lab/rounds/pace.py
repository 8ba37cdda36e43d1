"""When a member leaves its coordinator, and for which attempt: one pace for all, or they chase one another for ever."""

from __future__ import annotations

from swarm_lab.rounds import limits
from swarm_lab.rounds.messages import NodeId
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
        self._assigned = frozenset(desk.rules.assigned)
        self._starting: tuple[int, tuple[NodeId, ...]] = (-1, ())

    def restart(self) -> None:
        """A new attempt."""
        self.followed_at = self.progress_at = self.desk.now
        self.forget()

    def forget(self) -> None:
        """Wait for a plan from now on."""
        self.all_since = self.enough_since = None

    def _attempts(self) -> list[int]:
        return [beat.attempt for beat in self.desk.crowd().at_sync.values()]

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
        crowd = desk.crowd()
        if 1 + crowd.here < desk.rules.min_peers:
            self.forget()
            return crowd.trains
        self.enough_since = desk.now if self.enough_since is None else self.enough_since
        if crowd.here < crowd.coming:
            self.all_since = None
        elif self.all_since is None:
            self.all_since = desk.now
        return crowd.trains

    def not_started(self) -> tuple[NodeId, ...]:
        """Assigned nodes that round 1 still waits for: not announced, not reached yet, or their program starts."""
        desk, state = self.desk, self.desk.state
        if state.base.round:
            return ()
        self.seen_up |= desk.up
        if desk.now - self.synced_at >= desk.rules.start_grace:
            return ()
        if self._starting[0] != desk.told:
            self._starting = desk.told, tuple(sorted(self._not_here()))
        return self._starting[1]

    def _not_here(self) -> set[NodeId]:
        """Not announced (unless it says that it gave up), never reached, or without its program yet."""
        desk, crowd, assigned = self.desk, self.desk.crowd(), self._assigned
        found = set(assigned.difference(desk.view.members, crowd.failed))
        found |= assigned - self.seen_up - found
        found |= assigned.intersection(crowd.starting)
        return found.difference(desk.view.left, desk.view.removed, (desk.me,))

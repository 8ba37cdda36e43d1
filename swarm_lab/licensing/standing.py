"""What a node may do by its lease: ok, grace, or over. No I/O; times are seconds of a monotonic clock."""

from __future__ import annotations

from typing import Literal

from swarm_lab.errors import LicenseExpired, LicenseServerLost, SwarmLabError
from swarm_lab.licensing.desk import Grant

GRACE_S = 1800.0

Word = Literal["none", "ok", "grace", "lost", "expired", "refused"]


class Standing:
    """Follows the answers of the license node, and its silence."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._grant: Grant | None = None
        self._granted_at = 0.0
        self._lost_at: float | None = None
        self._refusal: SwarmLabError | None = None

    @property
    def grant(self) -> Grant | None:
        """The last lease given; None before the first."""
        return self._grant

    def granted(self, grant: Grant, asked_at: float) -> None:
        """The license node gave or renewed the lease. Its life counts from the question, not the answer."""
        self._grant, self._granted_at = grant, asked_at
        self._lost_at = self._refusal = None

    def lost(self, now: float) -> None:
        """The license node did not answer; the grace time runs from the first such time."""
        if self._lost_at is None:
            self._lost_at = now

    def refused(self, refusal: SwarmLabError) -> None:
        """The license node said no."""
        self._refusal, self._lost_at = refusal, None

    def word(self, now: float) -> Word:
        """Where the node stands in one word."""
        trouble = self.trouble(now)
        if isinstance(trouble, LicenseExpired):
            return "expired"
        if isinstance(trouble, LicenseServerLost):
            return "lost"
        if trouble is not None:
            return "refused"
        if self._grant is None:
            return "none"
        return "ok" if self._silent_since(now) is None else "grace"

    def grace_left(self, now: float) -> float | None:
        """Seconds of grace that are left, 0 when it is over; None while nothing is lost."""
        since = self._silent_since(now)
        return None if since is None else max(0.0, self._grace_s - (now - since))

    def lease_left(self, now: float) -> float | None:
        """Seconds until the lease ends unless it is renewed; None where there is none."""
        return None if self._grant is None else self._granted_at + self._grant.life_s - now

    def trouble(self, now: float) -> SwarmLabError | None:
        """Why no new training may begin and running ones must end; None while all is well or in grace."""
        if self._refusal is not None:
            return self._refusal
        if self._grant is None:
            return None
        left = self._grant.license_left_s
        if left is not None and now >= self._granted_at + left:
            return LicenseExpired(f"the license {self._grant.license_id} has ended")
        if self.grace_left(now) == 0.0:
            return LicenseServerLost(f"the license node has not answered for {self._grace_s / 60:.0f} minutes")
        return None

    def _silent_since(self, now: float) -> float | None:
        if self._grant is None:
            return None
        end = self._granted_at + self._grant.life_s
        # A lease that nobody renewed in time is as good as a lost license node, whatever kept us from asking.
        return self._lost_at if self._lost_at is not None else (end if now > end else None)

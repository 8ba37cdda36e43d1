"""The guard against a clock that is moved back to make a license last longer."""

from __future__ import annotations

from datetime import UTC, datetime

from swarm_lab.errors import ClockMovedBack

TOLERANCE_S = 300.0


def trusted_now(wall: float, highest: float) -> float:
    """The time to judge by, in unix seconds: the clock's, or the highest ever seen where the clock lags a little.

    Raises `ClockMovedBack` when it lags by more than five minutes.
    """
    if wall < highest - TOLERANCE_S:
        raise ClockMovedBack(f"the clock says {_utc(wall)}, and {_utc(highest)} has been seen already")
    return max(wall, highest)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

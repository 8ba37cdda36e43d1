"""The phases of a node in a training under the names that users see, and how long things last in words."""

from __future__ import annotations

from dataclasses import dataclass

WAITING_FOR_PEERS = "WAITING_FOR_PEERS"
"""Its program starts, it lacks a model, or fewer nodes than `min_peers` are there."""

PHASES = (
    WAITING_FOR_PEERS,
    "TRAINING",
    "CHECKED_IN",
    "PLANNED",
    "EXCHANGING",
    "MERGED",
    "COMMITTED",
    "FINISHED",
    "FAILED",
)
"""FAILED stands with its code: `FAILED(SWL-651)`."""


@dataclass(frozen=True, slots=True)
class NodePhase:
    """A node's phase and since when, in unix seconds."""

    phase: str
    since: float


def failed(code: object) -> str:
    """The phase of a node that gave up."""
    return f"FAILED({code})" if code else "FAILED"


def lasting(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{max(seconds, 0.0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

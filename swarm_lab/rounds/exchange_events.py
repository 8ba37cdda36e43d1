"""The sharded exchange, as the machine orders it and hears of it: actions, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from swarm_lab.rounds.exchange import Assignment
from swarm_lab.rounds.messages import Digest, NodeId
from swarm_lab.rounds.slices import SignedSlice


@dataclass(frozen=True, slots=True)
class StartExchange:
    """Action: take part in this assignment from now on, instead of the one before; answered by `ExchangeDone`.

    The driver holds this node's contribution until `EndExchange` or another one. `base`: None in round 1.
    """

    round: int
    prev: Digest
    assignment: Assignment
    method: str
    base: Digest | None


@dataclass(frozen=True, slots=True)
class EndExchange:
    """Action: the round is over for this node. Who still lacks its model has a certificate, and fetches it."""


@dataclass(frozen=True, slots=True)
class ExchangeMoved:
    """Event: new bytes have come (`moved`), or are overdue: whose contribution (`lacks`), whose merged blocks."""

    now: float
    assignment: Digest
    lacks: tuple[NodeId, ...] = ()
    unmerged: tuple[NodeId, ...] = ()
    moved: bool = True


@dataclass(frozen=True, slots=True)
class ExchangeDone:
    """Event: the merged model is held under `root`; `slices` are what its mergers signed, ascending by merger."""

    now: float
    assignment: Digest
    root: Digest
    slices: tuple[SignedSlice, ...]


@dataclass(frozen=True, slots=True)
class ExchangeSpoiled:
    """Event: a peer gave blocks that do not fit what was signed, or hold NaN; they were not used."""

    now: float
    assignment: Digest
    node: NodeId
    reason: str

"""Who is in the swarm: what nodes said at their registration, shared between SNs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from swarm_lab.identity.ids import SpiffeId

_MARGIN_S = 1.0


@dataclass(frozen=True, slots=True)
class RosterNode:
    """A registered node: its account (`NodeId` of an SL), where it listens, and seconds since its last sign of life."""

    spiffe_id: SpiffeId
    account: str
    address: str
    platform: str
    age_s: float = 0.0

    @property
    def name(self) -> str:
        """The node's name."""
        return self.spiffe_id.node

    @property
    def kind(self) -> str:
        """sn, sl or swci."""
        return self.spiffe_id.role


class Roster:
    """The latest word of each node, by SPIFFE ID."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._nodes: dict[SpiffeId, tuple[float, RosterNode]] = {}

    def put(self, node: RosterNode) -> None:
        """A node has registered here, just now."""
        self._nodes[node.spiffe_id] = (self._clock(), node)

    def merge(self, nodes: Iterable[RosterNode]) -> None:
        """What another SN knows; whoever heard of a node clearly later is right."""
        now = self._clock()
        for node in nodes:
            seen = now - node.age_s
            known = self._nodes.get(node.spiffe_id)
            # On its way an age does not grow: without the margin two SNs would keep a dead node young.
            if known is None or known[0] + _MARGIN_S < seen:
                self._nodes[node.spiffe_id] = (seen, node)

    def find(self, spiffe_id: SpiffeId) -> RosterNode | None:
        """What is known of one node."""
        known = self._nodes.get(spiffe_id)
        return None if known is None else known[1]

    def nodes(self) -> list[RosterNode]:
        """All nodes by SPIFFE ID."""
        now = self._clock()
        return [replace(node, age_s=max(0.0, now - seen)) for _, (seen, node) in sorted(self._nodes.items())]

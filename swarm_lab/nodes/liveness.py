"""Which peers are heard: limits that follow from measured gaps, without I/O and without a clock of its own."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from swarm_lab.rounds.events import Link
from swarm_lab.rounds.messages import Heartbeat, NodeId

HEARTBEAT_S = 0.5
_LEAST_S, _MOST_S, _FACTOR, _REMEMBERED = 1.5, 15.0, 4.0, 64
_DIRECT = 0.7  # of the silence after which a peer counts as down


@dataclass
class _Peer:
    heard: float
    direct: float
    instance: str
    up: bool = True
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    silence: float = _LEAST_S
    heartbeat: Heartbeat | None = None
    rtt: float = 0.01
    rate: float = 0.0

    def gap(self, seconds: float) -> None:
        """So long nothing had come before the last heartbeat."""
        self.gaps.append(seconds)
        self.silence = min(_MOST_S, max(_LEAST_S, _FACTOR * max(self.gaps)))


@dataclass(frozen=True, slots=True)
class Change:
    """A peer came up or went down, and why."""

    peer: NodeId
    up: bool
    why: str = ""


class Liveness:
    """What this node knows of its peers' presence in one training.

    A peer is up once it was heard; down at once when its connection is refused twice, when another process answers in
    its name, or when it was silent for four times the largest gap between its last 64 heartbeats (1.5 to 15 s).
    """

    def __init__(self) -> None:
        self._peers: dict[NodeId, _Peer] = {}

    @property
    def up(self) -> frozenset[NodeId]:
        """The peers that are heard."""
        return frozenset(node for node, peer in self._peers.items() if peer.up)

    @property
    def heartbeats(self) -> dict[NodeId, Heartbeat]:
        """The latest heartbeat of each peer that is up."""
        return {node: p.heartbeat for node, p in self._peers.items() if p.up and p.heartbeat is not None}

    def links(self, model_bytes: int) -> dict[NodeId, Link]:
        """What was measured of each link; the transfer time is that of one model of `model_bytes`."""
        return {
            node: Link(p.rtt, model_bytes / p.rate if p.rate else 0.0, p.silence) for node, p in self._peers.items()
        }

    def heard(
        self, peer: NodeId, instance: str, now: float, heartbeat: Heartbeat | None = None, *, direct: bool = True
    ) -> list[Change]:
        """Something came from `peer`, whose process drew `instance` at its start; `direct`: not through another one."""
        changes = self._heard(peer, instance, now, heartbeat)
        if direct:
            self._peers[peer].direct = now
        return changes

    def _heard(self, peer: NodeId, instance: str, now: float, heartbeat: Heartbeat | None) -> list[Change]:
        known = self._peers.get(peer)
        if known is None:
            known = self._peers[peer] = _Peer(now, -math.inf, instance)
            changes = [Change(peer, True)]
        elif known.instance != instance:
            changes = [Change(peer, False, "started again")] if known.up else []
            rtt, rate = known.rtt, known.rate
            known = self._peers[peer] = _Peer(now, -math.inf, instance, rtt=rtt, rate=rate)
            changes.append(Change(peer, True))
        else:
            changes = [] if known.up else [Change(peer, True)]
            if heartbeat is not None and known.up:
                known.gap(now - known.heard)
            known.up, known.heard = True, now
        if heartbeat is not None:
            known.heartbeat = heartbeat
        return changes

    def refused(self, peer: NodeId, now: float) -> list[Change]:
        """A connection to `peer` was reset and the redial refused; no news where it is heard through another one."""
        known, was_direct = self._peers.get(peer), self._is_direct(peer, now)
        if known is None:
            return []
        known.direct = -math.inf
        if not (known.up and was_direct):
            return []
        known.up = False
        return [Change(peer, False, "connection lost")]

    def _is_direct(self, peer: NodeId, now: float) -> bool:
        known = self._peers.get(peer)
        return known is not None and now - known.direct <= _DIRECT * known.silence

    def heard_directly(self, members: Sequence[NodeId], me: NodeId, now: float) -> tuple[NodeId, ...]:
        """Whom this node hears without help, itself included, for its heartbeat; empty where that is everybody."""
        found = tuple(sorted(m for m in members if m == me or self._is_direct(m, now)))
        return () if len(found) == len(members) else found

    def relay(self, peer: NodeId, now: float) -> NodeId | None:
        """Through whom `peer` is reached while it is not heard directly: somebody who hears it, and whom I hear.

        Before it counts as silent, so that a link that breaks makes nobody disappear.
        """
        if self._is_direct(peer, now):
            return None
        for node in sorted(self._peers):
            beat = self._peers[node].heartbeat
            if node == peer or beat is None or not self._peers[node].up or not self._is_direct(node, now):
                continue
            if peer in beat.heard or not beat.heard:
                return node
        return None

    def measured(self, peer: NodeId, seconds: float, sent: int) -> None:
        """A call to `peer` took that long and carried `sent` bytes: its round trip, or its rate when it was long."""
        known = self._peers.get(peer)
        if known is None:
            return
        if sent < 64 * 1024:
            known.rtt += 0.2 * (seconds - known.rtt)
        else:
            rate = sent / max(seconds, 1e-6)
            known.rate = rate if not known.rate else known.rate + 0.3 * (rate - known.rate)

    def silent(self, now: float) -> list[Change]:
        """The peers that have just been silent for too long."""
        changes = []
        for node, peer in self._peers.items():
            if peer.up and now - peer.heard > peer.silence:
                peer.up = False
                changes.append(Change(node, False, f"nothing heard for {now - peer.heard:.1f} s"))
        return changes

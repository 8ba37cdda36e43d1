"""Who does not give its blocks: what a coordinator makes of the members' complaints while an exchange stands still.

Nobody is left out on one peer's word. A contribution that two members lack, or the coordinator itself, is left out. Of
one that a single member lacks nobody can say who of the two is wrong: that member then merges nothing, and needs it no
more. Merged blocks are asked of anybody, so that a merger is complained of by all or by a liar; one that lacks
contributions itself is not blamed.
"""

from __future__ import annotations

from collections.abc import Iterator

from swarm_lab.rounds import limits
from swarm_lab.rounds.gathering import Exclusion, Gathering
from swarm_lab.rounds.messages import Heartbeat, NodeId, Phase
from swarm_lab.rounds.state import Desk


class Complaints:
    """Of all rounds that this node coordinates."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._since: dict[tuple[int, int, NodeId, NodeId, bool], float] = {}

    def act(self, g: Gathering) -> bool:
        """Exclude, or take the merging from, whom the complaints are about; whether the plan must change for it."""
        raw, merged = self._lasting(g)
        changed = False
        for accused, accusers in sorted(raw.items()):
            if len(accusers) > 1 or self.desk.me in accusers:
                self._exclude(g, accused, f"its blocks do not come to {', '.join(sorted(accusers))}")
                changed = True
            elif accusers - g.no_owners:
                g.no_owners |= accusers
                changed = True
        for accused, accusers in sorted(merged.items()):
            if not self._waits(g, accused) and (len(accusers) > 1 or self.desk.me in accusers):
                self._exclude(g, accused, f"its merged blocks do not come to {', '.join(sorted(accusers))}")
                changed = True
        return changed

    def _waits(self, g: Gathering, node: NodeId) -> bool:
        """Whether it says that it lacks contributions itself; one that only says so merges nothing soon."""
        beat = self.desk.heartbeat_of(node)
        return beat is not None and self._of_this(g, beat) and bool(set(beat.lacks) & g.members().keys())

    def _exclude(self, g: Gathering, node: NodeId, reason: str) -> None:
        if node == self.desk.me:
            return  # others follow another coordinator by their own limit
        g.excluded[node] = Exclusion(reason[:200], proven=True)
        self.desk.notice("bad_peer", reason, (node,), round=g.round)

    def _lasting(self, g: Gathering) -> tuple[dict[NodeId, set[NodeId]], dict[NodeId, set[NodeId]]]:
        """Accused -> accusers, of contributions and of merged blocks, for complaints that have lasted."""
        desk = self.desk
        found: tuple[dict[NodeId, set[NodeId]], dict[NodeId, set[NodeId]]] = ({}, {})
        present = set()
        for accuser, accused, is_raw in self._all(g):
            key = (g.round, g.number, accuser, accused, is_raw)
            present.add(key)
            since = self._since.setdefault(key, desk.now)
            link = desk.slowest()
            if desk.now - since >= limits.accusation(link.rtt, link.transfer / max(1, len(g.set()))):
                found[0 if is_raw else 1].setdefault(accused, set()).add(accuser)
        self._since = {k: v for k, v in self._since.items() if k in present or k[0] != g.round}
        return found

    def _all(self, g: Gathering) -> Iterator[tuple[NodeId, NodeId, bool]]:
        members = set(g.set())
        for node in sorted(members):
            beat = self.desk.heartbeat_of(node)
            if beat is None or not self.desk.live(node) or not self._of_this(g, beat):
                continue
            for accused in members.intersection(beat.lacks) - {node}:
                yield node, accused, True
            for accused in members.intersection(beat.unmerged) - {node}:
                yield node, accused, False

    def _of_this(self, g: Gathering, beat: Heartbeat) -> bool:
        return beat.phase is Phase.EXCHANGING and (beat.round, beat.coordinator) == (g.round, self.desk.me)

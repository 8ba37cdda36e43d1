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

_Accused = dict[NodeId, set[NodeId]]
"""Accused -> accusers."""


class Complaints:
    """Of all rounds that this node coordinates."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._since: dict[tuple[int, int, NodeId, NodeId, bool], float] = {}

    def act(self, g: Gathering) -> bool:
        """Exclude, or take the merging from, whom the complaints are about; whether the plan must change for it."""
        raw, merged, settled = self._lasting(g)
        changed = False
        for accused, accusers in sorted(raw.items()):
            if len(accusers) > 1 or self.desk.me in accusers:
                self._exclude(g, accused, f"its blocks do not come to {', '.join(sorted(accusers))}")
                changed = True
            elif accusers - g.no_owners:
                g.no_owners |= accusers
                changed = True
        if changed or not settled:
            return changed
        for accused, accusers in sorted(merged.items()):
            if len(accusers) > 1 or self.desk.me in accusers:
                self._exclude(g, accused, f"its merged blocks do not come to {', '.join(sorted(accusers))}")
                changed = True
        return changed

    def _exclude(self, g: Gathering, node: NodeId, reason: str) -> None:
        if node == self.desk.me:
            return  # others follow another coordinator by their own limit
        g.excluded[node] = Exclusion(reason[:200], proven=True)
        self.desk.notice("bad_peer", reason, (node,), round=g.round)

    def _lasting(self, g: Gathering) -> tuple[_Accused, _Accused, bool]:
        """Of contributions and of merged blocks: complaints that have lasted; and whether none is of contributions.

        While a merger lacks a contribution, however shortly, nobody can have its merged blocks.
        """
        desk, link = self.desk, self.desk.slowest()
        limit = limits.accusation(link.rtt, link.transfer / max(1, len(g.set())))
        found: tuple[_Accused, _Accused] = ({}, {})
        present, settled = set(), True
        for accuser, accused, is_raw in self._all(g):
            key = (g.round, g.number, accuser, accused, is_raw)
            present.add(key)
            settled = settled and not is_raw
            if desk.now - self._since.setdefault(key, desk.now) >= limit:
                found[0 if is_raw else 1].setdefault(accused, set()).add(accuser)
        self._since = {k: v for k, v in self._since.items() if k in present or k[0] != g.round}
        return *found, settled

    def _all(self, g: Gathering) -> Iterator[tuple[NodeId, NodeId, bool]]:
        """Accuser, accused, whether it is about a contribution: only who merges something needs those."""
        members = g.members()
        owners = {share.node for share in g.plan.owners} if g.plan else set()
        for node in members:
            beat = self.desk.heartbeat_of(node)
            if beat is None or not (beat.lacks or beat.unmerged) or not self._of_this(g, beat):
                continue
            for accused in sorted(members.keys() & set(beat.lacks) - {node}) if node in owners else ():
                yield node, accused, True
            for accused in sorted(members.keys() & set(beat.unmerged) - {node}):
                yield node, accused, False

    def _of_this(self, g: Gathering, beat: Heartbeat) -> bool:
        # Planned: by a second coordinator, for an exchange in which nothing has moved since.
        in_exchange = beat.phase is Phase.EXCHANGING or beat.phase is Phase.PLANNED
        return in_exchange and (beat.round, beat.coordinator) == (g.round, self.desk.me)

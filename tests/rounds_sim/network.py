"""Who hears whom, over what: cuts, relays, the rates of lines, and the time that each of it takes to be noticed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from swarm_lab.rounds import events as e
from swarm_lab.rounds.messages import Heartbeat, NodeId

if TYPE_CHECKING:
    from rounds_sim.blocks import Frame
    from rounds_sim.world import World

SILENCE = 1.5
MANY = 32
"""In a larger swarm one delay is drawn for all that hear of a node, and ticks alone tell that a peer is up."""
Pair = tuple[NodeId, NodeId]


class Network:
    """Of one world. A TCP link needs both directions; where it has not and `relay` is set, a third peer is the way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cuts: set[Pair] = set()
        self.up: dict[NodeId, set[NodeId]] = {n: set() for n in world.names}
        self.many = len(world.names) > MANY
        self.known: set[NodeId] = set()
        """Of many: who runs, as the others have found out."""
        self._frozen: dict[NodeId, tuple[frozenset[NodeId], dict[NodeId, e.Link]]] = {}
        self._out = dict.fromkeys(world.names, 0.0)
        self._in = dict.fromkeys(world.names, 0.0)
        self._measured = False
        self.under_way: set[tuple[NodeId, NodeId, Frame]] = set()

    # --- paths --------------------------------------------------------------------------------------------

    def direct(self, a: NodeId, b: NodeId) -> bool:
        return (a, b) not in self.cuts and (b, a) not in self.cuts

    def path(self, a: NodeId, b: NodeId) -> bool:
        peers = self.world.peers
        if not (peers[a].alive and peers[b].alive):
            return False
        if not self.cuts or self.direct(a, b):
            return True
        return self.world.setup.relay and any(
            peers[c].alive and self.direct(a, c) and self.direct(c, b) for c in self.world.names if c not in (a, b)
        )

    def cut(self, pairs: Iterable[Pair]) -> None:
        self.cuts |= set(pairs)
        self.world.log("CUT", sorted((a[-2:], b[-2:]) for a, b in pairs))
        self.look(pairs)

    def heal(self, pairs: Iterable[Pair]) -> None:
        pairs = list(pairs)
        self.cuts -= set(pairs)
        self.world.log("HEAL")
        self.look(pairs)

    # --- who is heard -------------------------------------------------------------------------------------

    def boots(self, name: NodeId) -> None:
        """A new process answers there."""
        world = self.world
        if name in self.known:
            self._tell_all(name, False)
        for other in () if self.many else world.names:
            if name in self.up[other]:
                self._set(other, name, False)
                if world.peers[other].alive:
                    world.peers[other].apply(e.PeerDown(world.now, name))
        self.up[name] = set()
        self._frozen.pop(name, None)
        self._out[name] = self._in[name] = 0.0

    def changed(self, name: NodeId, killed: bool = False) -> None:
        """A node came or went."""
        world = self.world
        if self.many:
            alive = world.peers[name].alive
            lost = world.rng.uniform(0.002, 0.05) if killed else SILENCE * world.rng.uniform(1.0, 1.25)
            world.later(0.05 if alive else lost, self._tell_all, name, alive)
            return
        others = [n for n in world.names if n != name]
        self.look([(name, n) for n in others], killed)

    def look(self, pairs: Iterable[Pair], killed: bool = False) -> None:
        """Tell each node, after the time that it takes to find out, whom it hears. A relay may be gone as well."""
        world = self.world
        if self.many:
            self._frozen.clear()
            return
        both = {*pairs, *self.cuts}
        for a, b in sorted(both | {(b, a) for a, b in both}):
            if not world.peers[a].alive or self.path(a, b) is (b in self.up[a]):
                continue
            up = self.path(a, b)
            lost = world.rng.uniform(0.002, 0.05) if killed else SILENCE * world.rng.uniform(1.0, 1.25)
            world.later(0.05 if up else lost, self._tell, a, b, up, world.peers[a].epoch)

    def _tell_all(self, name: NodeId, up: bool) -> None:
        """Of many: ticks tell that one is up; that it is down is told at once."""
        world = self.world
        if (name in self.known) is up or (up and not world.peers[name].alive):
            return
        (self.known.add if up else self.known.discard)(name)
        self._frozen.clear()
        for peer in () if up else world.peers.values():
            if peer.alive and peer.frozen_until <= world.now and peer.me != name:
                peer.apply(e.PeerDown(world.now, name))

    def _tell(self, a: NodeId, b: NodeId, up: bool, epoch: int) -> None:
        world, peer = self.world, self.world.peers[a]
        if not peer.alive or peer.epoch != epoch or (b in self.up[a]) is up or self.path(a, b) is not up:
            return
        if peer.frozen_until > world.now:
            world.at(peer.frozen_until, self._tell, a, b, up, epoch)
            return
        self._set(a, b, up)
        if not up:
            peer.apply(e.PeerDown(world.now, b))
        else:
            peer.apply(e.PeerUp(world.now, b))

    def _set(self, a: NodeId, b: NodeId, up: bool) -> None:
        (self.up[a].add if up else self.up[a].discard)(b)
        self._frozen.pop(a, None)

    def heard(self, name: NodeId) -> tuple[frozenset[NodeId], dict[NodeId, Heartbeat], dict[NodeId, e.Link]]:
        """What a node's tick says of its peers."""
        world = self.world
        if not self._measured and world.setup.rates and world.now >= world.setup.measured_at:
            self._measured = True
            self._frozen.clear()
        if name not in self._frozen:
            up = frozenset(self.known - {name} if self.many else self.up[name])
            if self.many and self.cuts:
                up = frozenset(n for n in up if self.path(name, n))
            self._frozen[name] = up, self._links(name, up)
        up, links = self._frozen[name]
        beats = world.beats.copy()
        beats.pop(name, None)
        if self.cuts or not beats.keys() <= up:
            beats = {n: beat for n, beat in beats.items() if n in up and self.path(name, n)}
        return up, beats, links

    def _links(self, name: NodeId, up: frozenset[NodeId]) -> dict[NodeId, e.Link]:
        setup = self.world.setup
        rtt = 2 * setup.delay[1]
        if not self._measured:
            return dict.fromkeys(up, e.Link(rtt, 0.0, SILENCE))
        number = {n: k for k, n in enumerate(self.world.names)}
        return {n: e.Link(rtt, max(setup.rates[number[name]], setup.rates[number[n]]), SILENCE) for n in sorted(up)}

    # --- lines --------------------------------------------------------------------------------------------

    def take(self, a: NodeId, b: NodeId, frame: Frame) -> bool:
        """Whether a frame has to be sent: the same one may still be under way on a slow line."""
        if not self.world.setup.rates:
            return True
        known = (a, b, frame) in self.under_way
        self.under_way.add((a, b, frame))
        return not known

    def arrival(self, a: NodeId, b: NodeId, share: float) -> float:
        """When this share of a model that leaves `a` now is at `b`; what a line carries, it carries one by one."""
        world, rates = self.world, self.world.setup.rates
        delay = world.rng.uniform(*world.setup.delay)
        if not rates or not share:
            return world.now + delay
        self._out[a] = max(world.now, self._out[a]) + share * rates[world.peers[a].number]
        self._in[b] = max(self._out[a], self._in[b]) + share * rates[world.peers[b].number]
        return self._in[b] + delay

"""The data plane of a simulated node: the real bookkeeping of an exchange over blocks of one number each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rounds_sim.registry import Key, root, weighted_mean

from swarm_lab.rounds import exchange as x
from swarm_lab.rounds import limits
from swarm_lab.rounds.exchange_events import ExchangeDone, ExchangeMoved, ExchangeSpoiled, StartExchange
from swarm_lab.rounds.messages import Digest, NodeId
from swarm_lab.rounds.slices import SignedSlice, Slice

if TYPE_CHECKING:
    from rounds_sim.peer import Peer

TELLS, EARLY = 0.05, 2000


@dataclass(frozen=True, slots=True)
class Raw:
    share: ClassVar[int] = 1

    root: Digest
    block: int
    value: int


@dataclass(frozen=True, slots=True)
class Merged:
    share: ClassVar[int] = 1

    assignment: Digest
    block: int
    value: int


@dataclass(frozen=True, slots=True)
class Tables:
    share: ClassVar[int] = 0

    assignment: Digest
    owner: NodeId


@dataclass(frozen=True, slots=True)
class Signed:
    share: ClassVar[int] = 0

    assignment: Digest
    slice: SignedSlice


@dataclass(frozen=True, slots=True)
class Need:
    share: ClassVar[int] = 0

    assignment: Digest
    what: x.What
    owner: NodeId
    blocks: tuple[int, ...]


Frame = Raw | Merged | Tables | Signed | Need


def digest(value: int) -> bytes:
    return hashlib.blake2b(repr(value).encode(), digest_size=32).digest()


class Blocks:
    """One start of a node's engine; `Peer` gives it frames and ticks."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.epoch = peer, peer.epoch
        self.exchange: x.Exchange | None = None
        self.order: StartExchange | None = None
        self.raw: dict[tuple[Digest, int], int] = {}
        self.merged: dict[int, int] = {}
        self.told: tuple[tuple[NodeId, ...], tuple[NodeId, ...]] = ((), ())
        self.moved_at = -1.0
        self.early: list[tuple[NodeId, Frame]] = []
        """Frames of a plan that has not come here yet: others may have it sooner."""

    # --- the machine's order ------------------------------------------------------------------------------

    def start(self, order: StartExchange) -> None:
        world, old = self.peer.world, self.order
        if old is None or (old.round, old.prev) != (order.round, order.prev):
            self.exchange, self.raw = x.Exchange(self.peer.me, world.setup.width), {}
        assert self.exchange is not None
        if old is None or old.assignment.id != order.assignment.id:
            self.merged = {}
        self.order, self.told, self.moved_at = order, ((), ()), -1.0
        self.do(self.exchange.begin(order.assignment, world.now))
        early, self.early = self.early, []
        for sender, frame in early:
            self.receive(sender, frame)

    def end(self) -> None:
        self.exchange = self.order = None

    def do(self, orders: list[x.Order]) -> None:
        orders = list(orders)
        while orders and self.peer.epoch == self.epoch:
            orders += self.perform(orders.pop(0))

    def perform(self, order: x.Order) -> list[x.Order]:
        assert self.exchange is not None and self.order is not None
        assignment, me = self.order.assignment, self.peer.me
        match order:
            case x.Give():
                mine = self.mine()
                self.peer.world.tensors[root(mine)] = mine
                for block in order.blocks:
                    self.send(order.to, Raw(root(mine), block, mine[block]))
            case x.Tabulate():
                return self.exchange.tabulated(order.block)
            case x.SpreadTables():
                self.to_all(Tables(assignment.id, me))
            case x.Combine():
                return self.combine(order.block)
            case x.Spread():
                self.to_all(Merged(assignment.id, order.block, self.merged[order.block]))
            case x.Sign():
                signed = self.sign(self.exchange.slice_digest())
                self.to_all(Signed(assignment.id, signed))
                return self.exchange.signed(signed)
            case x.Ask():
                self.send(order.to, Need(assignment.id, order.what, order.owner, order.blocks))
            case x.Spoil():
                self.spoiled(order.owner, "its merged blocks are not those that it signed")
            case x.Complete():
                self.complete()
        return []

    def mine(self) -> tuple[int, ...]:
        assert self.order is not None
        own = next(m.root for m in self.order.assignment.members if m.node == self.peer.me)
        return self.peer.find(own)

    def combine(self, block: int) -> list[x.Order]:
        assert self.exchange is not None and self.order is not None
        parts = []
        for member in self.order.assignment.givers():
            own = member.node == self.peer.me
            value = self.mine()[block] if own else self.raw[member.root, block]  # two may have the same root
            parts.append((member.weight, (value,)))
        for member in self.order.assignment.members:
            self.raw.pop((member.root, block), None)
        value = self.peer.bend_block(weighted_mean(parts)[0])
        self.merged[block] = value
        return self.exchange.combined(block, digest(value))

    def slice_(self, merger: NodeId, digest_: Digest) -> Slice:
        from rounds_sim.world import TRAINING

        assert self.order is not None
        return Slice(TRAINING, self.order.round, self.order.prev, self.order.assignment.id, merger, digest_)

    def sign(self, digest_: Digest) -> SignedSlice:
        peer = self.peer
        signature = Key(peer.world.registry, peer.me).sign_slice(self.slice_(peer.me, digest_))
        return SignedSlice(peer.me, digest_, signature)

    def complete(self) -> None:
        assert self.exchange is not None and self.order is not None
        vector = tuple(self.merged[block] for block in range(self.exchange.blocks))
        self.peer.tensors[root(vector)] = self.peer.world.tensors[root(vector)] = vector
        self.peer.unheard.add(root(vector))
        done = ExchangeDone(self.peer.world.now, self.order.assignment.id, root(vector), self.exchange.slices())
        self.peer.later(done)

    # --- frames -------------------------------------------------------------------------------------------

    def send(self, to: NodeId, frame: Frame) -> None:
        world = self.peer.world
        for one in world.twist(self.peer, to, frame) if self.peer.epoch == self.epoch else ():
            world.carry(self.peer.me, to, one)
            world.happened(self.peer, one)

    def to_all(self, frame: Frame) -> None:
        assert self.order is not None
        for member in self.order.assignment.members:
            if member.node != self.peer.me:
                self.send(member.node, frame)

    def receive(self, sender: NodeId, frame: Frame) -> None:
        exchange, order, now = self.exchange, self.order, self.peer.world.now
        if self.is_early(frame):
            self.early = [*self.early[-EARLY:], (sender, frame)]
            return
        if exchange is None or order is None:
            return
        match frame:
            case Need():
                self.answer(sender, frame)
                return
            case Raw():
                orders = self.take_raw(sender, frame)
            case Merged():
                orders = self.take_merged(sender, frame)
            case Tables():
                orders = exchange.tables(frame.owner) if frame.assignment == order.assignment.id else []
            case Signed():
                orders = self.take_slice(sender, frame)
        if orders is None:
            return
        exchange.heard(now)
        self.do(orders)
        if self.exchange is exchange and not exchange.done:
            self.tell(moved=True)

    def is_early(self, frame: Frame) -> bool:
        order = self.order
        if isinstance(frame, Raw):
            return order is None or all(m.root != frame.root for m in order.assignment.members)
        return not isinstance(frame, Need) and (order is None or frame.assignment != order.assignment.id)

    def take_merged(self, sender: NodeId, frame: Merged) -> list[x.Order] | None:
        assert self.exchange is not None
        owner = self.exchange.wants_merged(frame.assignment, frame.block, sender)
        if owner is None:
            return None
        self.merged[frame.block] = frame.value
        return self.exchange.merged(owner, frame.block, digest(frame.value))

    def take_raw(self, sender: NodeId, frame: Raw) -> list[x.Order] | None:
        """What follows from it; None if it is of no use, and so no progress."""
        assert self.exchange is not None
        if not self.exchange.wants_raw(frame.root, frame.block):
            return None
        known = self.peer.world.tensors.get(frame.root)
        if known is None or known[frame.block] != frame.value:
            self.spoiled(sender, "its blocks do not fit the root that it signed")
            return None
        self.raw[frame.root, frame.block] = frame.value
        return self.exchange.raw(frame.root, frame.block)

    def take_slice(self, sender: NodeId, frame: Signed) -> list[x.Order] | None:
        assert self.exchange is not None
        merger = frame.slice.merger
        if not self.exchange.wants_slice(frame.assignment, merger):
            return None
        if not self.peer.world.registry.slice(self.slice_(merger, frame.slice.digest), frame.slice.signature):
            self.spoiled(sender, "a forged slice")
            return None
        return self.exchange.signed(frame.slice)

    def answer(self, sender: NodeId, need: Need) -> None:
        assert self.exchange is not None and self.order is not None
        if need.what == "tables":
            self.send(sender, Tables(need.assignment, need.owner))
            return
        for block in self.exchange.answer(need.what, need.owner, need.blocks):
            mine = self.mine()
            self.peer.world.tensors[root(mine)] = mine
            if need.what == "raw":
                self.send(sender, Raw(root(mine), block, mine[block]))
            elif need.assignment == self.order.assignment.id:
                self.send(sender, Merged(need.assignment, block, self.merged[block]))
        if need.what in ("slice", "merged") and need.assignment == self.order.assignment.id:
            for signed in self.exchange.slices():
                if signed.merger == need.owner:
                    self.send(sender, Signed(need.assignment, signed))

    def spoiled(self, node: NodeId, reason: str) -> None:
        assert self.order is not None
        self.peer.later(ExchangeSpoiled(self.peer.world.now, self.order.assignment.id, node, reason))

    # --- time ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        now = self.peer.world.now
        if self.exchange is not None and self.order is not None and not self.exchange.done:
            self.do(self.exchange.ask_again(now, self.again()))
            self.tell(moved=False)

    def again(self) -> float:
        """What the machine measured is what an engine measures."""
        assert self.order is not None
        link = self.peer.machine.desk.slowest()
        owners = {share.node for share in self.order.assignment.shares}
        return limits.block_again(link.rtt, link.transfer / max(1, len(owners)))

    def tell(self, moved: bool) -> None:
        assert self.exchange is not None and self.order is not None
        now = self.peer.world.now
        if moved and now - self.moved_at < TELLS:
            return
        late = self.exchange.overdue(now, self.again() + 0.1)
        if moved or late != self.told:
            self.told = late
            self.moved_at = now if moved else self.moved_at
            self.peer.later(ExchangeMoved(self.peer.world.now, self.order.assignment.id, *late, moved))

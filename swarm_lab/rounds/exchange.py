"""The bookkeeping of a sharded exchange on one node: which blocks have come, and what follows. No bytes, no I/O.

An exchange goes through these steps, block by block, so that they overlap:

    give      my contribution's blocks to the members that merge them            (reduce-scatter)
    combine   a block of my share, as soon as it has come from every giver
    spread    the merged block to all others                                     (all-gather)
    sign      my share, when all of it is merged; the others check their blocks against it

Methods with global quantities (`tables`) put a step before combine: a table for each block of my share, sent to all;
with the tables of all blocks in hand everybody knows the same weights.

Whatever is lost on the way is asked for again (`lacking`). A plan after the first one begins the exchange anew with
what is there: contributions are known by root, so that only blocks that nobody has merged for me travel again; a block
that was dropped once it was merged is asked for. The same assignment again changes nothing.

`begin` and the events return orders; the caller does them, in any order, and tells what came of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from swarm_lab.rounds.exchange_orders import (
    Ask,
    Combine,
    Complete,
    Give,
    Order,
    Sign,
    Spoil,
    Spread,
    SpreadTables,
    Tabulate,
    What,
)
from swarm_lab.rounds.messages import Digest, NodeId
from swarm_lab.rounds.slices import Share, Shares, SignedSlice, digest_of


@dataclass(frozen=True, slots=True)
class Contributor:
    """A member of the set with the root of its contribution. `gives` is false where its weight is 0."""

    node: NodeId
    root: Digest
    weight: int = 1
    gives: bool = True


@dataclass(frozen=True, slots=True)
class Assignment:
    """One way to merge one set. `members` ascending by node, `shares` cover all blocks."""

    id: Digest
    members: tuple[Contributor, ...]
    shares: Shares
    tables: bool = False

    def givers(self) -> tuple[Contributor, ...]:
        """Those whose blocks are merged, in the order in which they are."""
        return tuple(m for m in self.members if m.gives)


@dataclass(slots=True)
class _Part:
    """What is missing of one owner's share, and what is known of it."""

    blocks: set[int]
    all: frozenset[int]
    tables: bool = False
    digests: dict[int, bytes] = field(default_factory=dict)
    slice: SignedSlice | None = None
    helped: bool = False
    """Whether blocks of it came from others than their owner, who cannot answer for those."""
    own_only: bool = False
    """Whether such blocks were wrong once: now only what the owner gives is taken."""
    spoilt: bool = False
    """Whether its owner gave what it did not sign: nothing of it is taken any more."""

    def fits(self) -> bool:
        """Whether the blocks are those that were signed; what is not here yet cannot be wrong."""
        if self.slice is None or self.blocks:
            return True
        return digest_of(sorted(self.digests.items())) == self.slice.digest


@dataclass
class Exchange:
    """All plans of one round on one node; `blocks` is how many a model has."""

    me: NodeId
    blocks: int
    assignment: Assignment | None = None
    done: bool = False
    moved_at: float = 0.0
    asked_at: float = 0.0
    _root: Digest = ""
    _given: dict[NodeId, set[int]] = field(default_factory=dict)
    _raw: dict[Digest, set[int]] = field(default_factory=dict)
    """By root: contributions' blocks that are here."""
    _dropped: dict[Digest, set[int]] = field(default_factory=dict)
    """By root: blocks that were here, and went when they were merged."""
    _missing: dict[int, set[Digest]] = field(default_factory=dict)
    """By block of my share: roots whose block is not here."""
    _parts: dict[NodeId, _Part] = field(default_factory=dict)
    _owners: dict[int, NodeId] = field(default_factory=dict)
    """By block: who merges it."""
    _open: set[NodeId] = field(default_factory=set)
    """Owners whose merged blocks or slice are not all here."""
    _untabled: set[int] = field(default_factory=set)
    _uncombined: set[int] = field(default_factory=set)
    _turn: int = 0
    _asked: set[tuple[NodeId, NodeId]] = field(default_factory=set)
    """Who was asked for whose merged blocks, where these are two."""

    # --- plans --------------------------------------------------------------------------------------------

    def begin(self, assignment: Assignment, now: float) -> list[Order]:
        """Work by this assignment from now on; this node is one of its members."""
        if self.assignment is not None and self.assignment.id == assignment.id:
            return []
        self.moved_at = now
        self.assignment, self.done = assignment, False
        mine = next(m for m in assignment.members if m.node == self.me)
        if mine.root != self._root:
            self._root, self._given = mine.root, {}
        shares: dict[NodeId, set[int]] = {}
        for share in assignment.shares:
            shares.setdefault(share.node, set()).update(range(share.first, share.stop))
        self._parts = {node: _Part(set(part), frozenset(part)) for node, part in shares.items()}
        self._owners = {block: node for node, part in shares.items() for block in part}
        self._open = set(shares)
        self._asked.clear()
        own = shares.get(self.me, set())
        self._uncombined, self._untabled = set(own), set(own) if assignment.tables else set()
        orders: list[Order] = []
        if mine.gives:
            for node in sorted(shares.keys() - {self.me}):
                orders += self._give(node, shares[node])
        orders += self._collect(own)
        return orders

    def _give(self, to: NodeId, blocks: set[int]) -> list[Order]:
        given = self._given.setdefault(to, set())
        new = tuple(sorted(blocks - given))
        given.update(new)
        return [Give(to, new)] if new else []

    def _collect(self, own: set[int]) -> list[Order]:
        """What my share needs, and what of it is here from an earlier plan."""
        assert self.assignment is not None
        self._missing = {}
        if not own:
            return []
        others = [m for m in self.assignment.givers() if m.node != self.me]
        roots = {m.root for m in others}
        for gone in self._raw.keys() - roots:
            del self._raw[gone]
        orders: list[Order] = []
        for member in others:
            here = self._raw.setdefault(member.root, set())
            again = tuple(sorted((self._dropped.get(member.root, set()) & own) - here))
            if again:
                orders.append(Ask(member.node, "raw", member.node, again))
        self._missing = {block: {root for root in roots if block not in self._raw[root]} for block in own}
        for block in sorted(own):
            if not self._missing[block]:
                orders += self._whole(block)
        return orders

    # --- what comes ---------------------------------------------------------------------------------------

    def wants_raw(self, root: Digest, block: int) -> bool:
        """Whether this block of a contribution is one that is missing here."""
        return root in self._missing.get(block, ())

    def raw(self, root: Digest, block: int) -> list[Order]:
        """A block of a contribution is here, checked against its root."""
        if not self.wants_raw(root, block):
            return []
        self._raw[root].add(block)
        self._missing[block].discard(root)
        return [] if self._missing[block] else self._whole(block)

    def _whole(self, block: int) -> list[Order]:
        if block in self._untabled:
            return [Tabulate(block)]
        if self._tables_lack():
            return []
        return [Combine(block)] if block in self._uncombined else []

    def tabulated(self, block: int) -> list[Order]:
        """The table of this block of my share is made."""
        self._untabled.discard(block)
        if self._untabled:
            return []
        return [SpreadTables(), *self.tables(self.me)]

    def tables(self, owner: NodeId) -> list[Order]:
        """The tables of an owner's blocks are here."""
        part = self._parts.get(owner)
        if part is None or part.tables or not self._needs_tables():
            return []
        part.tables = True
        if self._tables_lack():
            return []
        return [Combine(block) for block in sorted(self._uncombined) if not self._missing[block]]

    def _needs_tables(self) -> bool:
        return self.assignment is not None and self.assignment.tables

    def _tables_lack(self) -> bool:
        return self._needs_tables() and not all(part.tables for part in self._parts.values())

    def combined(self, block: int, digest: bytes) -> list[Order]:
        """A block of my share is merged, and its contributions are dropped; `digest` is the merged block's."""
        if block not in self._uncombined:
            return []
        self._uncombined.discard(block)
        for root, here in self._raw.items():
            if block in here:
                here.discard(block)
                self._dropped.setdefault(root, set()).add(block)
        part = self._parts[self.me]
        part.blocks.discard(block)
        part.digests[block] = digest
        orders: list[Order] = [Spread(block)]
        return orders if self._uncombined else [*orders, Sign()]

    def wants_merged(self, assignment: Digest, block: int, sender: NodeId = "") -> NodeId | None:
        """Whose merged block this is, if it is missing here. Of another than its owner it is taken if it was asked."""
        if self.assignment is None or self.assignment.id != assignment or self.done:
            return None
        owner = self._owners.get(block)
        if owner is None or owner == self.me:
            return None
        part = self._parts[owner]
        if block not in part.blocks or part.spoilt:
            return None
        if sender in ("", owner):
            return owner
        if part.own_only or (sender, owner) not in self._asked:
            return None
        part.helped = True
        return owner

    def merged(self, owner: NodeId, block: int, digest: bytes) -> list[Order]:
        """A merged block of that owner is here, with this digest."""
        part = self._parts[owner]
        part.blocks.discard(block)
        part.digests[block] = digest
        return self._over(owner)

    def share_of(self, owner: NodeId) -> tuple[int, ...]:
        """The blocks that it merges, ascending."""
        part = self._parts.get(owner)
        return tuple(sorted(part.all)) if part else ()

    def slice_digest(self) -> Digest:
        """Of my own share, all of which is merged."""
        return digest_of(sorted(self._parts[self.me].digests.items()))

    def wants_slice(self, assignment: Digest, owner: NodeId) -> bool:
        """Whether this owner's slice is missing here."""
        part = self._parts.get(owner)
        current = self.assignment is not None and self.assignment.id == assignment
        return current and part is not None and part.slice is None and not part.spoilt

    def signed(self, slice_: SignedSlice) -> list[Order]:
        """A merger (I as well) has signed its share; the signature is good."""
        self._parts[slice_.merger].slice = slice_
        return self._over(slice_.merger)

    def slices(self) -> tuple[SignedSlice, ...]:
        """What the mergers signed, as far as it is here; ascending by merger."""
        return tuple(part.slice for _, part in sorted(self._parts.items()) if part.slice is not None)

    def digests(self) -> list[bytes]:
        """Of all merged blocks, once the exchange is done."""
        found = {block: digest for part in self._parts.values() for block, digest in part.digests.items()}
        return [found[block] for block in sorted(found)]

    def _over(self, owner: NodeId) -> list[Order]:
        part = self._parts[owner]
        if not part.fits():
            part.blocks = set(part.all)
            part.digests.clear()
            if part.helped:
                # It is not known whose blocks were wrong. The slice is good, so its owner has those that fit.
                part.helped, part.own_only = False, True
                return [Ask(owner, "merged", owner, tuple(sorted(part.blocks)))]
            part.slice, part.spoilt = None, True
            return [Spoil(owner)]
        if not part.blocks and part.slice is not None:
            self._open.discard(owner)
        if self.done or self._open:
            return []
        self.done = True
        return [Complete()]

    # --- what does not come -------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Something that was missing has come, and is what it should be: nothing else counts as progress."""
        self.moved_at = now

    def overdue(self, now: float, after: float) -> tuple[tuple[NodeId, ...], tuple[NodeId, ...]]:
        """Whose contribution, and whose merged blocks, are missing when nothing has come for so long; ascending."""
        if self.done:
            return (), ()
        if now - self.moved_at < after:
            return (), tuple(sorted(owner for owner, part in self._parts.items() if part.spoilt))
        asks = list(self._asks())
        lacks, unmerged = ({ask.owner for ask in asks if (ask.what == "raw") is raw} for raw in (True, False))
        return tuple(sorted(lacks)), tuple(sorted(unmerged))

    def ask_again(self, now: float, after: float) -> list[Order]:
        """Ask for what is missing, when nothing has come for so long; not more often than that."""
        if self.done or now - max(self.moved_at, self.asked_at) < after:
            return []
        self.asked_at = now
        return self.lacking()

    def lacking(self) -> list[Order]:
        """What to ask for: of its owner first, merged blocks then of the others in turn, as anybody may have them."""
        self._turn += 1
        others = [] if self.assignment is None else [m.node for m in self.assignment.members if m.node != self.me]
        orders: list[Order] = []
        for ask in self._asks():
            part = self._parts.get(ask.owner) if ask.what != "raw" else None
            if part is not None and part.spoilt:
                continue
            anybody = part is not None and not part.own_only and self._turn > 1 and self._turn % 2 == 0
            to = others[(self._turn // 2) % len(others)] if anybody else ask.owner
            if to != ask.owner:
                self._asked.add((to, ask.owner))
            orders.append(Ask(to, ask.what, ask.owner, ask.blocks))
        return orders

    def _asks(self) -> Iterable[Ask]:
        if self.assignment is None or self.done:
            return
        missing: dict[Digest, list[int]] = {}
        for block, roots in sorted(self._missing.items()):
            for root in roots:
                missing.setdefault(root, []).append(block)
        for member in self.assignment.givers() if missing else ():
            if member.root in missing and member.node != self.me:
                yield Ask(member.node, "raw", member.node, tuple(missing[member.root]))
        for owner, part in sorted(self._parts.items()):
            if owner == self.me:
                continue
            if self._needs_tables() and not part.tables:
                yield Ask(owner, "tables", owner)
            elif self._tables_lack():
                continue  # whoever has given its tables may wait for the same ones before it merges
            elif part.blocks:
                yield Ask(owner, "merged", owner, tuple(sorted(part.blocks)))
            elif part.slice is None:
                yield Ask(owner, "slice", owner)

    def answer(self, what: What, owner: NodeId, blocks: Iterable[int]) -> tuple[int, ...]:
        """Of what a peer asks for, the blocks that this node can give."""
        if self.assignment is None:
            return ()
        if what == "raw":
            return tuple(b for b in blocks if 0 <= b < self.blocks) if owner == self.me else ()
        part = self._parts.get(owner)
        if part is None or what != "merged":
            return ()
        return tuple(b for b in blocks if b in part.all and b not in part.blocks)


__all__ = [
    "Ask",
    "Assignment",
    "Combine",
    "Complete",
    "Contributor",
    "Exchange",
    "Give",
    "Order",
    "Share",
    "Sign",
    "Spoil",
    "Spread",
    "SpreadTables",
    "Tabulate",
    "What",
]

"""The memory of one sharded exchange: blocks that came, buffers that are used again, and what is computed of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from swarm_lab.rounds.codec import BadMessage
from swarm_lab.rounds.exchange_events import StartExchange
from swarm_lab.rounds.layout import Block, Buffer, Layout
from swarm_lab.rounds.merge import Recipe
from swarm_lab.rounds.merge_floats import FLOATS
from swarm_lab.rounds.merge_slabs import Scratch
from swarm_lab.rounds.merge_tables import Table, block_table
from swarm_lab.rounds.messages import Digest, NodeId
from swarm_lab.rounds.wire import Wire

Bytes = NDArray[np.uint8]


class OwnChanged(Exception):
    """The program has written to its contribution after it was signed."""


@dataclass(frozen=True, slots=True)
class Work:
    """One order of the machine, with what it needs: buffers of whole models. `out` is written.

    `digests`: of the contribution's blocks. `base` may be None where nothing needs it. `rounded`: the contribution was
    rounded for this base and wire format; else (a program that is over gives its last weights again) it goes exactly.
    """

    order: StartExchange
    contribution: Buffer
    digests: tuple[bytes, ...]
    base: Buffer | None
    out: Buffer
    rounded: bool = True


class Pool:
    """Buffers of blocks that are used again: fresh memory costs more than what is done with it."""

    def __init__(self) -> None:
        self._free: list[Bytes] = []
        self._lock = threading.Lock()
        self._local = threading.local()

    def take(self, nbytes: int) -> Bytes:
        """A buffer of that size, whose bytes are left from last time."""
        with self._lock:
            for at in range(len(self._free) - 1, -1, -1):
                if self._free[at].nbytes == nbytes:
                    return self._free.pop(at)
        return np.empty(nbytes, np.uint8)

    def give(self, *buffers: Bytes) -> None:
        """Nobody uses them any more."""
        with self._lock:
            self._free.extend(buffers)

    def clear(self) -> None:
        """Let the memory go."""
        with self._lock:
            self._free.clear()

    def scratch(self) -> Scratch:
        """The present thread's own."""
        found: Scratch | None = getattr(self._local, "scratch", None)
        if found is None:
            found = self._local.scratch = Scratch()
        return found


@dataclass(slots=True)
class Memory:
    """What is here of one assignment. `lists`: digests of the blocks of each contribution, by root, checked against it.

    Whoever changes `raw`, `lists` or `tables` holds the exchange's lock.
    """

    work: Work
    layout: Layout
    wire: Wire
    recipe: Recipe
    pool: Pool
    lists: dict[Digest, tuple[bytes, ...]] = field(default_factory=dict)
    raw: dict[tuple[Digest, int], Bytes] = field(default_factory=dict)
    tables: dict[int, Table] = field(default_factory=dict)
    listed: set[NodeId] = field(default_factory=set)
    """Who was sent the digests of my contribution."""
    weighed: bool = False
    merging_s: float = 0.0
    """Seconds of all threads."""

    @property
    def assignment(self) -> Digest:
        """What it is of."""
        return self.work.order.assignment.id

    def others(self, me: NodeId) -> list[NodeId]:
        """The other members."""
        return [m.node for m in self.work.order.assignment.members if m.node != me]

    def own(self, run: range) -> Buffer:
        """Blocks of my contribution as they travel."""
        return self._run(self.work.contribution, run, exactly=not self.work.rounded)

    def merged_run(self, run: range) -> Buffer:
        """Merged blocks as they travel."""
        return self._run(self.work.out, run, exactly=False)

    def _run(self, model: Buffer, run: range, *, exactly: bool) -> Buffer:
        blocks = self.layout.blocks[run.start : run.stop]
        if exactly or self.wire.exact:
            return memoryview(model).cast("B")[blocks[0].start : blocks[-1].bytes.stop]
        encode, layout = self.wire.encode, self.layout
        return b"".join(encode(layout, block.bytes, block.of(model), self._base(block)) for block in blocks)

    def pieces(self, run: range, data: Bytes, *, exactly: bool) -> list[tuple[Block, Bytes]] | None:
        """The blocks in a frame's body; None where it has another size. `exactly`: they may have come with all bits."""
        blocks = self.layout.blocks[run.start : run.stop]
        sizes = [self.wire.nbytes(self.layout, block.bytes) for block in blocks]
        if exactly and data.nbytes != sum(sizes):
            sizes = [block.nbytes for block in blocks]
        if len(blocks) != len(run) or data.nbytes != sum(sizes):
            return None
        found, at = [], 0
        for block, size in zip(blocks, sizes, strict=True):
            found.append((block, data[at : at + size]))
            at += size
        return found

    def decoded(self, block: Block, data: Bytes) -> Bytes:
        """A block as it was before it travelled. Raises `BadMessage`."""
        if self.wire.exact or data.nbytes == block.nbytes:
            return data
        out = self.pool.take(block.nbytes)
        try:
            self.wire.decode(self.layout, block.bytes, data.data, self._base(block), out.data)
        except ValueError as error:
            raise BadMessage(f"block {block.number}: {error}") from error
        return out

    def forget(self, block: int) -> None:
        """The contributions to a block are not needed any more."""
        for member in self.work.order.assignment.members:
            data = self.raw.pop((member.root, block), None)
            frame = None if data is None else data.base
            # Blocks that came in one frame share its memory: it is used again when the last of them goes.
            if isinstance(frame, np.ndarray) and not any(other.base is frame for other in self.raw.values()):
                self.pool.give(frame)

    def merged(self, me: NodeId, block: Block) -> Bytes | None:
        """The block merged from all contributions; None where another plan has taken them away.

        Raises `OwnChanged`. A merge that needs tables has them all by now.
        """
        sources = self._sources(me, block)
        if sources is None:
            return None
        out = self.pool.take(block.nbytes)
        base = self._base(block)
        before = None if base is None else block.array(base)
        began = time.perf_counter()
        self.recipe.merge(block.dtype, sources, before, block.array(out.data), self.pool.scratch())
        self.merging_s += time.perf_counter() - began
        if not self.wire.exact:
            self.wire.quantise(self.layout, out.data, base, block.bytes)
        return out

    def weigh(self) -> None:
        """Take the tables of all blocks into the recipe, once."""
        if self.recipe.needs_tables and not self.weighed:
            self.weighed = True
            self.recipe.weigh([self.tables[number] for number in sorted(self.tables)])

    def table(self, me: NodeId, block: Block) -> Table | None:
        """The block's table; None for what has none, or where another plan has taken the contributions away."""
        sources = self._sources(me, block) if block.dtype in FLOATS else None
        if sources is None:
            return None
        base = self._base(block)
        return block_table(sources, None if base is None else block.array(base), self.pool.scratch())

    def tabled(self, blocks: Sequence[int]) -> list[int]:
        """Those of some blocks that have tables."""
        return [number for number in blocks if self.layout.blocks[number].dtype in FLOATS]

    def _sources(self, me: NodeId, block: Block) -> list[NDArray[Any]] | None:
        found: list[NDArray[Any]] = []
        for member in self.work.order.assignment.givers():
            data = self._own(member.root, block) if member.node == me else self.raw.get((member.root, block.number))
            if data is None:
                return None
            found.append(block.array(data.data))
        return found

    def _own(self, root: Digest, block: Block) -> Bytes:
        """A checked copy of my own block: the program could write to the memory that it shares with this node."""
        copy = np.empty(block.nbytes, np.uint8)
        copy.data[:] = block.of(self.work.contribution)
        if blake3(copy.data).digest() != self.lists[root][block.number]:
            raise OwnChanged("the contribution was changed after it was signed")
        return copy

    def _base(self, block: Block) -> Buffer | None:
        return None if self.work.base is None else block.of(self.work.base)

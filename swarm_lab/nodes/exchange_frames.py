"""What a sharded exchange sends: frames of blocks, digests, tables, slices and questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pydantic import TypeAdapter

from swarm_lab.nodes.exchange_memory import Memory
from swarm_lab.nodes.frames import Head, Kind
from swarm_lab.rounds.exchange import Ask, Exchange
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.messages import NodeId
from swarm_lab.rounds.slices import SignedSlice

SIGNED: Final[TypeAdapter[SignedSlice]] = TypeAdapter(SignedSlice)
ASKED: Final = 256
"""Blocks that one frame asks for."""

FRAME: Final = 1 << 20
"""Bytes of blocks that travel together, unless one alone is larger."""
_SMALL = 64 * 1024
_LARGEST_TABLES = 8 * 1024 * 1024

SendFrame = Callable[[NodeId, Head, "Buffer | None"], None]
"""Queues a frame and returns at once; the body must stay as it is until it was sent, or the exchange is over."""


def most_bytes(layout: Layout, head: Head) -> int:
    """The most bytes that the body of a frame may have in an exchange of such a model."""
    if head.kind in ("BLOCK", "MERGED"):
        return sum(block.nbytes for block in layout.blocks[head.block : head.block + head.count])
    if head.kind == "LIST":
        return 32 * len(layout.blocks)
    return _LARGEST_TABLES if head.kind == "TABLES" else _SMALL


def runs(layout: Layout, blocks: Sequence[int]) -> Iterator[range]:
    """Ascending blocks as runs that follow one another and fit a frame: small frames cost more than what they carry."""
    start, nbytes = 0, 0
    for at, number in enumerate(blocks):
        size = layout.blocks[number].nbytes
        if at > start and (blocks[at - 1] != number - 1 or nbytes + size > FRAME):
            yield range(blocks[start], blocks[at - 1] + 1)
            start, nbytes = at, 0
        nbytes += size
    if blocks:
        yield range(blocks[start], blocks[-1] + 1)


class FrameSender:
    """Of one training on one node."""

    def __init__(self, me: NodeId, training: str, send: SendFrame) -> None:
        self._me = me
        self._training = training
        self._send = send

    def give(self, memory: Memory, to: NodeId, blocks: Sequence[int], with_list: bool = False) -> None:
        """Blocks of my contribution, after the digests that they are checked by."""
        root = next(m.root for m in memory.work.order.assignment.members if m.node == self._me)
        if with_list or to not in memory.listed:
            memory.listed.add(to)
            self._frame(to, "LIST", b"".join(memory.work.digests), root=root)
        for run in runs(memory.layout, blocks):
            self._frame(to, "BLOCK", memory.own(run), root=root, run=run)

    def merged(self, memory: Memory, blocks: Sequence[int], to: Sequence[NodeId]) -> None:
        """Merged blocks."""
        for run in runs(memory.layout, blocks):
            data = memory.merged_run(run)
            for node in to:
                self._frame(node, "MERGED", data, run=run, key=memory.assignment)

    def slice(self, memory: Memory, signed: SignedSlice, to: Sequence[NodeId]) -> None:
        """What a merger signed."""
        for node in to:
            self._frame(node, "SLICE", SIGNED.dump_json(signed), key=memory.assignment)

    def tables(self, memory: Memory, blocks: Sequence[int], to: Sequence[NodeId]) -> None:
        """The tables of my share, if they are all made."""
        numbers = memory.tabled(blocks)
        if all(number in memory.tables for number in numbers):
            data = b"".join(memory.tables[number].tobytes() for number in numbers)
            for node in to:
                self._frame(node, "TABLES", data, key=memory.assignment)

    def ask(self, memory: Memory, order: Ask) -> None:
        """For what is missing."""
        for at in range(0, max(1, len(order.blocks)), ASKED):
            blocks = order.blocks[at : at + ASKED]
            head = Head(self._training, "NEED", order.what, memory.assignment, blocks=blocks, text=order.owner)
            self._send(order.to, head, None)

    def answer(self, memory: Memory, exchange: Exchange, sender: NodeId, head: Head) -> None:
        """Give a member what it lacks, as far as it is here; the exchange must not change meanwhile."""
        if sender not in memory.others(self._me):
            return
        what, owner, current = head.name, head.text, head.key == memory.assignment
        if what == "raw" and (blocks := exchange.answer("raw", owner, head.blocks)):
            self.give(memory, sender, blocks, with_list=True)
        if not current:
            return
        if what == "tables" and owner == self._me:
            self.tables(memory, exchange.share_of(owner), [sender])
        if what == "merged":
            self.merged(memory, exchange.answer("merged", owner, head.blocks), [sender])
        for signed in exchange.slices() if what in ("merged", "slice") else ():
            if signed.merger == owner:
                self.slice(memory, signed, [sender])

    def _frame(
        self, to: NodeId, kind: Kind, body: Buffer, root: str = "", key: str = "", run: range = range(1)
    ) -> None:
        self._send(to, Head(self._training, kind, key=key, root=root, block=run.start, count=len(run)), body)

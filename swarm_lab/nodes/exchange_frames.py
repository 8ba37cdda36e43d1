"""What a sharded exchange sends: frames of blocks, digests, tables, slices and questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pydantic import TypeAdapter

from swarm_lab.nodes.exchange_memory import Memory
from swarm_lab.nodes.frames import Head, Kind
from swarm_lab.rounds.exchange import Ask
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.messages import NodeId
from swarm_lab.rounds.slices import SignedSlice

SIGNED: Final[TypeAdapter[SignedSlice]] = TypeAdapter(SignedSlice)
ASKED: Final = 256
"""Blocks that one frame asks for."""

_SMALL = 64 * 1024
_LARGEST_TABLES = 8 * 1024 * 1024

SendFrame = Callable[[NodeId, Head, "Buffer | None"], None]
"""Queues a frame and returns at once; the body must stay as it is until it was sent, or the exchange is over."""


def most_bytes(layout: Layout, head: Head) -> int:
    """The most bytes that the body of a frame may have in an exchange of such a model."""
    if head.kind in ("BLOCK", "MERGED"):
        return layout.blocks[head.block].nbytes if head.block < len(layout.blocks) else 0
    if head.kind == "LIST":
        return 32 * len(layout.blocks)
    return _LARGEST_TABLES if head.kind == "TABLES" else _SMALL


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
        for number in blocks:
            block = memory.layout.blocks[number]
            self._frame(to, "BLOCK", memory.own(block), root=root, block=number)

    def merged(self, memory: Memory, number: int, to: Sequence[NodeId]) -> None:
        """A merged block."""
        block = memory.layout.blocks[number]
        data = memory.encoded(block, block.of(memory.work.out))
        for node in to:
            self._frame(node, "MERGED", data, block=number, key=memory.assignment)

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

    def _frame(self, to: NodeId, kind: Kind, body: Buffer, root: str = "", block: int = 0, key: str = "") -> None:
        self._send(to, Head(self._training, kind, key=key, root=root, block=block), body)

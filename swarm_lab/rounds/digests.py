"""One pass over a model: the digests of its blocks, and whether all its values are finite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from swarm_lab.rounds.layout import Block, Buffer, Layout, find_not_finite, root_of
from swarm_lab.rounds.merge_floats import FLOATS
from swarm_lab.rounds.merge_slabs import Scratch, available_threads, in_threads

_SMALL = 1 << 22  # bytes below which a thread costs more than it saves


@dataclass(frozen=True, slots=True)
class Examined:
    """`root` of a model and `blocks`, the BLAKE3 digests of its blocks; `not_finite` names a tensor with NaN or Inf."""

    root: str
    blocks: tuple[bytes, ...]
    not_finite: str | None


def examine(layout: Layout, buffer: Buffer, threads: int | None = None) -> Examined:
    """Read each block once, while it is in the cache; releases the interpreter's lock for most of it."""
    view = memoryview(buffer).cast("B")
    digests = [b""] * len(layout.blocks)
    bad: list[int] = []

    def read(block: Block, scratch: Scratch) -> None:
        data = block.of(view)
        digests[block.number] = blake3(data).digest()
        if not is_finite(block, data, scratch):
            bad.append(block.number)

    workers = threads or (available_threads() if layout.nbytes > _SMALL else 1)
    in_threads(layout.blocks, read, workers)
    return Examined(root_of(layout, digests), tuple(digests), find_not_finite(layout, buffer) if bad else None)


def is_finite(block: Block, data: Buffer, scratch: Scratch) -> bool:
    """Whether a block's floats are finite; other dtypes always are."""
    if block.dtype not in FLOATS:
        return True
    values: NDArray[np.generic] = block.array(data)
    if block.dtype == "BF16":
        return bool(((values.view(np.uint16) & 0x7F80) != 0x7F80).all())
    finite = scratch.row("finite", block.count, np.bool_)
    return bool(np.isfinite(values, out=finite).all())


def tensor_at(layout: Layout, block: Block, data: Buffer) -> str:
    """Name of the tensor that holds the first value of a block that is not finite; "" where all are."""
    values = block.array(data).astype(np.float64)
    found = np.flatnonzero(~np.isfinite(values))
    if not found.size:
        return ""
    at = block.start + int(found[0]) * (block.nbytes // block.count)
    return next(s.name for s in layout.specs if layout.offsets[s.name] <= at < layout.offsets[s.name] + s.nbytes)

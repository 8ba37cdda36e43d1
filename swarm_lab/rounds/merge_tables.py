"""Inner products of the contributions, block by block: from them follow all distances within a model of any size.

A table is n x n float64, sum over a block's elements of (x_i - b)(x_j - b), with b the model that the interval started
from (0 where there is none): distances between updates do not drown in the size of the weights. Sums run in an order
that is fixed by the block and n alone and use elementwise multiplication and addition only, neither BLAS nor a fused
multiply-add: a table is the same to the bit whoever makes it, with any number of threads. Only floats have tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.merge_floats import FLOATS, Array, widen
from swarm_lab.rounds.merge_slabs import Scratch, in_threads

Table = NDArray[np.float64]

_LANES = 128
_STRIDE = 1 << 17


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    sources: tuple[Array, ...]
    base: Array | None


def tables(layout: Layout, contributions: Sequence[Buffer], base: Buffer | None, threads: int) -> list[Table]:
    """The table of each block of floats, in block order; of n contributions in ascending node id."""
    blocks = _blocks(layout, contributions, base)
    n = len(contributions)
    found: list[Table] = [np.zeros((n, n))] * len(blocks)

    def fill(block: _Block, scratch: Scratch) -> None:
        found[block.number] = block_table(block.sources, block.base, scratch)

    in_threads(blocks, fill, threads)
    return found


def block_table(sources: Sequence[Array], base: Array | None, scratch: Scratch) -> Table:
    """The table of one block of floats, from its flat arrays; what `tables` gives for it."""
    # A value beyond float64's range of squares makes its contribution infinitely far, which is no fault here.
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return _table(_Block(0, tuple(sources), base), scratch)


def total(found: Sequence[Table], n: int) -> Table:
    """The table of the whole model: blocks added in their order."""
    whole = np.zeros((n, n))
    with np.errstate(over="ignore", invalid="ignore"):
        for table in found:
            whole += table
    return whole


def _blocks(layout: Layout, contributions: Sequence[Buffer], base: Buffer | None) -> list[_Block]:
    blocks: list[_Block] = []
    for block in layout.blocks:
        if block.dtype in FLOATS:
            sources = tuple(block.array(block.of(buffer)) for buffer in contributions)
            blocks.append(_Block(len(blocks), sources, None if base is None else block.array(block.of(base))))
    return blocks


def _table(block: _Block, scratch: Scratch) -> Table:
    """Element e of a stride goes to lane e mod 128; strides, lanes and their halves are added in order."""
    n, count = len(block.sources), len(block.sources[0])
    stride = max(_LANES, (_STRIDE // n) // _LANES * _LANES)
    sums = scratch.rows("sums", n * n, _LANES, np.float64).reshape(n, n, _LANES)
    sums[...] = 0
    for start in range(0, count, stride):
        piece = slice(start, min(start + stride, count))
        updates = _updates(block, piece, scratch, stride)
        lanes = updates.shape[1] // _LANES
        products = scratch.rows("products", n, stride, np.float64)[:, : updates.shape[1]]
        for i in range(n):
            np.multiply(updates[i], updates[i:], out=products[i:])
            sums[i, i:] += products[i:].reshape(n - i, lanes, _LANES).sum(axis=1)
    width = _LANES
    while width > 1:
        width //= 2
        sums[..., :width] += sums[..., width : 2 * width]
    upper = np.triu(sums[..., 0])
    return upper + np.triu(upper, 1).T


def _updates(block: _Block, piece: slice, scratch: Scratch, stride: int) -> Table:
    """x - b of all contributions in float64; filled up with zeros to whole lanes, which add nothing."""
    size = piece.stop - piece.start
    filled = -(-size // _LANES) * _LANES
    updates = scratch.rows("updates", len(block.sources), stride, np.float64)[:, :filled]
    updates[:, size:] = 0
    base = scratch.row("base", stride, np.float64)[:size]
    if block.base is not None:
        widen(block.base[piece], base)
    for row, source in zip(updates, block.sources, strict=True):
        widen(source[piece], row[:size])
        if block.base is not None:
            np.subtract(row[:size], base, out=row[:size])
    return updates

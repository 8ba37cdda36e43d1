"""Merging models: the same set gives the same bits, in whatever order the contributions arrived.

Section 10 of the round protocol: contributions in the order that the caller fixes (ascending node id), elementwise
multiply, then add, each rounded, in float64; one division last; one rounding to the tensor's dtype. No BLAS and no
fused multiply-add, whose results differ between machines. Integers are summed exactly, divided, and rounded half to
even; booleans go by weighted majority, a tie to the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_lab.rounds.layout import DTYPES, Buffer, Layout, Run

# Elements merged at a time: the working set of a chunk stays in the processor's cache.
CHUNK = 1 << 16

_FLOATS = ("F64", "F32", "F16", "BF16")


def weighted_mean(layout: Layout, contributions: Sequence[tuple[int, Buffer]], base: Buffer | None) -> bytearray:
    """Weighted mean of models of one layout.

    `contributions` are (weight, buffer) in ascending node id, weights integers >= 0. `base` is the model that the
    interval started from, None in round 1: it decides ties of booleans, and is the result when all weights are 0.
    Raises `ValueError` when nothing is left to average.
    """
    total = sum(weight for weight, _ in contributions)
    if total <= 0:
        if base is None:
            raise ValueError("no contribution has a weight, and there is no model before this round")
        return bytearray(base)
    merged = bytearray(layout.nbytes)
    for run in layout.runs:
        sources = [(weight, layout.array(run, buffer)) for weight, buffer in contributions if weight]
        before = None if base is None else layout.array(run, base)
        _merge_run(run, layout.array(run, merged), sources, total, before)
    return merged


def _merge_run(
    run: Run,
    out: NDArray[np.generic],
    sources: Sequence[tuple[int, NDArray[np.generic]]],
    total: int,
    before: NDArray[np.generic] | None,
) -> None:
    for start in range(0, run.count, CHUNK):
        cut = slice(start, min(start + CHUNK, run.count))
        chunks = [(weight, source[cut]) for weight, source in sources]
        if run.dtype in _FLOATS:
            out[cut] = _mean_of_floats(chunks, total).astype(out.dtype)
        elif run.dtype == "BOOL":
            out[cut] = _majority(chunks, total, None if before is None else before[cut])
        else:
            out[cut] = _mean_of_integers(chunks, total, DTYPES[run.dtype])


def _mean_of_floats(chunks: Sequence[tuple[int, NDArray[np.generic]]], total: int) -> NDArray[np.float64]:
    accumulator = np.zeros(len(chunks[0][1]), np.float64)
    product = np.empty_like(accumulator)
    for weight, chunk in chunks:
        np.multiply(chunk.astype(np.float64), float(weight), out=product)
        np.add(accumulator, product, out=accumulator)
    return np.divide(accumulator, float(total), out=accumulator)


def _mean_of_integers(
    chunks: Sequence[tuple[int, NDArray[np.generic]]], total: int, dtype: np.dtype
) -> NDArray[np.generic]:
    # int64 holds the sum of every dtype up to 32 bits; wider ones may overflow it and go by Python's own integers.
    wide = dtype.itemsize == 8 and max(int(np.abs(c.astype(object)).max(initial=0)) for _, c in chunks) > 2**62 // total
    kind: type = object if wide else np.int64
    weighted: NDArray[Any] = np.zeros(len(chunks[0][1]), kind)
    for weight, chunk in chunks:
        weighted = weighted + chunk.astype(kind) * weight
    quotient, twice = weighted // total, (weighted % total) * 2
    up = (twice > total) | ((twice == total) & (quotient % 2 == 1))
    result: NDArray[np.generic] = (quotient + up.astype(kind)).astype(dtype)
    return result


def _majority(
    chunks: Sequence[tuple[int, NDArray[np.generic]]], total: int, before: NDArray[np.generic] | None
) -> NDArray[np.bool_]:
    votes = sum((chunk.astype(np.int64) * weight for weight, chunk in chunks), np.zeros(len(chunks[0][1]), np.int64))
    tie = before.astype(np.bool_) if before is not None else np.zeros(len(votes), np.bool_)
    return np.where(votes * 2 == total, tie, votes * 2 > total)


def rebase(layout: Layout, merged: Buffer, local: Buffer, base: Buffer) -> bytearray:
    """The merged model plus what this node has learnt since `base`: M + (x - base).

    Floats in float64 with one rounding, integers exactly (modulo the dtype's range), booleans as in the merged model.
    """
    result = bytearray(merged)
    for run in layout.runs:
        if run.dtype == "BOOL":
            continue
        out, x, b = (layout.array(run, buffer) for buffer in (result, local, base))
        kind = np.float64 if run.dtype in _FLOATS else out.dtype
        for start in range(0, run.count, CHUNK):
            cut = slice(start, min(start + CHUNK, run.count))
            out[cut] = (out[cut].astype(kind) + (x[cut].astype(kind) - b[cut].astype(kind))).astype(out.dtype)
    return result

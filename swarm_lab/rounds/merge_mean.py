"""The weighted mean, LC-50: multiplied, added in the order of the contributions, divided last, rounded once.

Elementwise multiply, then add, each rounded, in float64; no BLAS and no fused multiply-add, whose results differ
between machines. Integers are summed exactly, divided, and rounded half to even; booleans go by weighted majority, a
tie to the model before.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarm_lab.rounds.merge_floats import Array, narrow, widen
from swarm_lab.rounds.merge_slabs import Slab


def mean_of_floats(slab: Slab) -> None:
    """Weighted mean of floats, with the nodes' weights."""
    mean_with(slab, slab.weights)


def mean_with(slab: Slab, weights: Sequence[float]) -> None:
    """Weighted mean of floats with any weights >= 0, of which at least one is not 0."""
    count = len(slab.out)
    sums, product = slab.scratch.rows("mean", 2, count, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        _sum_into(sums, product, slab.sources, weights)
        np.divide(sums, fsum(weights), out=sums)
    if slab.dtype == "F64":
        lost = np.flatnonzero(~np.isfinite(sums))
        if lost.size:
            sums[lost] = _mean_of_huge([source[lost] for source in slab.sources], weights)
    narrow(sums, slab.out)


def _sum_into(sums: Array, product: Array, sources: Sequence[Array], weights: Sequence[float]) -> None:
    first = True
    for source, weight in zip(sources, weights, strict=True):
        if weight == 0:
            continue
        target = sums if first else product
        widen(source, target)
        if weight != 1:
            np.multiply(target, float(weight), out=target)
        if not first:
            np.add(sums, product, out=sums)
        first = False


def _mean_of_huge(sources: Sequence[Array], weights: Sequence[float]) -> Array:
    """float64 values whose sum overflows: scaled down by a power of two, which is exact for them, and back."""
    total = fsum(weights)
    shift = max(int(total).bit_length(), 0) + 1
    sums: NDArray[np.float64] = np.zeros(len(sources[0]))
    for source, weight in zip(sources, weights, strict=True):
        sums = sums + np.ldexp(source, -shift) * float(weight)
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        mean: Array = np.ldexp(sums / total, shift)
    return np.clip(mean, -largest, largest)


def mean_of_integers(slab: Slab) -> None:
    """Weighted mean of integers: the exact quotient, half to even."""
    total = sum(slab.weights)
    largest = max((_size(source) for source in slab.sources), default=0)
    # Where int64 does not hold the sum, Python's own integers do.
    kind: type = object if largest * total > 2**62 else np.int64
    weighted: NDArray[Any] = np.zeros(len(slab.out), kind)
    for source, weight in zip(slab.sources, slab.weights, strict=True):
        weighted = weighted + source.astype(kind) * weight
    quotient, twice = weighted // total, (weighted % total) * 2
    up = (twice > total) | ((twice == total) & (quotient % 2 == 1))
    slab.out[...] = (quotient + up.astype(kind)).astype(slab.out.dtype)


def _size(source: Array) -> int:
    return max(abs(int(source.min())), abs(int(source.max())))


def majority(slab: Slab) -> None:
    """Weighted majority of booleans; a tie goes to the model before, and to False where there is none."""
    votes = np.zeros(len(slab.out), np.int64)
    for source, weight in zip(slab.sources, slab.weights, strict=True):
        votes += source.astype(np.int64) * weight
    total = sum(slab.weights)
    tie = np.zeros(len(votes), np.bool_) if slab.before is None else slab.before.astype(np.bool_)
    slab.out[...] = np.where(votes * 2 == total, tie, votes * 2 > total)

"""The weighted median of each coordinate, LC-51: exact, and rounded once where two values are averaged.

It is the 0.5 quantile of the contributions' values: the least value at which the weights of all no greater reach half
of the total (the lower weighted median), and where they reach it exactly the mean of that value and the next (the upper
one). Equal weights give the usual median: the middle value, or the mean of the two in the middle. Any values of nodes
with less than half of the weight leave it within the range of the others.

Integers: the mean of two values is exact, a half goes to the even neighbour. Zero is +0.0 in every result: minimum and
maximum do not tell -0.0 from it, and which one is chosen would depend on the place in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from swarm_lab.rounds import merge_networks
from swarm_lab.rounds.merge_floats import Array, narrow, widen
from swarm_lab.rounds.merge_slabs import Scratch, Slab

# Beyond so many contributions a sort of numpy's does it; networks were measured faster below.
MOST_NETWORKED = 64
_KEY_WEIGHTS = 1 << 31


def median_of_floats(slab: Slab) -> None:
    """Weighted median of floats; 16-bit ones in float32, whose 24 bits make its second rounding harmless.

    (Double rounding of a sum of two numbers of p bits is innocuous from 2p + 2 bits on: Figueroa 1995.)
    """
    kind: type = np.float64 if slab.dtype == "F64" else np.float32
    count = len(slab.out)
    sources = slab.sources
    if slab.out.dtype != kind:
        wide = slab.scratch.rows("wide", len(sources), count, kind)
        for row, source in zip(wide, sources, strict=True):
            widen(source, row)
        sources = tuple(wide)
    found = _middle(sources, slab.weights, slab.scratch)
    result = slab.out if slab.out.dtype == kind else slab.scratch.row("median", count, kind)
    if len(found) == 1:
        np.add(found[0], kind(0), out=result)
    else:
        mean_of_two(found[0], found[1], slab.scratch.row("between", count, kind), result)
    if result is not slab.out:
        narrow(result, slab.out)


def mean_of_two(first: Array, second: Array, between: Array, out: Array) -> None:
    """(first + second) / 2 of float32 or float64, correctly rounded.

    A sum that is large is rounded once and halved exactly; one so small that the half may be rounded is exact itself.
    Sums that overflow are those of large numbers, whose halves are exact.
    """
    kind = between.dtype.type
    try:
        with np.errstate(over="raise"):
            np.add(first, second, out=between)
    except FloatingPointError:
        with np.errstate(over="ignore"):
            np.add(first, second, out=between)
        large = np.isinf(between)
        np.multiply(between, kind(0.5), out=between)
        between[large] = first[large] * kind(0.5) + second[large] * kind(0.5)
    else:
        np.multiply(between, kind(0.5), out=between)
    np.add(between, kind(0), out=out)


def median_of_integers(slab: Slab) -> None:
    """Weighted median of integers; the mean of two is exact, half to even, without leaving the dtype."""
    found = _middle(slab.sources, slab.weights, slab.scratch)
    if len(found) == 1:
        slab.out[...] = found[0]
        return
    first, second = found
    differ = first ^ second
    floor = (first & second) + (differ >> 1)
    slab.out[...] = floor + (differ & floor & 1)


def _middle(sources: Sequence[Array], weights: tuple[int, ...], scratch: Scratch) -> list[Array]:
    """Lower and upper weighted median in any order, or one where they cannot differ; never to be written to."""
    n, count, dtype = len(sources), len(sources[0]), sources[0].dtype
    if n <= MOST_NETWORKED:
        network = merge_networks.median(weights, _most_steps(weights))
        if network is not None:
            return network.run(sources, scratch.rows("network", network.rows, count, dtype))
        if dtype == np.float32 and sum(weights) < _KEY_WEIGHTS:
            return _by_keys(sources, weights, scratch)
    return _by_sorting(sources, weights)


def _most_steps(weights: tuple[int, ...]) -> int:
    """Steps of a network beyond which sorting keys is cheaper: what that takes, counted in steps on float32."""
    n = len(weights)
    return 2 * len(merge_networks.sorting(n).steps) + 20 * n


def _by_keys(sources: Sequence[Array], weights: tuple[int, ...], scratch: Scratch) -> list[Array]:
    """float32: value and weight in one int64 each, sorted by a network, their weights summed up to half."""
    n, count, total = len(sources), len(sources[0]), sum(weights)
    network = merge_networks.sorting(n)
    keys = scratch.rows("keys", n, count, np.int64)
    for key, source in zip(keys, sources, strict=True):
        key[...] = _ordered(source.view(np.int32))
    keys <<= 32
    keys |= np.asarray(weights, np.int64)[:, None]
    ranked = network.run(list(keys), scratch.rows("sorted", network.rows, count, np.int64))
    so_far = scratch.row("so far", count, np.int64)
    weight_of = scratch.row("weight", count, np.int64)
    low, high = scratch.rows("middle", 2, count, np.int64)
    so_far[...] = 0
    low[...] = high[...] = ranked[0]
    undecided = merge_networks.ties(weights)
    for before, key in pairwise(ranked):
        np.bitwise_and(before, 0xFFFFFFFF, out=weight_of)
        np.add(so_far, weight_of, out=so_far)
        # Half and more of what is doubled: weights are whole, so that 2 * sum < total is sum < total / 2 exactly.
        np.copyto(low, key, where=so_far < (total + 1) // 2)
        if undecided:
            np.copyto(high, key, where=so_far <= total // 2)
    chosen = [low, high] if undecided else [low]
    return [_ordered((key >> 32).astype(np.int32)).view(np.float32) for key in chosen]


def _ordered(bits: Array) -> Array:
    """The bits of float32 as integers of the same order, and back."""
    ordered: Array = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return ordered


def _by_sorting(sources: Sequence[Array], weights: tuple[int, ...]) -> list[Array]:
    """Any dtype and number: by numpy's sorts."""
    stack, total = np.stack(sources), sum(weights)
    if len(set(weights)) == 1:
        low, high = (len(sources) - 1) // 2, len(sources) // 2
        stack.partition(sorted({low, high}), axis=0)
        return [stack[low]] if low == high else [stack[low], stack[high]]
    order = np.argsort(stack, axis=0, kind="stable")
    ranked = np.take_along_axis(stack, order, axis=0)
    so_far = np.cumsum(np.asarray(weights, np.int64)[order], axis=0)
    found = [so_far >= (total + 1) // 2]
    if merge_networks.ties(weights):
        found.append(so_far > total // 2)
    return [np.take_along_axis(ranked, reached.argmax(axis=0)[None], axis=0)[0] for reached in found]

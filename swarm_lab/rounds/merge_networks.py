"""Networks of minima and maxima that find a weighted median: which steps, in which order, in how few rows.

The lower weighted median is the least value at which the weights of all that are no greater reach half of the total;
the upper one the least at which they exceed it (Edgeworth 1888; Cormen et al., Introduction to Algorithms, problem
9-2). The two differ only where the weights split into exact halves. Equal weights need two ranks of a sorting network
(Batcher 1968), cut down to the steps that lead there; other weights a threshold function, written as minima of maxima.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MIN, _MAX = 0, 1
_UFUNCS: tuple[Callable[..., Any], ...] = (np.minimum, np.maximum)


@dataclass(frozen=True, slots=True)
class Network:
    """Steps (kind, first, second, into) on rows: the inputs come first and are only read, then `rows` to write to."""

    inputs: int
    rows: int
    steps: tuple[tuple[int, int, int, int], ...]
    outputs: tuple[int, ...]

    def run(self, sources: Sequence[NDArray[Any]], scratch: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs: rows of `scratch`, of shape (rows, count), or sources themselves."""
        rows = [*sources, *scratch]
        for kind, first, second, into in self.steps:
            _UFUNCS[kind](rows[first], rows[second], out=rows[into])
        return [rows[output] for output in self.outputs]


@dataclass(slots=True)
class _Graph:
    """Steps as they are thought of, each value with a number of its own, the same step never twice."""

    inputs: int
    steps: list[tuple[int, int, int]] = field(default_factory=list)
    known: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def step(self, kind: int, first: int, second: int) -> int:
        if first == second:
            return first
        key = (kind, min(first, second), max(first, second))
        if key not in self.known:
            self.known[key] = self.inputs + len(self.steps)
            self.steps.append(key)
        return self.known[key]

    def parts(self, value: int) -> tuple[int, int, int] | None:
        return self.steps[value - self.inputs] if value >= self.inputs else None


@lru_cache(maxsize=64)
def sorting(n: int) -> Network:
    """Sorts n inputs: output k is the k-th least."""
    graph = _Graph(n)
    return _in_rows(graph, _batcher(graph))


@lru_cache(maxsize=64)
def median(weights: tuple[int, ...], most_steps: int) -> Network | None:
    """Finds lower and upper weighted median, in one output where they cannot differ; None if it takes more steps.

    The two outputs are in no order: they are there to be averaged.
    """
    found = []
    if len(set(weights)) == 1:
        graph = _Graph(len(weights))
        ranks = _batcher(graph)
        low, high = ranks[(len(weights) - 1) // 2], ranks[len(weights) // 2]
        found.append(_in_rows(graph, _undecided(graph, low, high)))
    graph, half = _Graph(len(weights)), sum(weights) // 2
    thresholds = [half, half + 1] if ties(weights) else [half + 1]
    try:
        outputs = [_threshold(graph, weights, need, most_steps) for need in thresholds]
        found.append(_in_rows(graph, outputs))
    except _TooManyError:
        pass
    short = [network for network in found if len(network.steps) <= most_steps]
    return min(short, key=lambda network: len(network.steps), default=None)


def ties(weights: tuple[int, ...]) -> bool:
    """Whether some of the weights sum to exactly half of the total."""
    total = sum(weights)
    return total % 2 == 0 and bool(_subset_sums(weights)[0] >> (total // 2) & 1)


def _batcher(graph: _Graph) -> list[int]:
    """Batcher's odd-even merge sort (1968) on the inputs; the values in ascending order."""
    n = graph.inputs
    lines = list(range(n))
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                for i in range(j, min(j + k, n - k)):
                    if i // (p * 2) == (i + k) // (p * 2):
                        first, second = lines[i], lines[i + k]
                        lines[i], lines[i + k] = graph.step(_MIN, first, second), graph.step(_MAX, first, second)
            k //= 2
        p *= 2
    return lines


def _undecided(graph: _Graph, low: int, high: int) -> list[int]:
    """The two middle values without the last step if that only puts them in order."""
    if low == high:
        return [low]
    below, above = graph.parts(low), graph.parts(high)
    if below and above and (below[0], above[0]) == (_MIN, _MAX) and below[1:] == above[1:]:
        return list(below[1:])
    return [low, high]


def _subset_sums(weights: tuple[int, ...]) -> list[int]:
    """For each k the sums that subsets of weights[k:] reach, as the bits of a number."""
    sums = [1]
    for weight in reversed(weights):
        sums.append(sums[-1] | sums[-1] << weight)
    return sums[::-1]


class _TooManyError(Exception):
    """The threshold function has more steps than it is worth."""


def _threshold(graph: _Graph, weights: tuple[int, ...], need: int, most_steps: int) -> int:
    """The least input such that the weights of all inputs no greater sum to `need` or more.

    Over inputs k and later it is min(without k, max(input k, what the rest must still reach with k)). `need` is raised
    to the next sum that can be reached, so that equal functions are built once; heavy inputs first leave fewer of them.
    """
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
    weights = tuple(weights[i] for i in order)
    sums = _subset_sums(weights)
    memo: dict[tuple[int, int], int | None] = {}

    def least(k: int, need: int) -> int | None:
        if len(graph.steps) > most_steps:
            raise _TooManyError
        reached = sums[k] >> need
        if not reached:
            return None
        need += (reached & -reached).bit_length() - 1
        if (k, need) not in memo:
            without = least(k + 1, need)
            if need <= weights[k]:
                with_k = order[k]
            else:
                rest = least(k + 1, need - weights[k])
                with_k = graph.step(_MAX, order[k], rest) if rest is not None else -1
            if with_k < 0:
                memo[k, need] = without
            else:
                memo[k, need] = with_k if without is None else graph.step(_MIN, without, with_k)
        return memo[k, need]

    value = least(0, need)
    if value is None:
        raise ValueError("the weights do not reach so far")
    return value


def _in_rows(graph: _Graph, outputs: list[int]) -> Network:
    """Leave out the steps that no output needs, and use each row again as soon as its value is done with."""
    last: dict[int, int] = {}
    needed = set(outputs)
    for number in range(len(graph.steps) - 1, -1, -1):
        value = graph.inputs + number
        if value in needed:
            for part in graph.steps[number][1:]:
                needed.add(part)
                last.setdefault(part, value)
    place = {value: value for value in range(graph.inputs)}
    free: list[int] = []
    rows, steps = 0, []
    for number, (kind, first, second) in enumerate(graph.steps):
        value = graph.inputs + number
        if value not in needed:
            continue
        ended = [p for p in (first, second) if last.get(p) == value and p not in outputs and p >= graph.inputs]
        sources = place[first], place[second]
        free.extend(place[part] for part in ended)
        if not free:
            free.append(graph.inputs + rows)
            rows += 1
        place[value] = free.pop()
        steps.append((kind, *sources, place[value]))
    return Network(graph.inputs, rows, tuple(steps), tuple(place[output] for output in outputs))

"""The geometric median, LC-52: the point whose weighted sum of distances to the contributions is least.

Weiszfeld (1937), starting from the weighted mean. Each iterate is a weighted mean of the contributions, so that the
iteration needs their inner products only (`merge_tables`) and runs on n numbers, not on the model, which is read twice
whatever the number of iterations. The distances are those of the whole model, not of a layer: floats of all dtypes.

* A contribution that is itself the median, strictly, is found by Kuhn's condition (1973) and taken bit for bit, as
  Weiszfeld would come near it very slowly.
* An iterate that meets a contribution goes on by the rule of Vardi and Zhang (2000).
* It stops when an iterate moves by at most 1e-9 of the harmonic mean of its distances to the contributions (which those
  far away do not raise), when the last three moves are equal, when it comes back to one of the last two iterates, and
  after 1000 iterations.

Sums over contributions run in their order or are exact (`fsum`): the weights are the same to the bit everywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

TOLERANCE = 1e-9
MOST_ITERATIONS = 1000
# Squared distances below this share of the squared norms that they are computed from are rounding.
_NOISE = 1e-14
_STRICTLY = 1 - 1e-9


def geometric_weights(products: Vector, weights: Sequence[int]) -> tuple[float, ...]:
    """Weights of the weighted mean that is the geometric median; `products` as `merge_tables` makes them, n x n.

    A contribution so far away that its squares overflow float64 (only float64 tensors can be) gets weight 0.
    """
    n = len(weights)
    near = [i for i in range(n) if np.isfinite(products[i, i])]
    if not near:
        return tuple(float(weight) for weight in weights)
    found = np.zeros(n)
    found[near] = _weights(products[np.ix_(near, near)], np.asarray(weights, np.float64)[near])
    return tuple(float(weight) for weight in found)


def _weights(products: Vector, weights: Vector) -> Vector:
    vertex = _vertex(products, weights)
    if vertex is not None:
        found = np.zeros(len(weights))
        found[vertex] = 1.0
        return found
    at = weights / fsum(weights)
    moves: deque[float] = deque(maxlen=3)
    last: deque[Vector] = deque(maxlen=2)
    for _ in range(MOST_ITERATIONS):
        squares, noise = _squares(products, at)
        after = _step(products, weights, at, squares, noise)
        step = after - at
        move = sqrt(max(_quadratic(products, step), 0.0))
        far = squares > noise
        distance = fsum(weights[far]) / fsum(weights[far] / np.sqrt(squares[far])) if far.any() else 0.0
        moves.append(move)
        last.append(at)
        at = after
        circling = any(np.array_equal(at, earlier) for earlier in last)
        if move <= TOLERANCE * distance or circling or (len(moves) == 3 and len(set(moves)) == 1):
            break
    return at


def _step(products: Vector, weights: Vector, at: Vector, squares: Vector, noise: Vector) -> Vector:
    """The next iterate: Weiszfeld's, and that of Vardi and Zhang where this one lies on a contribution."""
    hit = squares <= noise
    if hit.all():
        return at
    pull = np.zeros(len(weights))
    pull[~hit] = weights[~hit] / np.sqrt(squares[~hit])
    after: Vector = pull / fsum(pull)
    if not hit.any():
        return after
    # What the others pull with, against what holds the iterate here.
    force = sqrt(max(_quadratic(products, pull - fsum(pull) * at), 0.0))
    held = fsum(weights[hit])
    if force <= held:
        return at
    stay = held / force
    return (1 - stay) * after + stay * at


def _vertex(products: Vector, weights: Vector) -> int | None:
    """The contribution that is the median: the others together pull at it less than its own weight (Kuhn 1973).

    Strictly less: where it is equal the median is not unique, and the iteration from the mean finds the middle.
    """
    for k in range(len(weights)):
        here = np.zeros(len(weights))
        here[k] = 1.0
        squares, noise = _squares(products, here)
        same = squares <= noise
        if same.all():
            return None
        pull = np.zeros(len(weights))
        pull[~same] = weights[~same] / np.sqrt(squares[~same])
        force = sqrt(max(_quadratic(products, pull - fsum(pull) * here), 0.0))
        if force < fsum(weights[same]) * _STRICTLY:
            return k
    return None


def _squares(products: Vector, at: Vector) -> tuple[Vector, Vector]:
    """Squared distances of the contributions from the iterate, and what of them may be rounding."""
    rows = (products * at[:, None]).sum(axis=0)
    own = products.diagonal()
    middle = fsum(at * rows)
    squares: Vector = np.maximum(own - 2 * rows + middle, 0.0)
    return squares, _NOISE * (own + max(middle, 0.0))


def _quadratic(products: Vector, at: Vector) -> float:
    return fsum(at * (products * at[:, None]).sum(axis=0))

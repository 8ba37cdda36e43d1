"""Merging models: the same set gives the same bits, in whatever order the contributions arrived.

Section 10 of the round protocol. A method says what is done with floats, integers and booleans of a slab; one with
global quantities (the geometric median) also how the contributions are weighted anew from their inner products.

| | floats | integers | booleans |
|---|---|---|---|
| `mean` | weighted mean | weighted mean, exact, half to even | weighted majority |
| `coordmedian` | weighted median of each coordinate | the same, half to even | weighted majority |
| `geomedian` | geometric median of all floats together | weighted median of each coordinate | weighted majority |

A tie of booleans goes to the model before the round. Weights count by their ratios; weight 0 is left out; one
contribution that is left is the result, bit for bit.

Memory beyond contributions, base and result, whatever the model's size: at most 6 MiB a thread with 8 contributions,
42 MiB with 64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np

from swarm_lab.rounds.layout import Buffer, Layout, Run
from swarm_lab.rounds.merge_floats import FLOATS, Array, narrow
from swarm_lab.rounds.merge_geometric import geometric_weights
from swarm_lab.rounds.merge_mean import majority, mean_of_floats, mean_of_integers, mean_with
from swarm_lab.rounds.merge_median import median_of_floats, median_of_integers
from swarm_lab.rounds.merge_slabs import CHUNK, Scratch, Slab, available_threads, chunk_for, in_threads
from swarm_lab.rounds.merge_tables import Table, tables, total

Kernel = Callable[[Slab], None]


@dataclass(frozen=True, slots=True)
class Method:
    """What a merge method does with a slab of each kind.

    With `weigh`, floats are the weighted mean by the weights that it gives from the table of the contributions' inner
    products and their own weights (`merge_tables`), and `floats` is not used.
    """

    floats: Kernel
    integers: Kernel
    booleans: Kernel = majority
    weigh: Callable[[Table, Sequence[int]], tuple[float, ...]] | None = None


# A further method is a row here: a trimmed mean is a kernel, Krum a `weigh`.
METHODS: dict[str, Method] = {
    "mean": Method(mean_of_floats, mean_of_integers),
    "coordmedian": Method(median_of_floats, median_of_integers),
    "geomedian": Method(mean_of_floats, median_of_integers, weigh=geometric_weights),
}


def merge(
    method: str,
    layout: Layout,
    contributions: Sequence[tuple[int, Buffer]],
    base: Buffer | None,
    *,
    threads: int | None = None,
    chunk: int | None = None,
) -> memoryview:
    """Merge models of one layout by `method`, a key of `METHODS`; the result is a buffer of the layout of its own.

    `contributions` are (weight, buffer) in ascending node id, weights integers >= 0; values finite. `base` is the model
    that the interval started from, None in round 1: it decides ties of booleans, is what `geomedian` measures updates
    from, and is the result when all weights are 0. `threads` and `chunk` (elements of a slab) change no bit.
    Raises `KeyError` for an unknown method and `ValueError` when nothing is left to merge.
    """
    kept = [(weight, buffer) for weight, buffer in contributions if weight > 0]
    recipe = Recipe(method, [weight for weight, _ in kept])
    # Unlike bytearray, which writes zeros first: for 50M parameters that takes as long as the merge.
    result = np.empty(layout.nbytes, np.uint8)
    if len(kept) <= 1:
        only = kept[0][1] if kept else base
        if only is None:
            raise ValueError("no contribution has a weight, and there is no model before this round")
        result[...] = np.frombuffer(only, np.uint8)
        return result.data
    buffers = [buffer for _, buffer in kept]
    workers = threads or (available_threads() if layout.nbytes * len(kept) > CHUNK else 1)
    if recipe.needs_tables:
        recipe.weigh(tables(layout, buffers, base, workers))

    def do(cut: tuple[Run, slice], scratch: Scratch) -> None:
        run, elements = cut
        recipe.merge(
            run.dtype,
            [layout.array(run, buffer)[elements] for buffer in buffers],
            None if base is None else layout.array(run, base)[elements],
            layout.array(run, result.data)[elements],
            scratch,
        )

    in_threads(list(_cuts(layout, chunk or chunk_for(len(kept)))), do, workers)
    return result.data


class Recipe:
    """How one set is merged, whatever piece of the model it is: method and weights.

    A method with global quantities needs `weigh`, with the tables of all blocks of floats, before anything is merged.
    """

    def __init__(self, method: str, weights: Sequence[int]) -> None:
        """`weights`: integers > 0 of the contributions, ascending by node; raises `KeyError` for an unknown method."""
        self._method = METHODS[method]
        divisor = gcd(*weights) or 1
        self.weights = tuple(weight // divisor for weight in weights)
        self._floats = self._method.floats

    @property
    def needs_tables(self) -> bool:
        """Whether `weigh` has to come first."""
        return self._method.weigh is not None and len(self.weights) > 1

    def weigh(self, found: Sequence[Table]) -> None:
        """Take the tables (`merge_tables`), in block order: the same weights for everybody."""
        assert self._method.weigh is not None
        anew = self._method.weigh(total(found, len(self.weights)), self.weights)
        self._floats = lambda slab: mean_with(slab, anew)

    def merge(self, dtype: str, sources: Sequence[Array], before: Array | None, out: Array, scratch: Scratch) -> None:
        """Merge flat arrays of one dtype and length into `out`, cut so that they stay in a processor's cache."""
        if len(sources) == 1:
            out[...] = sources[0]
            return
        method, chunk = self._method, chunk_for(len(sources))
        kernel = method.booleans if dtype == "BOOL" else self._floats if dtype in FLOATS else method.integers
        for start in range(0, len(out), chunk):
            piece = slice(start, start + chunk)
            kernel(
                Slab(
                    dtype=dtype,
                    weights=self.weights,
                    sources=tuple(source[piece] for source in sources),
                    before=None if before is None else before[piece],
                    out=out[piece],
                    scratch=scratch,
                )
            )


def _cuts(layout: Layout, chunk: int) -> Iterator[tuple[Run, slice]]:
    for run in layout.runs:
        for start in range(0, run.count, chunk):
            yield run, slice(start, min(start + chunk, run.count))


def rebase(layout: Layout, merged: Buffer, local: Buffer, base: Buffer) -> bytearray:
    """The merged model plus what this node has learnt since `base`: M + (x - base).

    Floats in float64 with one rounding, integers exactly (modulo the dtype's range), booleans as in the merged model.
    """
    result = bytearray(merged)
    for run in layout.runs:
        if run.dtype == "BOOL":
            continue
        out, x, b = (layout.array(run, buffer) for buffer in (result, local, base))
        kind = np.float64 if run.dtype in FLOATS else out.dtype
        for start in range(0, run.count, CHUNK):
            cut = slice(start, min(start + CHUNK, run.count))
            moved = out[cut].astype(kind) + (x[cut].astype(kind) - b[cut].astype(kind))
            if run.dtype in FLOATS:
                narrow(moved, out[cut])
            else:
                out[cut] = moved
    return result

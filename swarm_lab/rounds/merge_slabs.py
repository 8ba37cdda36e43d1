"""Slabs: the same elements of all contributions, cut to fit a processor's cache and merged by a few threads.

No value depends on the cut or on the thread: a slab is merged for itself, and what is summed over a model is summed per
block, in block order. numpy releases the interpreter's lock within each step, so that the threads run side by side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Work = TypeVar("Work")

MAX_THREADS = 4
# Elements of a slab: larger ones leave the cache, smaller ones cost more in numpy's calls than they save (measured).
CHUNK = 1 << 15
_CHUNK_OF_MANY = 1 << 14
_MANY = 8


class Scratch:
    """Arrays of one thread by name, made once and used for every slab."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, int, str], Array] = {}

    def rows(self, name: str, rows: int, count: int, dtype: type | np.dtype) -> Array:
        """An array of shape (rows, count) whose values are left from last time."""
        key = (name, rows, np.dtype(dtype).str)
        kept = self._arrays.get(key)
        if kept is None or kept.shape[1] < count:
            kept = self._arrays[key] = np.empty((rows, count), dtype)
        return kept[:, :count]

    def row(self, name: str, count: int, dtype: type | np.dtype) -> Array:
        """A flat array of `count` elements whose values are left from last time."""
        row: Array = self.rows(name, 1, count, dtype)[0]
        return row

    @property
    def nbytes(self) -> int:
        """Size of all arrays in bytes."""
        return sum(array.nbytes for array in self._arrays.values())


@dataclass(frozen=True, slots=True)
class Slab:
    """What a method merges at a time: it writes `out`, from nothing but what stands here.

    `sources` are flat arrays of one dtype and length in ascending node id, never to be written; `weights` are theirs,
    integers > 0 without a common divisor. `before` is the model that the interval started from, None in round 1.
    """

    dtype: str
    weights: tuple[int, ...]
    sources: tuple[Array, ...]
    before: Array | None
    out: Array
    scratch: Scratch


def chunk_for(contributions: int) -> int:
    """Elements of a slab for so many contributions."""
    return CHUNK if contributions < _MANY else _CHUNK_OF_MANY


def available_threads() -> int:
    """Threads that a merge uses by default: one for each processor of this process, at most four."""
    if hasattr(os, "sched_getaffinity"):
        return min(MAX_THREADS, len(os.sched_getaffinity(0)))
    return min(MAX_THREADS, os.cpu_count() or 1)


def in_threads(work: Sequence[Work], do: Callable[[Work, Scratch], None], threads: int) -> None:
    """Do each piece of work once, in at most `threads` threads; raises what the first failing piece raised."""
    workers = min(threads, len(work))
    if workers <= 1:
        _labour(work, do)
        return
    shared = _Shared(work)
    with ThreadPoolExecutor(workers, "merge") as pool:
        for ended in [pool.submit(_labour, shared, do) for _ in range(workers)]:
            ended.result()


def _labour(work: Iterable[Work], do: Callable[[Work, Scratch], None]) -> None:
    scratch = Scratch()
    for piece in work:
        do(piece, scratch)


class _Shared(Iterable[Work]):
    """An iterator that threads take turns on."""

    def __init__(self, work: Sequence[Work]) -> None:
        self._work = iter(work)
        self._lock = threading.Lock()

    def __iter__(self) -> _Shared[Work]:
        return self

    def __next__(self) -> Work:
        with self._lock:
            return next(self._work)

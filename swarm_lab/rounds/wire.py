"""Wire formats: how the values of a model travel between peers, exactly or as updates rounded to 16 bits.

| | floats of 64 and 32 bits | everything else |
|---|---|---|
| `float32` | exactly | exactly |
| `bf16`, `fp16` | the update since the base, in 16 bits | exactly |

The base is the model that the interval started from; all who take part hold it. Round 1 has none and travels exactly
(`Wire.for_round`). What travels is what leads from the base to the value, with its sign turned:

    encode(x, base) = round16(clip(base - x))        decode(u, base) = clip(base - u)

so that a value which did not change comes back bit for bit; base + u would make 0.0 of -0.0. Elementwise, in the
value's own dtype, each step rounded once, half to even: the same bits on any processor, for any cut. The update is
clipped to the largest number of the 16-bit format, the result to that of its dtype: finite values stay finite.

A model is quantised (decode of encode) by its owner before its root is computed. Peers that decode the bytes then hold
exactly the model that was signed. To quantise again changes no bit: where base - u was rounded, the way back rounds to
u, or to another update that leads to the same value. So a merge that keeps a contribution or the base keeps its bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from swarm_lab.rounds.layout import DTYPES, Buffer, Layout, Run
from swarm_lab.rounds.merge_floats import Array, narrow
from swarm_lab.rounds.merge_slabs import CHUNK, Scratch, available_threads, in_threads

_ROUNDED = ("F64", "F32")
_BF16 = np.dtype(ml_dtypes.bfloat16)
_FP16 = np.dtype(np.float16)


@dataclass(frozen=True, slots=True)
class _Sixteen:
    """A 16-bit format. `narrow` rounds values within +-`largest` into an array of uint16, `widen` brings them back."""

    largest: float
    narrow: Callable[[Array, Array, Scratch], None]
    widen: Callable[[Array, Array], None]


class _Own(threading.local):
    """A thread's scratch, under 1 MiB: made anew for every block it would cost as much as the work (page faults)."""

    def __init__(self) -> None:
        self.scratch = Scratch()


_OWN = _Own()


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire format; take it from `WIRES`.

    `layout` says what the model is. `block` is a byte range of its flat buffer that lies within one run and holds whole
    elements, as `Layout.blocks` cuts them, or a part of such. `x`, `base` and `out` are the bytes of that block alone:
    a slice of a memoryview of the whole. Sizes that do not fit and blocks that are none raise `ValueError`.
    """

    name: str
    sixteen: _Sixteen | None = None

    @property
    def exact(self) -> bool:
        """Whether every value travels with all its bits."""
        return self.sixteen is None

    def for_round(self, base: object | None) -> Wire:
        """The format of a round: the exact one where there is no model before it. `base` is that model, or its root."""
        return WIRES["float32"] if base is None else self

    def nbytes(self, layout: Layout, block: slice) -> int:
        """Bytes on the wire of a block."""
        return self._nbytes(_run(layout, block), block.stop - block.start)

    def whole(self, layout: Layout) -> int:
        """Bytes on the wire of a whole model."""
        return sum(self._nbytes(run, run.stop - run.start) for run in layout.runs)

    def encode(self, layout: Layout, block: slice, x: Buffer, base: Buffer | None) -> memoryview:
        """The bytes of a block as they travel: `nbytes` of them, for values that travel exactly `x` itself, no copy.

        `base` is not read where the block travels exactly. Raises `ValueError` also where it is missing, and for NaN
        and infinity in `x`.
        """
        run = _run(layout, block)
        values = _array("the block", x, run, block)
        sixteen = self._rounding(run)
        if sixteen is None:
            return memoryview(x).cast("B")
        before = _array("the base", base, run, block)
        data = np.empty(len(values), np.uint16)
        scratch = _OWN.scratch
        for cut in _cuts(len(values)):
            _encode(sixteen, values[cut], before[cut], data[cut], scratch)
        return data.view(np.uint8).data

    def decode(self, layout: Layout, block: slice, data: Buffer, base: Buffer | None, out: Buffer) -> None:
        """Write the values of a block that came as `data` into `out`, which is writable and may be `base`'s memory.

        Raises `ValueError` also for an update that no `encode` gives (NaN, infinity); `out` is then written in part.
        """
        run = _run(layout, block)
        values = _array("the space for the block", out, run, block)
        size = memoryview(data).nbytes
        if size != (expected := self._nbytes(run, block.stop - block.start)):
            raise ValueError(f"{size} bytes came for a block that travels in {expected} as {self.name}")
        sixteen = self._rounding(run)
        if sixteen is None:
            values.view(np.uint8)[...] = np.frombuffer(data, np.uint8)
            return
        before = _array("the base", base, run, block)
        updates = np.frombuffer(data, np.uint16)
        scratch = _OWN.scratch
        for cut in _cuts(len(values)):
            _decode(sixteen, updates[cut], before[cut], values[cut], scratch)

    def quantise(
        self, layout: Layout, x: Buffer, base: Buffer | None, block: slice | None = None, *, threads: int | None = None
    ) -> None:
        """Put decode(encode(x)) in the place of `x`, a writable whole model, or one block with the base's same block.

        Nothing is done where the format is exact. `threads` changes no bit. Raises `ValueError` as `encode` does; `x`
        is then changed in part.
        """
        if block is None:
            pairs = [
                (_of_whole("the model", layout, x, run), _of_whole("the base", layout, base, run))
                for run in layout.runs
                if self._rounding(run) is not None
            ]
        else:
            run = _run(layout, block)
            rounded = self._rounding(run) is not None
            pairs = [(_array("x", x, run, block), _array("the base", base, run, block))] if rounded else []
        slabs = [(values[cut], before[cut]) for values, before in pairs for cut in _cuts(len(values))]

        def do(slab: tuple[Array, Array], scratch: Scratch) -> None:
            sixteen, (values, before) = self.sixteen, slab
            assert sixteen is not None  # there are no slabs otherwise
            data = scratch.row("wire", len(values), np.uint16)
            _encode(sixteen, values, before, data, scratch)
            _decode(sixteen, data, before, values, scratch)

        in_threads(slabs, do, threads or available_threads())

    def _rounding(self, run: Run) -> _Sixteen | None:
        return self.sixteen if run.dtype in _ROUNDED else None

    def _nbytes(self, run: Run, size: int) -> int:
        return size if self._rounding(run) is None else size // DTYPES[run.dtype].itemsize * 2


# --- blocks ------------------------------------------------------------------------------------------------


def _run(layout: Layout, block: slice) -> Run:
    """The run that a block lies in."""
    start, stop = block.start, block.stop
    if isinstance(start, int) and isinstance(stop, int) and block.step in (None, 1) and start < stop:
        for run in layout.runs:
            if run.start <= start and stop <= run.stop:
                if (start - run.start) % (size := DTYPES[run.dtype].itemsize) or (stop - run.start) % size:
                    raise ValueError(f"bytes {start} to {stop} cut an element of {run.dtype}")
                return run
    raise ValueError(f"{block} is no block of a model of {layout.nbytes} bytes: it must lie within one run")


def _array(what: str, buffer: Buffer | None, run: Run, block: slice) -> Array:
    if buffer is None:
        raise ValueError(f"{what} is missing: without it values travel exactly")
    size = memoryview(buffer).nbytes
    if size != block.stop - block.start:
        raise ValueError(f"{what} has {size} bytes, not {block.stop - block.start}")
    return np.frombuffer(buffer, DTYPES[run.dtype])


def _of_whole(what: str, layout: Layout, buffer: Buffer | None, run: Run) -> Array:
    if buffer is None:
        raise ValueError(f"{what} is missing: without it values travel exactly")
    if memoryview(buffer).nbytes != layout.nbytes:
        raise ValueError(f"{what} has {memoryview(buffer).nbytes} bytes, the layout {layout.nbytes}")
    return layout.array(run, buffer)


def _cuts(count: int) -> Iterator[slice]:
    """What fits a processor's cache with its scratch; no value depends on it."""
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


# --- slabs -------------------------------------------------------------------------------------------------


def _encode(sixteen: _Sixteen, x: Array, base: Array, data: Array, scratch: Scratch) -> None:
    # The clip would make a finite number of an infinity, and the one who signs must not send what he does not have.
    finite = scratch.row("wire finite", len(x), np.bool_)
    if not np.isfinite(x, out=finite).all():
        raise ValueError("NaN and infinity do not travel as an update")
    update = scratch.row("wire update", len(x), x.dtype)
    with np.errstate(over="ignore"):
        np.subtract(base, x, out=update)
    _clip(update, sixteen.largest)
    sixteen.narrow(update, data, scratch)


def _decode(sixteen: _Sixteen, data: Array, base: Array, out: Array, scratch: Scratch) -> None:
    update = scratch.row("wire update", len(out), out.dtype)
    with np.errstate(invalid="ignore"):  # what is no number is found below
        sixteen.widen(data, update)
    finite = scratch.row("wire finite", len(out), np.bool_)
    if not np.isfinite(update, out=finite).all():
        raise ValueError("an update is not finite")
    with np.errstate(over="ignore"):
        np.subtract(base, update, out=out)
    _clip(out, np.finfo(out.dtype).max)


def _clip(values: Array, largest: Any) -> None:
    limit = values.dtype.type(largest)
    np.clip(values, -limit, limit, out=values)


# --- the formats -------------------------------------------------------------------------------------------
# Times: nanoseconds a value within the cache of an AMD EPYC, the faster of what was tried.


def _narrow_bf16(values: Array, out: Array, _scratch: Scratch) -> None:
    """float64 by `narrow`, as ml_dtypes rounds it twice; float32 by ml_dtypes: 0.5, by its bits 0.6."""
    if values.dtype == np.float64:
        narrow(values, out.view(_BF16))
    else:
        out.view(_BF16)[...] = values


def _widen_bf16(data: Array, out: Array) -> None:
    """By ml_dtypes: 0.1, by its bits 0.2."""
    out[...] = data.view(_BF16)


def _narrow_fp16(values: Array, out: Array, scratch: Scratch) -> None:
    """float64 by numpy, which rounds it once; float32 by an addition that leaves 11 bits: 2.1, by numpy 4.6.

    |value| + 2^(e + 13), with e its exponent or -14, that of the least normal number, is rounded by the processor to a
    multiple of 2^(e - 10): fp16's own step there. What the sum has in its fraction is fp16's, carry and all.
    """
    if values.dtype == np.float64:
        out.view(_FP16)[...] = values
        return
    bits = values.view(np.uint32)
    large = scratch.row("wire large", len(values), np.uint32)  # bits of 2^(e + 13)
    np.bitwise_and(bits, 0x7F800000, out=large)
    np.maximum(large, (127 - 14) << 23, out=large)
    np.add(large, 13 << 23, out=large)
    total = scratch.row("wire sum", len(values), np.float32)
    np.abs(values, out=total)
    np.add(total, large.view(np.float32), out=total)
    result = total.view(np.uint32)
    np.subtract(result, large, out=result)
    # fp16's exponent, one less: the fraction has its leading bit.
    np.right_shift(large, 13, out=large)
    np.subtract(large, (127 + 13 - 14) << 10, out=large)
    np.add(result, large, out=result)
    np.right_shift(bits, 16, out=large)
    np.bitwise_and(large, 0x8000, out=large)
    np.bitwise_or(result, large, out=result)
    out[...] = result


def _widen_fp16(data: Array, out: Array) -> None:
    """By a table of all 65536: 1.0, by numpy 2.4."""
    if out.dtype == np.float64:
        out[...] = data.view(_FP16)
    else:
        np.take(_FP16_VALUES, data, out=out, mode="wrap")  # "wrap": without it numpy makes a copy of `out` first


_FP16_VALUES = np.arange(1 << 16, dtype=np.uint16).view(_FP16).astype(np.float32)

WIRES: dict[str, Wire] = {
    "float32": Wire("float32"),
    "bf16": Wire("bf16", _Sixteen((2 - 2**-7) * 2.0**127, _narrow_bf16, _widen_bf16)),
    "fp16": Wire("fp16", _Sixteen(65504.0, _narrow_fp16, _widen_fp16)),
}

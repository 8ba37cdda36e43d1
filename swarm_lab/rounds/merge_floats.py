"""Floats of every width in those that numpy is fast and exact in, and back with one rounding.

bfloat16 goes by its bits, since ml_dtypes rounds float64 twice on its way (to float32, then to bfloat16). Values are
finite: NaN and infinity are refused before anything is merged.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FLOATS = ("F64", "F32", "F16", "BF16")
_BF16 = np.dtype(ml_dtypes.bfloat16)


def widen(source: Array, into: Array) -> None:
    """Copy floats of any width to float32 or float64 of at least that width, exactly."""
    if source.dtype != _BF16:
        into[...] = source
        return
    bits = source.view(np.uint16).astype(np.uint32)
    bits <<= 16
    into[...] = bits.view(np.float32)


def narrow(values: Array, out: Array) -> None:
    """Round float32 or float64 to `out`'s dtype, once, half to even; values within its range."""
    if out.dtype != _BF16:
        out[...] = values
        return
    single = values.astype(np.float32)
    bits = single.view(np.uint32)
    if values.dtype == np.float64:
        _undo_half(values, single, bits)
    # Half to even on the upper 16 bits; the sign is not touched, as a carry ends in the exponent.
    odd = bits >> 16
    odd &= 1
    odd += 0x7FFF
    bits += odd
    bits >>= 16
    out.view(np.uint16)[...] = bits


def _undo_half(values: Array, single: Array, bits: Array) -> None:
    """Where rounding to float32 has made a half of bfloat16 of what is none, go back to the side it came from."""
    half = np.flatnonzero((bits & 0xFFFF) == 0x8000)
    if half.size:
        exact, rounded = np.abs(values[half]), np.abs(single[half].astype(np.float64))
        bits[half] += (exact > rounded).astype(np.uint32)
        bits[half] -= (exact < rounded).astype(np.uint32)

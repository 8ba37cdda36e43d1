"""The flat model: which tensor lies where in one buffer, and the digest (root) of what it holds.

A model travels and rests as one buffer. Tensors of one dtype lie together (a *run*), wider dtypes first, so that every
tensor is aligned to its item size without padding; within a run they follow their names. The root is that of the round
protocol: BLAKE3 over the layout's own digest and the BLAKE3 digests of at most 256 blocks, which cut the runs at the
same places however many nodes take part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import ml_dtypes
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

Buffer = bytes | bytearray | memoryview

MAX_BLOCKS = 256
BLOCK_UNIT = 4096  # elements; a block is a multiple of it

# safetensors' names, wider items first: the order of the runs in the buffer.
DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
    "U64": np.dtype(np.uint64),
    "F32": np.dtype(np.float32),
    "I32": np.dtype(np.int32),
    "U32": np.dtype(np.uint32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I16": np.dtype(np.int16),
    "U16": np.dtype(np.uint16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_RANK = {name: rank for rank, name in enumerate(DTYPES)}
_NAME_OF = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype (safetensors' name of it) and shape of one tensor; `()` is a 0-d tensor of one element."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.count * DTYPES[self.dtype].itemsize


@dataclass(frozen=True, slots=True)
class Run:
    """All tensors of one dtype: `count` elements from byte `start` of the buffer."""

    dtype: str
    start: int
    count: int

    @property
    def stop(self) -> int:
        """First byte after the run."""
        return self.start + self.count * DTYPES[self.dtype].itemsize


@dataclass(frozen=True, slots=True)
class Block:
    """A cut of the model that is hashed, sent and merged as one: `count` elements, `nbytes` bytes from byte `start`."""

    number: int
    dtype: str
    start: int
    count: int
    nbytes: int

    @property
    def bytes(self) -> slice:
        """Its byte range in a model's buffer."""
        return slice(self.start, self.start + self.nbytes)

    def of(self, buffer: Buffer) -> memoryview:
        """Its bytes in a model's buffer, without a copy."""
        return memoryview(buffer).cast("B")[self.bytes]

    def array(self, data: Buffer) -> NDArray[np.generic]:
        """Its elements in a buffer that holds this block alone, as a flat array without a copy."""
        return np.frombuffer(data, DTYPES[self.dtype], self.count)


@dataclass(frozen=True)
class Layout:
    """Where each tensor lies. Make it with `of`, which puts the specs into their order."""

    specs: tuple[TensorSpec, ...]

    @classmethod
    def of(cls, specs: list[TensorSpec]) -> Layout:
        """Layout of these tensors; raises `ValueError` for an unknown dtype, a bad shape or a name that comes twice."""
        for spec in specs:
            if spec.dtype not in DTYPES:
                raise ValueError(f"tensor {spec.name!r} has dtype {spec.dtype!r}; known are {', '.join(DTYPES)}")
            if any(n < 0 for n in spec.shape):
                raise ValueError(f"tensor {spec.name!r} has a negative dimension in {spec.shape}")
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"tensor {twice!r} comes twice")
        return cls(tuple(sorted(specs, key=lambda spec: (_RANK[spec.dtype], spec.name))))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Layout:
        """Layout of a dictionary of arrays; raises `ValueError` for a dtype that safetensors does not know."""
        specs = []
        for name, array in arrays.items():
            if array.dtype not in _NAME_OF:
                raise ValueError(f"tensor {name!r} has dtype {array.dtype}, which cannot travel")
            specs.append(TensorSpec(name, _NAME_OF[array.dtype], tuple(array.shape)))
        return cls.of(specs)

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Byte at which each tensor starts."""
        offsets, position = {}, 0
        for spec in self.specs:
            offsets[spec.name] = position
            position += spec.nbytes
        return offsets

    @cached_property
    def nbytes(self) -> int:
        """Size of the buffer in bytes."""
        return sum(spec.nbytes for spec in self.specs)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs of equal dtype, in buffer order."""
        counts: dict[str, int] = {}
        for spec in self.specs:
            counts[spec.dtype] = counts.get(spec.dtype, 0) + spec.count
        runs, position = [], 0
        for dtype, count in counts.items():
            run = Run(dtype, position, count)
            runs.append(run)
            position = run.stop
        return tuple(runs)

    @cached_property
    def block_elements(self) -> int:
        """Elements of a full block: the smallest multiple of 4096 that gives at most 256 blocks."""
        unit = BLOCK_UNIT
        largest = max((run.count for run in self.runs), default=0)
        # Each run ends with a block of its own, so that n runs leave 256 - n + 1 blocks for the bulk.
        while sum(-(-run.count // unit) for run in self.runs) > MAX_BLOCKS and unit < largest:
            unit += BLOCK_UNIT
        return unit

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in order; none crosses a run."""
        found: list[Block] = []
        for run in self.runs:
            size, step = DTYPES[run.dtype].itemsize, self.block_elements
            for first in range(0, run.count, step):
                count = min(step, run.count - first)
                found.append(Block(len(found), run.dtype, run.start + first * size, count, count * size))
        return tuple(found)

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3 of names, dtypes, shapes and the cut into blocks: 32 bytes."""
        table = [[spec.name, spec.dtype, list(spec.shape)] for spec in self.specs]
        text = json.dumps(["swarm-lab/layout/1", self.block_elements, table], separators=(",", ":"))
        return blake3(text.encode()).digest()

    def array(self, run: Run, buffer: Buffer) -> NDArray[np.generic]:
        """A run of the buffer as a flat array, without a copy; writable if the buffer is."""
        return np.frombuffer(buffer, DTYPES[run.dtype], run.count, run.start)

    def views(self, buffer: Buffer) -> dict[str, NDArray[np.generic]]:
        """Every tensor of the buffer by name, in its shape, without a copy."""
        return {
            spec.name: np.frombuffer(buffer, DTYPES[spec.dtype], spec.count, self.offsets[spec.name]).reshape(
                spec.shape
            )
            for spec in self.specs
        }

    def pack(self, arrays: Mapping[str, NDArray[np.generic]]) -> bytearray:
        """Copy arrays of exactly these names, dtypes and shapes into one new buffer."""
        if arrays.keys() != self.offsets.keys():
            raise ValueError(f"tensors differ: {sorted(arrays.keys() ^ self.offsets.keys())[:5]}")
        buffer = bytearray(self.nbytes)
        for name, view in self.views(buffer).items():
            if arrays[name].dtype != view.dtype or arrays[name].shape != view.shape:
                raise ValueError(
                    f"tensor {name!r} is {arrays[name].dtype}{arrays[name].shape}, not {view.dtype}{view.shape}"
                )
            view[...] = arrays[name]
        return buffer

    def difference(self, other: Layout) -> str | None:
        """In what `other` differs from this, as a sentence that names the first tensor; None if in nothing."""
        mine = {spec.name: spec for spec in self.specs}
        theirs = {spec.name: spec for spec in other.specs}
        for name in sorted(mine.keys() | theirs.keys()):
            if name not in theirs:
                return f"it has no tensor {name!r}, which is there"
            if name not in mine:
                return f"it has a tensor {name!r}, which is not"
            if mine[name] != theirs[name]:
                here, there = theirs[name], mine[name]
                return f"tensor {name!r} is {here.dtype}{list(here.shape)}, but {there.dtype}{list(there.shape)}"
        return None


def root(layout: Layout, buffer: Buffer) -> str:
    """The digest of a model, 64 hex characters: over the layout and the digests of its blocks."""
    view = memoryview(buffer).cast("B")
    if view.nbytes != layout.nbytes:
        raise ValueError(f"the buffer has {view.nbytes} bytes, the layout {layout.nbytes}")
    return root_of(layout, [blake3(block.of(view)).digest() for block in layout.blocks])


def root_of(layout: Layout, digests: Sequence[bytes]) -> str:
    """The digest of a model from those of its blocks (BLAKE3, 32 bytes each), in their order."""
    if len(digests) != len(layout.blocks):
        raise ValueError(f"{len(digests)} digests for {len(layout.blocks)} blocks")
    return blake3(layout.digest + b"".join(digests)).hexdigest()


def find_not_finite(layout: Layout, buffer: Buffer) -> str | None:
    """Name of the first tensor that holds a NaN or an infinity, or None."""
    for spec, view in zip(layout.specs, layout.views(buffer).values(), strict=True):
        if spec.dtype in ("F64", "F32", "F16", "BF16") and not np.isfinite(view).all():
            return spec.name
    return None

"""Models at rest: safetensors files with the program's own tensor names, written atomically."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, deserialize, safe_open, serialize_file
from safetensors import TensorSpec as FileSpec

from swarm_lab.errors import ModelFileError
from swarm_lab.rounds.layout import Buffer, Layout, TensorSpec

FORMAT = "swarm-lab/model/1"

_FILE_DTYPES = {
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
    "F32": "float32",
    "I32": "int32",
    "U32": "uint32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I16": "int16",
    "U16": "uint16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def write_model(path: Path, layout: Layout, buffer: Buffer, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model so that `path` holds either the whole file or what was there before.

    Raises `OSError` (a full disk, say); nothing but the temporary file is touched then.
    """
    # serialize_file reads the tensors where they lie: the address must belong to memory that stays put meanwhile.
    view = memoryview(buffer).cast("B")
    held = view if not view.readonly else memoryview(bytearray(view))
    base = ctypes.addressof(ctypes.c_char.from_buffer(held)) if held.nbytes else 0
    tensors = {
        spec.name: FileSpec(
            dtype=_FILE_DTYPES[spec.dtype],
            shape=list(spec.shape),
            data_ptr=base + layout.offsets[spec.name],
            data_len=spec.nbytes,
        )
        for spec in layout.specs
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        serialize_file(tensors, str(temporary), {"format": FORMAT, **(metadata or {})})
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_model(path: Path) -> tuple[Layout, bytearray]:
    """Read a model; raises `ModelFileError` if the file is missing, cut off or no safetensors file."""
    try:
        tensors = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ModelFileError(f"{path} is not a whole safetensors file: {error}") from error
    try:
        layout = Layout.of([TensorSpec(name, t["dtype"], tuple(t["shape"])) for name, t in tensors])
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from error
    buffer = bytearray(layout.nbytes)
    for name, tensor in tensors:
        start = layout.offsets[name]
        buffer[start : start + len(tensor["data"])] = tensor["data"]
    return layout, buffer


def read_metadata(path: Path) -> dict[str, str]:
    """The text that was written with the model; raises `ModelFileError` as `read_model` does."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path}: {error}") from error

"""Models at rest: safetensors files with the program's own tensor names, written atomically."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, deserialize, safe_open

from swarm_lab.errors import ModelFileError
from swarm_lab.rounds.disk import PAGE, write_durably
from swarm_lab.rounds.layout import Buffer, Layout, TensorSpec

FORMAT = "swarm-lab/model/1"

_LENGTH = struct.Struct("<Q")


def write_model(
    path: Path, layout: Layout, buffer: Buffer, metadata: Mapping[str, str] | None = None, spare: Path | None = None
) -> None:
    """Write a model so that `path` holds either the whole file or what was there before.

    `spare` is a file that nobody needs any more, if there is one: its room on the disk is used again. Raises `OSError`
    (a full disk, say); nothing but the temporary file is touched then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if spare is not None:
            with contextlib.suppress(FileNotFoundError):
                spare.replace(temporary)
        write_durably(temporary, _header(layout, metadata or {}), buffer)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _header(layout: Layout, metadata: Mapping[str, str]) -> bytes:
    """The head of a safetensors file whose data is the layout's buffer as it is, with blanks up to whole pages."""
    table: dict[str, object] = {"__metadata__": {"format": FORMAT, **metadata}}
    for spec in layout.specs:
        start = layout.offsets[spec.name]
        table[spec.name] = {
            "dtype": spec.dtype,
            "shape": list(spec.shape),
            "data_offsets": [start, start + spec.nbytes],
        }
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + _LENGTH.size) % PAGE)
    return _LENGTH.pack(len(text)) + text


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

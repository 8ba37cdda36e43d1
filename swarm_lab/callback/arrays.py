"""Arrays by name: their bytes for a layout, and one file of them in the safetensors form."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swarm_lab.callback.errors import ModelError
from swarm_lab.callback.messages import DTYPE_BYTES, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

NUMPY: dict[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_NAMES = {name: code for code, name in NUMPY.items()} | {"bfloat16": "BF16"}
_LENGTH = 8
MAX_HEADER = 64 * 1024 * 1024


def numpy_dtype(code: str) -> np.dtype[Any]:
    """NumPy's dtype for a safetensors name; bf16 is that of `ml_dtypes`."""
    if code == "BF16":
        import ml_dtypes  # only who has such tensors pays for the import

        brain: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return brain
    return np.dtype(NUMPY[code])


def spec_of(name: str, array: Any) -> TensorSpec:
    """The tensor that an array is; raises ModelError on a dtype that cannot travel."""
    code = _NAMES.get(str(array.dtype).removeprefix("torch."))
    if code is None:
        raise ModelError(f"{name} has the dtype {array.dtype}, which cannot be merged")
    return TensorSpec(name, code, tuple(int(extent) for extent in array.shape))


def views_of(layout: Sequence[TensorSpec], arrays: Mapping[str, Any]) -> list[memoryview]:
    """A writable byte view a tensor, in the order of the layout, from arrays (or torch tensors) by name.

    Raises ModelError on a name that is missing or too many, and on another shape or dtype.
    """
    # Empty tensors may be left out: there are some that are nothing but a name.
    empty = {spec.name: np.zeros(spec.shape, numpy_dtype(spec.dtype)) for spec in layout if spec.nbytes == 0}
    arrays = {**empty, **arrays}
    missing = [spec.name for spec in layout if spec.name not in arrays]
    new = sorted(set(arrays) - {spec.name for spec in layout})
    if missing or new:
        raise ModelError(f"{missing[0]} is missing" if missing else f"{new[0]} is no tensor of the model")
    return [_view(spec, arrays[spec.name]) for spec in layout]


def write_arrays(path: Path, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write one safetensors file with JSON facts in its metadata: whole, or not at all."""
    header: dict[str, Any] = {"__metadata__": {"facts": json.dumps(facts)}}
    position = 0
    for name, array in arrays.items():
        spec = spec_of(name, array)
        end = position + spec.nbytes
        header[name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [position, end]}
        position = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(len(head).to_bytes(_LENGTH, "little") + head)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `write_arrays` wrote; raises ValueError for a file that is cut or of another form."""
    whole = bytearray(path.read_bytes())
    size = int.from_bytes(whole[:_LENGTH], "little")
    if not 0 < size <= min(MAX_HEADER, len(whole) - _LENGTH):
        raise ValueError("its header is cut")
    header = json.loads(whole[_LENGTH : _LENGTH + size])
    try:
        facts = json.loads(header.pop("__metadata__")["facts"])
        data = memoryview(whole)[_LENGTH + size :]
        arrays = {name: _array(entry, data) for name, entry in header.items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"its header has another form: {error}") from error
    if end != len(data):
        raise ValueError(f"it holds {len(data)} bytes of {end}")
    return arrays, facts


def _array(entry: Mapping[str, Any], data: memoryview) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    spec = TensorSpec("", entry["dtype"], tuple(entry["shape"]))
    if spec.dtype not in DTYPE_BYTES or last - first != spec.nbytes or last > len(data):
        raise ValueError("an array does not fit its place")
    return np.frombuffer(data[first:last], numpy_dtype(spec.dtype)).reshape(spec.shape)


def _view(spec: TensorSpec, value: Any) -> memoryview:
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    found = spec_of(spec.name, value)
    if found != spec:
        raise ModelError(f"{spec.name} is {spec.dtype} {list(spec.shape)}, not {found.dtype} {list(found.shape)}")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return memoryview(bytearray(np.ascontiguousarray(value).tobytes()))

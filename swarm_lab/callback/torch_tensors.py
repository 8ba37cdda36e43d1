"""The tensors of a PyTorch module: their names without wrappers, and their bytes out of and into the live module."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from swarm_lab.callback.errors import ModelChangedError, ModelError
from swarm_lab.callback.messages import TensorSpec
from swarm_lab.callback.model import check_unchanged

DTYPES: dict[torch.dtype, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
EXTRA_STATE = "_extra_state"
SHARDED = "FullyShardedDataParallel"

Select = Callable[[str, torch.Tensor], bool]


def trainable(name: str, tensor: torch.Tensor) -> bool:
    """Selects what an optimizer can change: parameters that require a gradient, no buffers."""
    return isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad


def wrapped(module: torch.nn.Module) -> str | None:
    """The name under which a wrapper keeps the user's module; None where `module` is no wrapper.

    Wrappers are `DataParallel`, `DistributedDataParallel` and what `torch.compile` returns.
    """
    if isinstance(module, PARALLEL):
        return "module"
    # By its home and not by its class: importing torch._dynamo takes seconds.
    compiled = type(module).__module__.startswith("torch._dynamo")
    return "_orig_mod" if compiled and "_orig_mod" in module._modules else None


def unwrap(model: torch.nn.Module) -> torch.nn.Module:
    """The user's own module inside all wrappers around it."""
    while (name := wrapped(model)) is not None:
        model = getattr(model, name)
    return model


def plain_name(model: torch.nn.Module, key: str) -> str:
    """A key of `model.state_dict()` without what wrappers anywhere in the model have put into it."""
    module: torch.nn.Module | None = model
    parts = []
    for part in key.split("."):
        if module is None or wrapped(module) != part:
            parts.append(part)
        module = None if module is None else module._modules.get(part)
    return ".".join(parts)


class TorchTensors:
    """Parameters and persistent buffers of a module in the order of its `state_dict`, under names without wrappers.

    A tied weight has all its names, so that what is saved fits `load_state_dict(strict=True)`. Non-persistent buffers
    and extra state stay local. `select(name, tensor)` restricts what travels to the names it picks when the layout is
    made; None selects all. With `mark_rest` the layout ends with an empty tensor whose name holds the digest of the
    parameters that do not travel: nodes where these differ have other layouts, and are refused before any merge.
    """

    def __init__(self, model: torch.nn.Module, select: Select | None = None, *, mark_rest: bool = False) -> None:
        self._model = unwrap(model)
        self._select = select
        self._mark_rest = mark_rest
        self._known: frozenset[str] = frozenset()
        self._specs: tuple[TensorSpec, ...] = ()
        self._marks: tuple[TensorSpec, ...] | None = None

    @property
    def layout(self) -> tuple[TensorSpec, ...]:
        """The layout as it was read last."""
        return (*self._specs, *(self._marks or ()))

    def read_layout(self) -> tuple[TensorSpec, ...]:
        """Look at the model and keep its layout; raises ModelError on a tensor that cannot travel."""
        for module in self._model.modules():
            if type(module).__name__ == SHARDED:  # before its state_dict(), which waits for all ranks
                raise ModelError(f"the model is cut over ranks by {SHARDED}, and not in one piece on any")
        tensors = self._all()
        self._known = frozenset(tensors)
        chosen = {name: one for name, one in tensors.items() if self._select is None or self._select(name, one)}
        self._specs = tuple(_spec(name, tensor) for name, tensor in chosen.items())
        if not self._specs:
            what = "parameters and no buffers" if self._select is None else "parameters of the kind that is to travel"
            raise ModelError(f"the model has no {what}")
        if self._marks is None:
            self._marks = _marks({name: tensors[name] for name in tensors.keys() - chosen}) if self._mark_rest else ()
        return self.layout

    @torch.no_grad()
    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the tensors into the views, from whatever device, bit by bit; raises ModelChangedError."""
        for tensor, view in zip(self.present(), views[: len(self._specs)], strict=True):
            if view.nbytes:
                _typed(view, tensor).copy_(tensor)

    @torch.no_grad()
    def load(self, views: Sequence[memoryview]) -> None:
        """Copy the views into the tensors in place, so that optimizers and compiled graphs keep them.

        Raises ModelChangedError, or ModelError when tensors that are one here have different values in the views.
        """
        tensors = self.present()
        first: dict[tuple[object, ...], int] = {}
        for i, tensor in enumerate(tensors):
            if tensor.numel():
                at = first.setdefault(_memory(tensor), i)
                if at != i and not _same_bytes(views[at], views[i]):
                    raise ModelError(
                        f"{self._specs[at].name} and {self._specs[i].name} are one tensor here and two on another node",
                        next_step="tie the same weights in the programs of all nodes",
                    )
        for i in first.values():
            _fill(tensors[i], _typed(views[i], tensors[i]))

    def present(self) -> list[torch.Tensor]:
        """The tensors of the layout as they are now, detached; raises ModelChangedError when they do not fit it."""
        tensors = self._all()
        names = [spec.name for spec in self._specs if spec.name in tensors]
        check_unchanged(self._specs, {name: _spec(name, tensors[name]) for name in names})
        for name in tensors.keys() - self._known:
            if self._select is None or self._select(name, tensors[name]):
                raise ModelChangedError(f"{name} is new in the model")
        return [tensors[spec.name].detach() for spec in self._specs]

    def _all(self) -> dict[str, torch.Tensor]:
        own = {id(tensor) for tensors in (self._model.parameters(), self._model.buffers()) for tensor in tensors}
        found: dict[str, torch.Tensor] = {}
        for key, value in self._model.state_dict(keep_vars=True).items():
            if not isinstance(value, torch.Tensor) or key.endswith(EXTRA_STATE):
                continue
            name = plain_name(self._model, key)
            if name in found:
                raise ModelError(f"two tensors of the model are called {name}")
            if id(value) not in own:
                # What a hook of state_dict computes cannot be loaded by writing into it.
                raise ModelError(f"{name} is made by state_dict() and is no parameter or buffer of the model")
            found[name] = value
        return found


def _marks(rest: Mapping[str, torch.Tensor]) -> tuple[TensorSpec, ...]:
    """An empty tensor that stands for frozen parameters: what is trained on top of them fits these values alone."""
    frozen = {name: one.detach() for name, one in sorted(rest.items()) if isinstance(one, torch.nn.Parameter)}
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in frozen.items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return (TensorSpec(f"frozen parameters {digest.hexdigest()}", "U8", (0,)),) if frozen else ()


def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
    if torch.nn.parameter.is_lazy(tensor):
        raise ModelError(f"{name} has no shape yet", next_step="call the model once before the training begins")
    if is_traceable_wrapper_subclass(tensor):
        raise ModelError(f"{name} is a {type(tensor).__name__}, which is not in one piece on this process")
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_nested:
        raise ModelError(f"{name} is no dense tensor with values ({_kind(tensor)})")
    if tensor.dtype not in DTYPES:
        raise ModelError(f"{name} has the dtype {tensor.dtype}, which cannot be merged")
    return TensorSpec(name, DTYPES[tensor.dtype], tuple(tensor.shape))


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_quantized or tensor.is_nested:
        return f"it is {'quantized' if tensor.is_quantized else 'nested'}"
    return f"{tensor.layout} on {tensor.device}"


def _memory(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _typed(view: memoryview, like: torch.Tensor) -> torch.Tensor:
    return torch.frombuffer(view, dtype=torch.uint8).view(like.dtype).reshape(like.shape)


def _same_bytes(one: memoryview, other: memoryview) -> bool:
    return torch.equal(torch.frombuffer(one, dtype=torch.uint8), torch.frombuffer(other, dtype=torch.uint8))


def _fill(tensor: torch.Tensor, values: torch.Tensor) -> None:
    # An expanded tensor has one memory for many elements; merging went element by element, so they are equal.
    for dimension, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dimension] > 1:
            tensor, values = tensor.narrow(dimension, 0, 1), values.narrow(dimension, 0, 1)
    tensor.copy_(values)

"""The state of PyTorch optimizers and schedulers as arrays and plain JSON, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from swarm_lab.callback.errors import CallbackArgumentError, ModelError
from swarm_lab.callback.torch_tensors import DTYPES

_PLAIN = (bool, int, float, str)


class Unkept(Exception):
    """Something in a state that has no plain form; its place and type are the message."""


class TorchState:
    """Optimizers and schedulers of one program; both may be empty.

    What a state holds of tensors, numbers, texts, lists, tuples and dicts is kept bit by bit, including tensors of
    steps (`capturable`), learning rates that are tensors, and states wider than their parameter. No pickle is used.
    """

    def __init__(self, optimizers: Sequence[Any], schedulers: Sequence[Any]) -> None:
        self._optimizers = tuple(optimizers)
        self._schedulers = tuple(schedulers)

    @classmethod
    def of(cls, optimizer: Any, scheduler: Any) -> TorchState:
        """From the callback's arguments, each one object, a sequence of them, or None; raises CallbackArgumentError."""
        optimizers = _several("optimizer", optimizer, torch.optim.Optimizer)
        schedulers = _several("scheduler", scheduler, object)
        for one in schedulers:
            if not (hasattr(one, "state_dict") and hasattr(one, "load_state_dict")):
                raise CallbackArgumentError(f"scheduler must be one of torch.optim.lr_scheduler, not {one!r}")
        if schedulers and not optimizers:
            raise CallbackArgumentError("scheduler needs optimizer as well: the rates that it set are there")
        return cls(optimizers, schedulers)

    def __bool__(self) -> bool:
        return bool(self._optimizers or self._schedulers)

    def read(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Copies of all arrays by name, and facts that are plain JSON; raises Unkept."""
        arrays: dict[str, NDArray[Any]] = {}
        states = [_plain(one.state_dict(), f"{i}", arrays) for i, one in enumerate(self._all())]
        return arrays, {"kinds": self._kinds(), "shapes": self._shapes(), "states": states}

    def write(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Put a state that was read back; raises ModelError, with nothing changed, when it is that of other objects."""
        if facts.get("kinds") != self._kinds():
            raise ModelError(f"the kept state is that of {facts.get('kinds')}, the program has {self._kinds()}")
        if facts.get("shapes") != self._shapes():
            raise ModelError("the kept state is that of other parameters than those of the optimizer")
        try:
            states = [_rich(state, arrays) for state in facts["states"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"the kept state is not whole: {error!r}") from error
        before = [one.state_dict() for one in self._all()]
        try:
            for one, state in zip(self._all(), states, strict=True):
                _load(one, state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            for one, state in zip(self._all(), before, strict=True):
                one.load_state_dict(state)
            raise ModelError(f"the kept state does not fit: {error!r}") from error

    def _all(self) -> tuple[Any, ...]:
        return (*self._optimizers, *self._schedulers)

    def _kinds(self) -> list[str]:
        return [f"{type(one).__module__}.{type(one).__qualname__}" for one in self._all()]

    def _shapes(self) -> list[list[list[list[int]]]]:
        return [
            [[list(parameter.shape) for parameter in group["params"]] for group in one.param_groups]
            for one in self._optimizers
        ]


def _several(name: str, given: Any, kind: type) -> tuple[Any, ...]:
    found = () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)
    for one in found:
        if not isinstance(one, kind):
            raise CallbackArgumentError(f"{name} must be a {kind.__module__}.{kind.__name__}, not {one!r}")
    return found


def _load(one: Any, state: dict[str, Any]) -> None:
    one.load_state_dict(state)
    if not isinstance(one, torch.optim.Optimizer):
        return
    parameters = [parameter for group in one.param_groups for parameter in group["params"]]
    for i, kept in state["state"].items():
        if not isinstance(i, int) or not isinstance(kept, dict):
            continue  # a state beside the parameters: there is no dtype to cast to
        mine = one.state[parameters[i]]
        for key, value in kept.items():
            # load_state_dict casts to the parameter's dtype: a wider state would lose its lower bits.
            if isinstance(value, torch.Tensor) and mine[key].dtype != value.dtype:
                mine[key] = value.to(parameters[i].device)


def _plain(value: Any, place: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON, its tensors in `arrays` under their place; containers are lists that begin with their kind."""
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, torch.Tensor):
        arrays[place] = _array(value)
        return ["tensor", place, str(value.dtype).removeprefix("torch."), list(value.shape)]
    if isinstance(value, Mapping):
        kind = "counter" if isinstance(value, Counter) else "dict"
        if any(type(key) not in _PLAIN for key in value):
            raise Unkept(f"{place} has keys that are neither texts nor numbers")
        return [kind, [[key, _plain(item, f"{place}.{key}", arrays)] for key, item in value.items()]]
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return [kind, [_plain(item, f"{place}.{i}", arrays) for i, item in enumerate(value)]]
    if isinstance(value, np.generic):
        return _plain(value.item(), place, arrays)
    if isinstance(value, _PLAIN):  # an enum of texts, a bool of another library
        return next(kind(value) for kind in _PLAIN if isinstance(value, kind))
    raise Unkept(f"{place} is a {type(value).__name__}")


def _rich(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(value, list):
        return value
    kind, content = value[0], value[1]
    if kind == "tensor":
        return _tensor(arrays[content], value[2], value[3])
    if kind in ("dict", "counter"):
        made = {key: _rich(item, arrays) for key, item in content}
        return made if kind == "dict" else Counter(made)
    items = [_rich(item, arrays) for item in content]
    return tuple(items) if kind == "tuple" else items


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    if tensor.device.type == "cpu":
        copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    else:
        copy = tensor.detach().cpu().contiguous()
    if copy.dtype in DTYPES and copy.dtype is not torch.bfloat16:
        return copy.numpy()
    return copy.reshape(-1).view(torch.uint8).numpy()  # what numpy or a file of arrays has no dtype for


def _tensor(array: NDArray[Any], dtype: str, shape: list[int]) -> torch.Tensor:
    kind = getattr(torch, dtype)
    flat = torch.from_numpy(np.array(array, copy=True).reshape(-1).view(np.uint8))
    return flat.view(kind).reshape(shape)

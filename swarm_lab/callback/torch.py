"""`SwarmCallback` for PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError, ModelChangedError, ModelError
from swarm_lab.callback.messages import Platform, TensorSpec
from swarm_lab.callback.session import Phase, Score, Session, default_logger
from swarm_lab.callback.torch_evaluation import Evaluation

DTYPES: dict[torch.dtype, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
PLATFORM_NAMES = ("PYTORCH",)
Item = TypeVar("Item")


def unwrap(model: torch.nn.Module) -> torch.nn.Module:
    """The user's own module inside `torch.compile`, `DataParallel` and `DistributedDataParallel`."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), torch.nn.Module):
            model = inner
        else:
            return model


class TorchModel:
    """The `state_dict` of a module as tensors: parameters and buffers, tied ones once, under names without wrappers."""

    platform: Platform = "torch"

    def __init__(self, model: torch.nn.Module, evaluation: Evaluation | None) -> None:
        self._model = unwrap(model)
        self._evaluation = evaluation
        self._layout: tuple[TensorSpec, ...] = ()

    def layout(self) -> tuple[TensorSpec, ...]:
        """The tensors in the order of `state_dict`; raises ModelError on one that cannot travel."""
        tensors = self._tensors()
        self._layout = tuple(self._spec(name, tensor) for name, tensor in tensors.items())
        if not self._layout:
            raise ModelError("the model has no parameters and no buffers")
        return self._layout

    @torch.no_grad()
    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the tensors into the views, from whatever device, bit by bit."""
        for tensor, spec, view in zip(self._present(), self._layout, views, strict=True):
            if view.nbytes:
                _typed(view, tensor.dtype, spec.shape).copy_(tensor)

    @torch.no_grad()
    def load(self, views: Sequence[memoryview]) -> None:
        """Copy the views into the tensors in place, so that optimizers and compiled graphs keep them."""
        for tensor, spec, view in zip(self._present(), self._layout, views, strict=True):
            if view.nbytes:
                tensor.copy_(_typed(view, tensor.dtype, spec.shape))

    def evaluate(self) -> Score:
        """Loss and metric on the validation data."""
        return (None, None) if self._evaluation is None else self._evaluation.run(self._model)

    def _tensors(self) -> dict[str, torch.Tensor]:
        seen: set[int] = set()
        tensors: dict[str, torch.Tensor] = {}
        for key, value in self._model.state_dict(keep_vars=True).items():
            # Extra state that is no tensor stays where it is; a tied weight travels under its first name.
            if not isinstance(value, torch.Tensor) or id(value) in seen:
                continue
            seen.add(id(value))
            name = key.replace("_orig_mod.", "")
            if name in tensors:
                raise ModelError(f"two tensors of the model are called {name}")
            tensors[name] = value.detach()
        return tensors

    @staticmethod
    def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
        if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
            raise ModelError(f"{name} is no dense tensor with values ({tensor.layout}, {tensor.device})")
        if tensor.dtype not in DTYPES:
            raise ModelError(f"{name} has the dtype {tensor.dtype}, which cannot be merged")
        return TensorSpec(name, DTYPES[tensor.dtype], tuple(tensor.shape))

    def _present(self) -> list[torch.Tensor]:
        """The tensors as they are now; raises ModelChangedError when they are not those of the layout."""
        tensors = self._tensors()
        for spec in self._layout:
            tensor = tensors.get(spec.name)
            if tensor is None:
                raise ModelChangedError(f"{spec.name} is no longer in the model")
            if (found := self._spec(spec.name, tensor)) != spec:
                raise ModelChangedError(
                    f"{spec.name} was {spec.dtype} {list(spec.shape)} and is now {found.dtype} {list(found.shape)}"
                )
        if len(tensors) != len(self._layout):
            new = next(name for name in tensors if name not in {spec.name for spec in self._layout})
            raise ModelChangedError(f"{new} is new in the model")
        return [tensors[spec.name] for spec in self._layout]


def _typed(view: memoryview, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.frombuffer(view, dtype=torch.uint8).view(dtype).reshape(shape)


class TorchCallback:
    """The callback of a PyTorch program; see `swarm_lab.SwarmCallback` for its arguments.

    Attributes: `logger`; `stop_training`, true when the swarm is over or was stopped.
    """

    def __init__(self, **given: Any) -> None:
        values = read_arguments(given, "torch")
        platform = values.get("ml_platform", PLATFORM_NAMES[0])
        if platform not in PLATFORM_NAMES:
            raise CallbackArgumentError(f"ml_platform must be PYTORCH for a PyTorch model, not {platform!r}")
        model = values.get("model")
        if not isinstance(model, torch.nn.Module):
            raise CallbackArgumentError("model must be a torch.nn.Module")
        self.logger = values.get("logger") or default_logger()
        evaluation = Evaluation.of(values, self.logger)
        self._session = Session(TorchModel(model, evaluation), values, self.logger)

    @property
    def stop_training(self) -> bool:
        """Whether the loop should end: what it still does has no part in the final model."""
        return self._session.stop_training

    def on_train_begin(self) -> None:
        """Call before the loop: the model now holds what the swarm starts from."""
        self._session.begin()

    def on_batch_end(self, batch: int | None = None, loss: float | torch.Tensor | None = None) -> None:
        """Call after each optimiser step. `batch` is not used; `loss` is shown live and goes nowhere else."""
        if isinstance(loss, torch.Tensor):
            loss = float(loss.detach())
        self._session.batch(1, loss)

    def on_epoch_end(self, epoch: int | None = None) -> None:
        """Call after each epoch. `epoch` is not used."""
        self._session.epoch()

    def on_train_end(self) -> None:
        """Call after the loop: waits for the swarm's end; the model then holds its final one."""
        self._session.end()

    def epochs(self, count: int) -> Iterator[int]:
        """`for epoch in callback.epochs(count)`: begins where that was not done, counts epochs, ends with the swarm."""
        if self._session.phase is Phase.NEW:
            self.on_train_begin()
        for epoch in range(count):
            if self.stop_training:
                return
            before = self._session.epochs
            yield epoch
            if self._session.epochs == before:
                self.on_epoch_end(epoch)

    def batches(self, source: Iterable[Item]) -> Iterator[Item]:
        """`for x, y in callback.batches(loader)`: the loader's batches, leaving at once when the swarm is over."""
        for item in source:
            if self.stop_training:
                return
            yield item

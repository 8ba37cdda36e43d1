"""What of a Hugging Face model travels: all of it, or the adapter that PEFT trains on top of a frozen one."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from blake3 import blake3

from swarm_lab.callback.errors import CallbackArgumentError, ModelError
from swarm_lab.callback.messages import TensorSpec
from swarm_lab.callback.torch import TorchModel
from swarm_lab.callback.torch_evaluation import Evaluation
from swarm_lab.callback.torch_state import TorchState
from swarm_lab.callback.torch_tensors import unwrap


class HuggingFaceModel(TorchModel):
    """The whole `state_dict`, or with `adapter_only` the tensors of the active adapters, under their exact names.

    An adapter means something only on top of the weights it was trained on, and those do not travel: a *mark*, an
    empty tensor whose name holds their digest, makes nodes with other ones differ in the layout, where they are
    refused before anything is merged.
    """

    def __init__(self, model: torch.nn.Module, evaluation: Evaluation | None, *, adapter_only: bool) -> None:
        self._adapter = adapter_names(unwrap(model)) if adapter_only else None
        super().__init__(model, evaluation, select=self._selected if adapter_only else None)
        self._marks: tuple[TensorSpec, ...] | None = None

    def keep(self, optimizer: Any, scheduler: Any) -> None:
        """The optimizer and scheduler whose state stays local and comes back after a restart."""
        self._state = TorchState.of(optimizer, scheduler)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The layout as it was made last."""
        return (*super().specs, *(self._marks or ()))

    def layout(self) -> tuple[TensorSpec, ...]:
        """The tensors that travel, and the mark of those that do not; raises ModelError."""
        super().layout()
        if self._marks is None:
            self._marks = self._frozen()
        return self.specs

    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the tensors into the views, bit by bit."""
        super().store(views[: len(super().specs)])

    def load(self, views: Sequence[memoryview]) -> None:
        """Copy the views into the tensors in place."""
        super().load(views[: len(super().specs)])

    def _selected(self, name: str, tensor: torch.Tensor) -> bool:
        assert self._adapter is not None
        # What the program unfroze beside the adapter is trained as well, and must not stay behind.
        return name in self._adapter or (isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad)

    def _frozen(self) -> tuple[TensorSpec, ...]:
        if self._adapter is None:
            return ()
        travels = {spec.name for spec in super().specs}
        digest = blake3(max_threads=blake3.AUTO)
        rest = {name: one for name, one in self._model.state_dict().items() if name not in travels}
        # Packed integers of quantised weights may differ between devices that mean the same model.
        floats = {name: one for name, one in rest.items() if torch.is_tensor(one) and one.is_floating_point()}
        for name, tensor in floats.items():
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return (TensorSpec(f"frozen base model {digest.hexdigest()[:16]}", "U8", (0,)),) if floats else ()


def has_adapter(model: torch.nn.Module) -> bool:
    """Whether PEFT has put an adapter into the model: by `get_peft_model`, or by the model's own `add_adapter`."""
    return bool(getattr(unwrap(model), "peft_config", None))


def adapter_names(model: torch.nn.Module) -> frozenset[str]:
    """Names in `model.state_dict()` of what PEFT saves of the active adapters; raises CallbackArgumentError.

    PEFT leaves the adapter's name out of its keys, so tensors are told by their identity and not by their names.
    """
    if not has_adapter(model):
        raise CallbackArgumentError("hf_mode peft needs a model with an adapter: peft.get_peft_model(model, config)")
    read = importlib.import_module("peft").get_peft_model_state_dict
    whole = model.state_dict(keep_vars=True)
    kept = [read(model, state_dict=whole, adapter_name=name, save_embedding_layers=False) for name in _active(model)]
    identities = {id(tensor) for adapter in kept for tensor in adapter.values()}
    return frozenset(name for name, tensor in whole.items() if id(tensor) in identities)


def _active(model: torch.nn.Module) -> list[str]:
    found: Any = getattr(model, "active_adapters", None)
    found = found() if callable(found) else found
    names = [found] if isinstance(found, str) else list(found or ())
    if not names:
        raise ModelError("the model has an adapter, but none is active")
    return names

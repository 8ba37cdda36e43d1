"""What of a Hugging Face model travels: all of it, or the adapter that PEFT trains on top of a frozen one."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import torch

from swarm_lab.callback.errors import CallbackArgumentError, ModelError
from swarm_lab.callback.torch import TorchModel
from swarm_lab.callback.torch_evaluation import Evaluation
from swarm_lab.callback.torch_state import TorchState
from swarm_lab.callback.torch_tensors import trainable, unwrap


class HuggingFaceModel(TorchModel):
    """The whole `state_dict`, or with `part` what is trained of it, under its exact names.

    `part` is `adapter`, what PEFT saves of the active adapters and what else the program unfroze, or `trainable`. It
    means something only on top of the weights that it was trained on: their digest is part of the layout, so that
    nodes with other ones are refused before anything is merged.
    """

    def __init__(
        self, model: torch.nn.Module, evaluation: Evaluation | None, *, part: str | None, logger: logging.Logger
    ) -> None:
        self._adapter = adapter_names(unwrap(model)) if part == "adapter" else frozenset()
        select = None if part is None else self._selected
        super().__init__(model, evaluation, select=select, mark_rest=part is not None, logger=logger)

    def keep(self, optimizer: Any, scheduler: Any) -> None:
        """The optimizer and scheduler whose state stays local and comes back after a restart."""
        self._state = TorchState.of(optimizer, scheduler)

    def _selected(self, name: str, tensor: torch.Tensor) -> bool:
        return name in self._adapter or trainable(name, tensor)


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

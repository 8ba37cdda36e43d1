"""`SwarmCallback` for PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.loop import LoopCallback
from swarm_lab.callback.messages import Platform, TensorSpec
from swarm_lab.callback.session import Score, Session, default_logger
from swarm_lab.callback.torch_evaluation import Evaluation
from swarm_lab.callback.torch_ranks import Member, member_of
from swarm_lab.callback.torch_state import TorchState, Unkept
from swarm_lab.callback.torch_tensors import DTYPES, Select, TorchTensors, trainable, unwrap

__all__ = ["DTYPES", "TorchCallback", "TorchModel", "trainable", "unwrap"]

PLATFORM_NAMES = ("PYTORCH",)


class TorchModel:
    """A module as the session sees it: its tensors, its score, and the state that stays local.

    `select` and `mark_rest` say what travels (`TorchTensors`); None is all. `loads` counts the models loaded;
    `restored` says whether a state came back.
    """

    platform: Platform = "torch"

    def __init__(
        self,
        model: torch.nn.Module,
        evaluation: Evaluation | None,
        *,
        select: Select | None = None,
        mark_rest: bool = False,
        state: TorchState | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self._model = unwrap(model)
        self._evaluation = evaluation
        self._tensors = TorchTensors(model, select, mark_rest=mark_rest)
        self._state = state
        self._log = logger or default_logger()
        self.loads = 0
        self.restored = False

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The layout as it was made last."""
        return self._tensors.layout

    def layout(self) -> tuple[TensorSpec, ...]:
        """The tensors in the order of `state_dict`; raises ModelError on one that cannot travel."""
        return self._tensors.read_layout()

    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the tensors into the views, from whatever device, bit by bit."""
        self._tensors.store(views)

    def load(self, views: Sequence[memoryview]) -> None:
        """Copy the views into the tensors in place, so that optimizers and compiled graphs keep them."""
        self._tensors.load(views)
        self.loads += 1

    def evaluate(self) -> Score:
        """Loss and metric on the validation data."""
        return (None, None) if self._evaluation is None else self._evaluation.run(self._model)

    def state(self) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]] | None:
        """Copies of the state of optimizers and schedulers; None without any, or when it has no plain form."""
        if not self._state:
            return None
        try:
            return self._state.read()
        except Unkept as error:
            self._log.warning("the optimizer's state cannot be kept for a restart: %s", error)
            self._state = None
            return None

    def restore(self, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Put such a state back; raises ModelError, with nothing changed, when it does not fit."""
        if self._state:
            self._state.write(arrays, facts)
            self.restored = True


class TorchCallback(LoopCallback):
    """The callback of a PyTorch program; see `swarm_lab.SwarmCallback` for its arguments.

    In a program of several ranks (`torch.distributed`) every rank makes one and makes the same calls; rank 0 alone
    speaks with the swarm. Attributes: `logger`; `stop_training`, true when the swarm is over or was stopped;
    `resumed_epoch`, 0 or with `optimizer=` where a program that was killed stood: collective, all ranks read it.
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
        alone = values.get("parameters") == "trainable"
        self._model = TorchModel(
            model,
            Evaluation.of(values, self.logger),
            select=trainable if alone else None,
            mark_rest=alone,
            state=TorchState.of(values.get("optimizer"), values.get("scheduler")),
            logger=self.logger,
        )
        self._session: Member = Session(self._model, values, self.logger)

    def on_train_begin(self) -> None:
        """Call before the loop: the model now holds what the swarm starts from."""
        if isinstance(self._session, Session):
            self._session = member_of(self._session, self._model, self.logger)
        self._session.begin()

    def on_batch_end(self, batch: int | None = None, loss: float | torch.Tensor | None = None) -> None:
        """Call after each optimiser step. `batch` is not used; `loss` is shown live and goes nowhere else."""
        if isinstance(loss, torch.Tensor):
            loss = float(loss.detach())
        self._session.batch(1, loss)

"""`SwarmCallback` for Hugging Face: in `Trainer(callbacks=[...])`, or in a PyTorch loop of one's own."""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState

from swarm_lab.callback.arguments import positional, read_arguments
from swarm_lab.callback.errors import CallbackArgumentError, ModelError
from swarm_lab.callback.huggingface_evaluation import HuggingFaceEvaluation
from swarm_lab.callback.huggingface_model import HuggingFaceModel, has_adapter
from swarm_lab.callback.session import Session, default_logger
from swarm_lab.callback.torch import TorchCallback
from swarm_lab.callback.torch_ranks import Member
from swarm_lab.callback.torch_tensors import unwrap

__all__ = ["HuggingFaceCallback", "SwarmCallback"]

PLATFORM_NAMES = ("HF_TRANSFORMER", "PYTORCH")


class HuggingFaceCallback(TorchCallback, TrainerCallback):  # type: ignore[misc]
    """The callback of a Hugging Face program; see `swarm_lab.SwarmCallback` for its arguments.

    `Trainer` calls it: one optimiser step, after all accumulation of gradients, is one batch; when the swarm is over
    or was stopped, `control.should_training_stop` is set. In a loop of one's own it is called like the one for PyTorch.
    """

    def __init__(
        self,
        sync_frequency: int | None = None,
        min_peers: int | None = None,
        training_contract: str | None = "",
        **given: Any,
    ) -> None:
        given = {**positional(sync_frequency, min_peers, training_contract), **given}
        values = read_arguments(given, "huggingface")
        platform = values.get("ml_platform", PLATFORM_NAMES[0])
        if platform not in PLATFORM_NAMES:
            raise CallbackArgumentError(f"ml_platform must be HF_TRANSFORMER for this model, not {platform!r}")
        model = values.get("model")
        if not isinstance(model, torch.nn.Module):
            raise CallbackArgumentError("model must be the model that Trainer trains")
        self.logger = values.get("logger") or default_logger()
        self._module = unwrap(model)
        self.hf_mode: str = values.get("hf_mode") or ("peft" if has_adapter(model) else "full")
        self._evaluation = HuggingFaceEvaluation.of(values, self.logger)
        part = "adapter" if self.hf_mode == "peft" else "trainable" if values.get("parameters") == "trainable" else None
        self._whole = HuggingFaceModel(model, self._evaluation, part=part, logger=self.logger)
        self._whole.keep(values.get("optimizer"), values.get("scheduler"))
        self._model = self._whole
        self._session: Member = Session(self._model, values, self.logger)
        self._steps_before = 0  # optimiser steps that were done before this program was started again
        self._loss: float | None = None

    def on_train_begin(
        self, args: Any = None, state: TrainerState = None, control: TrainerControl = None, **parts: Any
    ) -> None:
        """Called by Trainer: the model now holds what the swarm starts from."""
        if state is not None:
            self._look_at(args, parts)
            session = self._session
            if isinstance(session, Session) and session.total_epochs is None and state.num_train_epochs < sys.maxsize:
                session.total_epochs = math.ceil(state.num_train_epochs)
        super().on_train_begin()
        if state is not None:
            self._go_on(state, parts.get("train_dataloader"), args)
            self._stop_if_over(state, control)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **parts: Any) -> None:
        """Called by Trainer after each optimiser step."""
        self._session.batch(1, self._loss)
        self._stop_if_over(state, control)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **parts: Any) -> None:
        """Called by Trainer: its training loss is shown live from now on."""
        loss = (logs or {}).get("loss")
        self._loss = float(loss) if isinstance(loss, int | float) else self._loss

    def on_epoch_end(
        self, epoch: Any = None, state: TrainerState = None, control: TrainerControl = None, **parts: Any
    ) -> None:
        """Called by Trainer after each epoch; with Trainer the first argument is its own."""
        super().on_epoch_end()

    def on_train_end(
        self, args: Any = None, state: TrainerState = None, control: TrainerControl = None, **parts: Any
    ) -> None:
        """Called by Trainer: waits for the swarm's end; the model then holds its final one."""
        if self.stop_training and getattr(args, "load_best_model_at_end", False):
            self._session.batch(0)  # Trainer has put its own best model in the place of the swarm's
        super().on_train_end()

    def _look_at(self, args: Any, parts: dict[str, Any]) -> None:
        """Refuse what cannot be right; take what Trainer alone knows: how rows are collated, optimizer, scheduler."""
        for name in ("deepspeed", "fsdp"):
            if getattr(args, name, None):
                raise ModelError(
                    f"with {name} the model is not in one piece on any process",
                    next_step=f"train without {name}; several GPUs of one node work with torchrun alone",
                )
        model = parts.get("model")
        if isinstance(model, torch.nn.Module) and unwrap(model) is not self._module:
            raise CallbackArgumentError(
                f"Trainer trains a {type(unwrap(model)).__name__} that is not the model given to SwarmCallback "
                f"(a {type(self._module).__name__})"
            )
        if getattr(args, "load_best_model_at_end", False):
            self.logger.warning(
                "load_best_model_at_end: when this node's training ends before the swarm's, its best local model and "
                "not its last takes part in the closing round; the swarm's final model replaces it in any case"
            )
        loader = parts.get("train_dataloader")
        if self._evaluation is not None and callable(collate := getattr(loader, "collate_fn", None)):
            self._evaluation.collate = collate
        self._whole.keep(parts.get("optimizer"), parts.get("lr_scheduler"))

    def _go_on(self, state: TrainerState, loader: Any, args: Any) -> None:
        """After a restart: Trainer counts from 0, so its end comes earlier by what was done before."""
        epoch = self._session.resumed_epoch
        if epoch == 0 or state.global_step > 0 or not hasattr(loader, "__len__"):
            return  # new, or Trainer goes on from a checkpoint of its own and knows where
        steps = max(1, -(-len(loader) // args.gradient_accumulation_steps))
        self._steps_before = min(epoch * steps, state.max_steps)
        self.logger.info(
            "%d of %d steps were done before the restart: Trainer counts from 0, and ends %d steps earlier",
            self._steps_before, state.max_steps, self._steps_before,
        )  # fmt: skip

    def _stop_if_over(self, state: TrainerState, control: TrainerControl) -> None:
        if self.stop_training or self._steps_before + state.global_step >= state.max_steps > 0:
            control.should_training_stop = True


SwarmCallback = HuggingFaceCallback

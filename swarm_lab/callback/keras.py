"""`SwarmCallback` for Keras 3."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import keras

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError, CallOrderError, ModelError
from swarm_lab.callback.keras_evaluation import Evaluation
from swarm_lab.callback.keras_model import KerasModel
from swarm_lab.callback.logs import failures_logged
from swarm_lab.callback.session import Phase, Session, default_logger

PLATFORM_NAMES = ("KERAS",)
BACKENDS = ("tensorflow", "torch")
AGAIN = (
    "train in one fit; for several, begin and end by hand: callback.set_model(model), callback.on_train_begin(), then "
    "fit(callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=callback.on_batch_end)]) as often as you like, "
    "and callback.on_train_end()"
)


class KerasCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """The callback of a Keras program, for `fit(callbacks=[...])`; see `swarm_lab.SwarmCallback` for its arguments.

    When the swarm is over or was stopped it sets `model.stop_training`. After `fit` the model is the swarm's final one,
    also when another callback of the list restores weights at the end. In a loop of one's own: `model=` or `set_model`,
    then `on_train_begin()`, `on_batch_end()` after each step, `on_train_end()`.
    """

    _present: ClassVar[KerasCallback | None] = None  # the one whose training this process does: there is one link

    def __init__(self, **given: Any) -> None:
        super().__init__()
        values = read_arguments(given, "keras")
        platform = values.get("ml_platform", PLATFORM_NAMES[0])
        if platform == "TF":
            raise CallbackArgumentError("graph mode of TensorFlow 1 is not supported: use Keras 3")
        if platform not in PLATFORM_NAMES:
            raise CallbackArgumentError(f"ml_platform must be KERAS for a Keras model, not {platform!r}")
        self.logger = values.get("logger") or default_logger()
        _check_backend(self.logger)
        self._given = values.get("model")
        self._keras_model = KerasModel(
            Evaluation.of(values, self.logger), values.get("parameters", "all"), values.get("optimizer")
        )
        self._session = Session(self._keras_model, values, self.logger)
        self._late = False  # the model is built by its first batch, and the session begins after it
        self._last_step = -1
        self._steps: int | None = None

    @property
    def stop_training(self) -> bool:
        """Whether the swarm is over or was stopped."""
        return self._session.stop_training

    @property
    def resumed_epoch(self) -> int:
        """The epoch at which a restarted program goes on; 0 in a new one. `fit` begins there by itself."""
        counted = self._session.resumed_epoch
        return self._keras_model.resumed_epoch or counted  # Keras' own index has the initial_epoch of fit in it

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Called by Keras: the model now holds what the swarm starts from.

        Raises CallOrderError the second time, ModelError when there is no model, or a weight that cannot travel.
        """
        with failures_logged({"logger": self.logger}):
            if self._session.phase is not Phase.NEW or self._late:
                raise CallOrderError("on_train_begin() was called a second time", next_step=AGAIN)
            self._keras_model.use(self._trained())
            fit = self.params or {}  # empty in a loop of the user's own
            self._steps = fit.get("steps")
            if self._session.total_epochs is None:
                self._session.total_epochs = fit.get("epochs")
            self._late = not self._keras_model.built and not self._session.loopback
            if self._late:
                self.logger.info("the model is built by its first batch: the swarm's model is loaded after that")
            else:
                self._begin()
                if fit:
                    self._go_on_at(self.resumed_epoch)
            self._guard_the_end()

    def on_epoch_begin(self, epoch: int | None = None, logs: dict[str, float] | None = None) -> None:
        """Called by Keras: batches are numbered anew."""
        self._last_step = -1
        self._keras_model.epoch = epoch
        if self._keras_model.model is not None:
            self._keras_model.model._initial_epoch = None  # fit has read it: the next one has its own

    def on_batch_end(self, batch: int | None = None, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each step, or after several when `steps_per_execution` says so."""
        if self._late:
            self._late = False
            self._begin()
            if epoch := self._keras_model.resumed_epoch or self._session.place_epoch:
                self.logger.warning("the model was built too late to go on at epoch %d: give it an Input", epoch)
        loss = (logs or {}).get("loss")
        self._session.batch(self._new_steps(batch), None if loss is None else float(loss))
        self._stop_if_over()

    def on_epoch_end(self, epoch: int | None = None, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each epoch."""
        self._session.epoch()
        if epoch is not None:
            self._keras_model.epoch = epoch + 1

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Called by Keras: waits for the swarm's end; the model then holds its final one."""
        if self._late:
            self._late = False
            self._begin()
        self._session.end()

    def get_loss(self, merged: Mapping[str, Any]) -> tuple[float | None, float | None, int, int]:
        """Load these tensors, by the names of the layout, and judge: loss, metric, epochs done, epochs in all."""
        return self._session.get_loss(merged)

    getLoss = get_loss

    def _trained(self) -> Any:
        model = self.model if self.model is not None else self._given
        if model is None:
            raise ModelError("there is no model: call set_model(model) first, or give SwarmCallback model=")
        if not isinstance(model, keras.Model):
            kind = f"{type(model).__module__}.{type(model).__name__}"
            raise ModelError(
                f"{kind} is no model of Keras 3",
                next_step="use Keras 3: `import keras`, or tf.keras without TF_USE_LEGACY_KERAS",
            )
        if self._given is not None and model is not self._given:
            raise ModelError(f"fit trains {model.name}, and SwarmCallback was given model={self._given.name}")
        return model

    def _begin(self) -> None:
        if not self._session.loopback and KerasCallback._present is not None:
            raise CallOrderError("this program has trained with the swarm already", next_step=AGAIN)
        self._session.begin()
        if not self._session.loopback:
            KerasCallback._present = self
        self._stop_if_over()

    def _go_on_at(self, epoch: int) -> None:
        if epoch:
            # What BackupAndRestore of Keras does: fit reads it after on_train_begin.
            self._keras_model.model._initial_epoch = epoch
            self.logger.info("back in the training: going on at epoch %d", epoch)

    def _new_steps(self, batch: int | None) -> int:
        """Optimiser steps since the last call."""
        at_once = getattr(self._keras_model.model, "steps_per_execution", 1)
        if batch is None or at_once == 1:
            return 1
        # Keras names the step at which a full execution would have ended.
        last = batch if self._steps is None else min(batch, self._steps - 1)
        steps, self._last_step = last - self._last_step, last
        return max(1, min(steps, at_once))

    def _guard_the_end(self) -> None:
        """Have the last word at the end of `fit`: Keras keeps its History behind all callbacks of the user."""
        history = getattr(self._keras_model.model, "history", None)
        if self._session.loopback or not isinstance(history, keras.callbacks.History):
            return

        def on_train_end(logs: dict[str, float] | None = None) -> None:
            del history.on_train_end
            if self._session.phase is Phase.ENDED and self._keras_model.load_again():
                self.logger.warning(
                    "a callback behind SwarmCallback changed the model at the end of fit (EarlyStopping with "
                    "restore_best_weights?); the swarm's final model is loaded again"
                )

        history.on_train_end = on_train_end

    def _stop_if_over(self) -> None:
        if self._session.stop_training:
            self._keras_model.model.stop_training = True


def _check_backend(logger: logging.Logger) -> None:
    backend, asked = keras.backend.backend(), os.environ.get("KERAS_BACKEND")
    if backend not in BACKENDS:
        raise CallbackArgumentError(
            f"Keras runs on {backend}; SwarmCallback knows it on {' and '.join(BACKENDS)}: set KERAS_BACKEND"
        )
    if backend == "tensorflow" and not import_module("tensorflow").executing_eagerly():
        raise CallbackArgumentError("graph mode of TensorFlow 1 is not supported: leave eager execution on")
    if asked and asked != backend:  # a warm seat has imported Keras before the program could choose
        logger.warning(
            "Keras runs on %s, not on %s as KERAS_BACKEND says now: set it before `swarm-lab up`, or train with --cold",
            backend,
            asked,
        )

"""`SwarmCallback` for Keras 3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError, ModelChangedError, ModelError
from swarm_lab.callback.messages import Platform, TensorSpec
from swarm_lab.callback.session import Score, Session, default_logger

if TYPE_CHECKING:
    import logging

DTYPES: dict[str, str] = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
PLATFORM_NAMES = ("KERAS",)


class KerasModel:
    """The weights of a Keras model as tensors, trainable and not, under the variables' paths.

    `model.weights` leaves out what is local by its nature: states of random generators, metrics, the optimizer.
    """

    platform: Platform = "keras"

    def __init__(self, values: dict[str, Any], logger: logging.Logger) -> None:
        self._values = values
        self._logger = logger
        self._model: Any = None
        self._layout: tuple[TensorSpec, ...] = ()

    def use(self, model: Any) -> None:
        """Take the model that `fit` trains."""
        self._model = model

    def layout(self) -> tuple[TensorSpec, ...]:
        """The weights in the model's order; raises ModelError when there are none yet."""
        if self._model is None or not self._model.built:
            raise ModelError("the model is not built yet: give it an Input or call it once before fit")
        self._layout = self._specs()
        if not self._layout:
            raise ModelError("the model has no weights")
        return self._layout

    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the weights into the views, bit by bit."""
        self._check()
        for variable, view in zip(self._model.weights, views, strict=True):
            if view.nbytes:
                array = np.ascontiguousarray(_numbers(variable))
                np.frombuffer(view, np.uint8)[:] = array.reshape(-1).view(np.uint8)

    def load(self, views: Sequence[memoryview]) -> None:
        """Assign the views to the weights."""
        self._check()
        for variable, spec, view in zip(self._model.weights, self._layout, views, strict=True):
            # A copy: TensorFlow may keep the array's memory, and the segment is written again at the next round.
            array = np.frombuffer(bytes(view), np.dtype(variable.dtype)).reshape(spec.shape)
            variable.assign(array)

    def evaluate(self) -> Score:
        """Loss, and the metric asked for or the first compiled one, on the validation data."""
        data = self._values.get("val_data")
        if data is None:
            return None, None
        x, y, weight = (*data, None)[:3] if isinstance(data, tuple) else (data, None, None)
        if hasattr(x, "__len__") and len(x) == 0:
            self._logger.warning("the validation data has no samples: loss and metric stay unknown")
            return None, None
        try:
            with self._metrics_kept():
                size = self._values.get("val_batch_size")
                found = self._model.evaluate(x, y, sample_weight=weight, batch_size=size, verbose=0, return_dict=True)
        except Exception as error:  # whatever the user's data, model or metric raises, with its cause kept
            raise EvaluationError(f"{type(error).__name__}: {error}") from error
        return self._score({name: float(value) for name, value in found.items()})

    def _score(self, found: dict[str, float]) -> Score:
        loss = found.pop("loss", None)
        wanted = self._values.get("metric_function")
        if wanted is None:
            return loss, next(iter(found.values()), None)
        if wanted not in found:
            raise EvaluationError(
                f"the model is not compiled with the metric {wanted}; it has {', '.join(found) or 'none'}"
            )
        return loss, found[wanted]

    @contextmanager
    def _metrics_kept(self) -> Iterator[None]:
        # `evaluate` resets the metrics, which in the middle of an epoch are the running ones of `fit`.
        kept = [(variable, np.array(_numbers(variable))) for variable in self._model.metrics_variables]
        try:
            yield
        finally:
            for variable, value in kept:
                variable.assign(value)

    def _specs(self) -> tuple[TensorSpec, ...]:
        specs: dict[str, TensorSpec] = {}
        for variable in self._model.weights:
            name, number = variable.path, 1
            while name in specs:  # two layers may carry one name; order tells them apart on every node alike
                number += 1
                name = f"{variable.path}#{number}"
            if variable.dtype not in DTYPES:
                raise ModelError(f"{name} has the dtype {variable.dtype}, which cannot be merged")
            specs[name] = TensorSpec(name, DTYPES[variable.dtype], tuple(int(n) for n in variable.shape))
        return tuple(specs.values())

    def _check(self) -> None:
        present = {spec.name: spec for spec in self._specs()}
        for spec in self._layout:
            found = present.pop(spec.name, None)
            if found is None:
                raise ModelChangedError(f"{spec.name} is no longer in the model")
            if found != spec:
                raise ModelChangedError(
                    f"{spec.name} was {spec.dtype} {list(spec.shape)} and is now {found.dtype} {list(found.shape)}"
                )
        if present:
            raise ModelChangedError(f"{next(iter(present))} is new in the model")


def _numbers(variable: Any) -> Any:
    return keras.ops.convert_to_numpy(variable.value)


class KerasCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """The callback of a Keras program, for `fit(callbacks=[...])`; see `swarm_lab.SwarmCallback` for its arguments.

    When the swarm is over or was stopped it sets `model.stop_training`.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__()
        values = read_arguments(given, "keras")
        platform = values.get("ml_platform", PLATFORM_NAMES[0])
        if platform == "TF":
            raise CallbackArgumentError("graph mode of TensorFlow 1 is not supported: use Keras 3")
        if platform not in PLATFORM_NAMES:
            raise CallbackArgumentError(f"ml_platform must be KERAS for a Keras model, not {platform!r}")
        self.logger = values.get("logger") or default_logger()
        self._keras_model = KerasModel(values, self.logger)
        self._session = Session(self._keras_model, values, self.logger)
        self._step = -1

    @property
    def stop_training(self) -> bool:
        """Whether the swarm is over or was stopped."""
        return self._session.stop_training

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Called by Keras: the model now holds what the swarm starts from."""
        self._keras_model.use(self.model)
        self._session.begin()
        self._stop_if_over()

    def on_epoch_begin(self, epoch: int | None = None, logs: dict[str, float] | None = None) -> None:
        """Called by Keras: batches are numbered anew."""
        self._step = -1

    def on_batch_end(self, batch: int | None = None, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each step, or after several when `steps_per_execution` says so."""
        last = self._step + 1 if batch is None else batch
        if (whole := self.params.get("steps")) is not None:
            last = min(last, whole - 1)  # Keras names the step at which a full execution would have ended
        steps, self._step = max(1, last - self._step), last
        loss = (logs or {}).get("loss")
        self._session.batch(steps, None if loss is None else float(loss))
        self._stop_if_over()

    def on_epoch_end(self, epoch: int | None = None, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each epoch."""
        self._session.epoch()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Called by Keras: waits for the swarm's end; the model then holds its final one."""
        self._session.end()

    def _stop_if_over(self) -> None:
        if self._session.stop_training:
            self.model.stop_training = True

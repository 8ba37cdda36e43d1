"""Loss and metric of a Keras model on the user's validation data."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from typing import Any

import keras
import numpy as np

from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError
from swarm_lab.callback.keras_metrics import choose, make
from swarm_lab.callback.session import Score

# A generator is read once and kept, because a model is judged at every round. One that never ends is found here.
MOST_BATCHES = 100_000
BATCH = 32  # Keras' own
MOST_TEXT = 1200


@dataclass(slots=True)
class Evaluation:
    """How a model is judged: `evaluate` of Keras on arrays `(x, y[, sample_weight])`, or on what yields batches.

    `metric` is the name asked for: of a compiled metric, or of one that Keras has; None takes the first compiled one.
    """

    data: Any
    arrays: bool
    size: int | None
    metric: str | None
    metric_args: Mapping[str, Any] | None
    logger: logging.Logger = field(repr=False)
    _kept: list[Any] | None = None
    _told: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any], logger: logging.Logger) -> Evaluation | None:
        """From the callback's arguments; None without validation data. Raises CallbackArgumentError."""
        data = values.get("val_data")
        if data is None:
            return None
        arrays = isinstance(data, tuple | list)
        if arrays:
            _check_arrays(data)
        elif isinstance(data, str | bytes | int | float) or not (hasattr(data, "__iter__") or hasattr(data, "__len__")):
            raise CallbackArgumentError(
                "val_data must be (x, y), (x, y, sample_weight), or what model.evaluate takes (a Dataset, a "
                f"PyDataset, a generator of batches), not {type(data).__name__}"
            )
        size, name = values.get("val_batch_size"), values.get("metric_function")
        if size is not None and not arrays:
            logger.info("val_batch_size has no effect: the validation data comes in batches")
        return cls(data, arrays, size, name, values.get("metric_function_args"), logger)

    def build(self, model: Any) -> None:
        """Build a model that has no weights yet, by one sample of the validation data; only arrays can do that."""
        if self.arrays and not self._empty():
            model(keras.tree.map_structure(lambda part: np.asarray(part)[:1], self.data[0]), training=False)

    def run(self, model: Any) -> Score:
        """(loss, metric); both None when there are no samples.

        The running metrics of `fit` are left as they were, also when it raises EvaluationError.
        """
        try:
            with _undisturbed(model):
                return self._run(model)
        except EvaluationError:
            raise
        except Exception as error:  # whatever the user's data, model or metric raises, with its cause kept
            raise EvaluationError(f"{type(error).__name__}: {_short(str(error))}") from error

    def _run(self, model: Any) -> Score:
        if not model.compiled:
            raise EvaluationError("the model is not compiled: judging it on val_data needs the loss given to compile")
        if self._empty():
            return self._nothing()
        if self.arrays:
            x, y, weight = (*self.data, None)[:3]
            found = model.evaluate(x, y, sample_weight=weight, batch_size=self.size, verbose=0, return_dict=True)
        else:
            found = model.evaluate(self._source(), verbose=0, return_dict=True)
        if not found:  # a Dataset without batches
            return self._nothing()
        scores = {name: float(value) for name, value in found.items() if np.ndim(value) == 0}
        loss = scores.pop("loss", None)
        if self.metric is None or not self.metric_args:
            name = choose(model, scores, self.metric)
            if name is not None or self.metric is None:
                return loss, None if name is None else scores[name]
        return loss, self._by_hand(model)

    def _by_hand(self, model: Any) -> float:
        """A metric that the model is not compiled with: a second pass over the data."""
        metric = None
        for x, y, weight in map(keras.utils.unpack_x_y_sample_weight, self._batches()):
            predicted = model.predict_on_batch(x)
            if metric is None:
                metric = make(str(self.metric), self.metric_args or {}, y, predicted)
            metric.update_state(y, predicted, sample_weight=weight)
        if metric is None:
            raise EvaluationError("the validation data has no batches")
        return float(metric.result())

    def _empty(self) -> bool:
        if self.arrays:
            return len(keras.tree.flatten(self.data[0])[0]) == 0
        if hasattr(self.data, "__next__"):
            return not self._all()
        try:
            return len(self.data) == 0
        except TypeError:  # a Dataset that does not know
            return False

    def _nothing(self) -> Score:
        if not self._told:
            self.logger.warning("the validation data has no samples: loss and metric stay unknown")
            self._told = True
        return None, None

    def _source(self) -> Any:
        return (batch for batch in self._all()) if hasattr(self.data, "__next__") else self.data

    def _all(self) -> list[Any]:
        if self._kept is None:
            self._kept = list(islice(self.data, MOST_BATCHES + 1))
            if len(self._kept) > MOST_BATCHES:
                raise EvaluationError(f"the generator given as val_data does not end: {MOST_BATCHES} batches were read")
        return self._kept

    def _batches(self) -> Iterable[Any]:
        if self.arrays:
            count, size = len(keras.tree.flatten(self.data[0])[0]), self.size or BATCH
            for start in range(0, count, size):
                stop = start + size
                yield tuple(
                    keras.tree.map_structure(lambda part: np.asarray(part)[start:stop], part)  # noqa: B023 - used now
                    for part in self.data
                    if part is not None
                )
        elif isinstance(self.data, keras.utils.PyDataset):
            yield from (self.data[number] for number in range(len(self.data)))
        else:
            yield from self._source()


def _short(message: str) -> str:
    """TensorFlow tells its whole stack and says at the end what was wrong."""
    return message if len(message) <= MOST_TEXT else f"{message[: MOST_TEXT // 4]} ... {message[-MOST_TEXT // 2 :]}"


def _check_arrays(data: tuple[Any, ...] | list[Any]) -> None:
    if len(data) not in (2, 3):
        raise CallbackArgumentError(f"val_data must be (x, y) or (x, y, sample_weight), not {len(data)} parts")
    try:
        counts = {len(part) for part in keras.tree.flatten(tuple(data)) if part is not None}
    except TypeError as error:
        raise CallbackArgumentError(f"val_data must hold arrays: {error}") from error
    if len(counts) > 1:
        raise CallbackArgumentError(f"the parts of val_data have {' and '.join(map(str, sorted(counts)))} samples")


@contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    # `evaluate` resets the metrics, which in the middle of an epoch are the running ones of `fit`.
    kept = [(variable, np.array(variable.numpy())) for variable in model.metrics_variables]
    try:
        with _torch_undisturbed(model) if keras.backend.backend() == "torch" else nullcontext():
            yield
    finally:
        known = {id(variable) for variable, _ in kept}
        for metric in model.metrics:
            if any(id(variable) not in known for variable in metric.variables):
                metric.reset_state()  # it was made by the evaluation, and has seen nothing of the training
        for variable, value in kept:
            variable.assign(value)


@contextmanager
def _torch_undisturbed(model: Any) -> Iterator[None]:
    # There `evaluate` leaves the module in the mode of evaluation, and its loader draws from the common generator.
    mode = model.training
    with import_module("torch").random.fork_rng(devices=[]):
        try:
            yield
        finally:
            model.train(mode)

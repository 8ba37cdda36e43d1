"""A callback for any framework: a subclass says in five methods how its model becomes arrays and what it is worth."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from swarm_lab.callback.arguments import positional, read_arguments
from swarm_lab.callback.arrays import numpy_dtype, spec_of, views_of
from swarm_lab.callback.errors import EvaluationError, ModelChangedError, ModelError
from swarm_lab.callback.logs import default_logger, failures_logged
from swarm_lab.callback.loop import LoopCallback
from swarm_lab.callback.messages import Platform, TensorSpec
from swarm_lab.callback.session import Score, Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


def own_platform() -> Platform:
    """What this swarm was brought up for, as the node told the program; without a node "sklearn", plain arrays."""
    named = os.environ.get("SWARM_FRAMEWORK", "")
    return next((known for known in get_args(Platform) if known == named), "sklearn")


class ArraysModel:
    """A model that is read and written as a dict of arrays by name."""

    def __init__(
        self,
        platform: Platform,
        save: Callable[[], Arrays],
        load: Callable[[dict[str, NDArray[Any]]], None],
        score: Callable[[], Score],
    ) -> None:
        self.platform = platform
        self._save = save
        self._load = load
        self._score = score
        self._layout: tuple[TensorSpec, ...] = ()

    def layout(self) -> tuple[TensorSpec, ...]:
        """The arrays in the dict's order; raises ModelError on a dtype that cannot travel, or without any."""
        self._layout = tuple(spec_of(name, np.asarray(array)) for name, array in self._save().items())
        if not self._layout:
            raise ModelError("the model has no arrays")
        return self._layout

    def store(self, views: Sequence[memoryview]) -> None:
        """Copy the arrays into the views, bit by bit; raises ModelChangedError when they are others than at first."""
        try:
            found = views_of(self._layout, self._save())
        except ModelError as error:
            raise ModelChangedError(error.message) from error
        for view, own in zip(views, found, strict=True):
            view[:] = own

    def load(self, views: Sequence[memoryview]) -> None:
        """Give the model copies of the views, by name."""
        self._load(
            {
                spec.name: np.frombuffer(bytearray(view), numpy_dtype(spec.dtype)).reshape(spec.shape)
                for spec, view in zip(self._layout, views, strict=True)
            }
        )

    def evaluate(self) -> Score:
        """Loss and metric as the subclass makes them; raises EvaluationError when it cannot."""
        try:
            loss, metric = self._score()
            return (None if loss is None else float(loss)), (None if metric is None else float(metric))
        except Exception as error:  # whatever the user's data or method raises, with its cause kept
            raise EvaluationError(f"{type(error).__name__}: {error}") from error


class ArraysCallback(LoopCallback, ABC):
    """A callback for a framework that has none of its own here. A subclass writes these five methods:

    - `take_model(arguments)`: check and keep what it needs of the constructor's arguments (`model`, ...)
    - `take_val_data(data, batch_size)`: check and keep the validation data; called when there is any
    - `save()`: the model as arrays by name, always the same names, shapes and dtypes
    - `load(arrays)`: put such arrays into the model
    - `score()`: (loss, metric) of the model on the validation data; None for what is not known

    The training loop calls `on_train_begin()`, `on_batch_end()` after each step, `on_epoch_end()` and
    `on_train_end()`, and ends when `stop_training` is true. Arguments are those of `swarm_lab.SwarmCallback`.
    """

    def __init__(
        self,
        sync_frequency: int | None = None,
        min_peers: int | None = None,
        training_contract: str = "",
        **arguments: Any,
    ) -> None:
        given = {**positional(sync_frequency, min_peers, training_contract), **arguments}
        with failures_logged(given):
            values = read_arguments(given, "arrays")
            self.logger = values.get("logger") or default_logger()
            self.take_model(values)
            judged = values.get("val_data") is not None
            if judged:
                self.take_val_data(values["val_data"], values.get("val_batch_size"))
            model = ArraysModel(own_platform(), self.save, self.load, self.score if judged else lambda: (None, None))
            self._session = Session(model, values, self.logger)

    @abstractmethod
    def take_model(self, arguments: Mapping[str, Any]) -> None:
        """Check and keep what is needed; raises CallbackArgumentError."""

    @abstractmethod
    def take_val_data(self, data: Any, batch_size: int | None) -> None:
        """Check and keep the validation data; raises CallbackArgumentError."""

    @abstractmethod
    def save(self) -> Arrays:
        """The model as arrays by name."""

    @abstractmethod
    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Put arrays, the caller's to keep, into the model."""

    @abstractmethod
    def score(self) -> Score:
        """(loss, metric) on the validation data."""

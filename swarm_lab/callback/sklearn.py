"""`SwarmCallback` for scikit-learn estimators that learn by `partial_fit`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.session import Phase, Session, default_logger
from swarm_lab.callback.sklearn_evaluation import Evaluation
from swarm_lab.callback.sklearn_model import SklearnModel
from swarm_lab.callback.sklearn_state import Clusters, state_of

PLATFORM_NAMES = ("SKLEARN", "SCIKIT_LEARN")
Item = TypeVar("Item")


class SklearnCallback:
    """The callback of a scikit-learn program; see `swarm_lab.SwarmCallback` for its arguments.

    One `partial_fit` is one batch. Attributes: `logger`; `stop_training`, true when the swarm is over or was stopped.
    """

    def __init__(self, **given: Any) -> None:
        values = read_arguments(given, "sklearn")
        platform = values.get("ml_platform", PLATFORM_NAMES[0])
        if platform not in PLATFORM_NAMES:
            raise CallbackArgumentError(f"ml_platform must be SKLEARN for an estimator, not {platform!r}")
        self.logger = values.get("logger") or default_logger()
        if values.get("model") is None or isinstance(values["model"], type):
            raise CallbackArgumentError("model must be an estimator, like SGDClassifier()")
        self._estimator: Any = values["model"]
        self._travels = state_of(self._estimator, values.get("weight_attrs"))
        self._first = _first_rows(values, self._estimator)
        if isinstance(self._travels, Clusters):
            self._check_clusters(values)
        evaluation = Evaluation.of(values, self._estimator, self.logger)
        self._session = Session(SklearnModel(self._estimator, self._travels, evaluation), values, self.logger)

    @property
    def stop_training(self) -> bool:
        """Whether the loop should end: what it still does has no part in the final model."""
        return self._session.stop_training

    def on_train_begin(self) -> None:
        """Call before the loop: the estimator now holds what the swarm starts from."""
        if self._session.phase is Phase.NEW and self._first is not None and not self._travels.fitted():
            rows, more = self._first
            self._estimator.partial_fit(*rows, **more)
        self._session.begin()
        if isinstance(self._travels, Clusters):
            _check_merge(self._session.agreed)

    def on_batch_end(self, batch: int | None = None, loss: float | None = None) -> None:
        """Call after each `partial_fit`. `batch` is not used; `loss` is shown live and goes nowhere else."""
        self._session.batch(1, loss)

    def on_epoch_end(self, epoch: int | None = None) -> None:
        """Call after each pass over the data. `epoch` is not used."""
        self._session.epoch()

    def on_train_end(self) -> None:
        """Call after the loop: waits for the swarm's end; the estimator then holds its final model."""
        self._session.end()

    def get_loss(self, merged: Mapping[str, Any]) -> tuple[float | None, float | None, int, int]:
        """Load merged arrays by their names: (loss, metric, epochs done, total epochs)."""
        return self._session.get_loss(merged)

    getLoss = get_loss

    def epochs(self, count: int) -> Iterator[int]:
        """`for epoch in callback.epochs(count)`: begins where that was not done, counts epochs, ends with the swarm.

        After a restart it goes on with the epoch that was begun.
        """
        if self._session.phase is Phase.NEW:
            if self._session.total_epochs is None:
                self._session.total_epochs = count
            self.on_train_begin()
        for epoch in range(self._session.resumed_epoch, count):
            if self.stop_training:
                return
            before = self._session.epochs
            yield epoch
            if self._session.epochs == before:
                self.on_epoch_end(epoch)

    def batches(self, source: Iterable[Item]) -> Iterator[Item]:
        """`for rows in callback.batches(source)`: the source's batches, leaving at once when the swarm is over."""
        for item in source:
            if self.stop_training:
                return
            yield item

    def _check_clusters(self, values: Mapping[str, Any]) -> None:
        _check_merge(values)
        if getattr(self._estimator, "reassignment_ratio", 0) > 0:
            self.logger.warning(
                "reassignment_ratio above 0 lets a node move a centre of few rows elsewhere between two merges: "
                "the merged centre is then a mean of two clusters; reassignment_ratio=0 keeps them together"
            )


def _check_merge(values: Mapping[str, Any]) -> None:
    if values.get("merge_method", "mean") != "mean":
        raise CallbackArgumentError(
            "clusters are merged by sums and counts of their rows, of which only a mean makes centres",
            next_step="train with --merge mean, and leave merge_method out",
        )


def _first_rows(values: Mapping[str, Any], estimator: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """What the first `partial_fit` gets, None without init_data; raises CallbackArgumentError."""
    data, classes = values.get("init_data"), values.get("classes")
    takes_classes = "classes" in inspect.signature(estimator.partial_fit).parameters
    if classes is not None and not takes_classes:
        raise CallbackArgumentError(f"classes is no argument for {type(estimator).__name__}, which is no classifier")
    if data is None:
        if classes is not None:
            raise CallbackArgumentError("classes needs init_data=(x, y): they are given to one first partial_fit")
        return None
    rows = data if isinstance(data, tuple) else (data,)
    if not 1 <= len(rows) <= 2 or (takes_classes and len(rows) != 2):
        raise CallbackArgumentError("init_data must be a pair (x, y) of local rows and their targets")
    if not takes_classes:
        return rows, {}
    if classes is None:
        raise CallbackArgumentError("init_data needs classes=[...]: all labels of all nodes, in one order everywhere")
    return rows, {"classes": np.asarray(classes)}

"""`SwarmCallback` for scikit-learn estimators that learn by `partial_fit`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError
from swarm_lab.callback.loop import LoopCallback
from swarm_lab.callback.session import Phase, Session, default_logger
from swarm_lab.callback.sklearn_evaluation import Evaluation
from swarm_lab.callback.sklearn_model import SklearnModel
from swarm_lab.callback.sklearn_state import Clusters, state_of

PLATFORM_NAMES = ("SKLEARN", "SCIKIT_LEARN")


class SklearnCallback(LoopCallback):
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

    def on_train_begin(self) -> None:
        """Call before the loop: the estimator now holds what the swarm starts from."""
        if self._session.phase is Phase.NEW and self._first is not None and not self._travels.fitted():
            rows, more = self._first
            self._estimator.partial_fit(*rows, **more)
        self._session.begin()
        if isinstance(self._travels, Clusters):
            _check_merge(self._session.agreed)

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

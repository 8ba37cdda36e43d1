"""Loss and metric of a scikit-learn estimator on the user's validation data, by functions of `sklearn.metrics`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sklearn.metrics

from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError
from swarm_lab.callback.session import Score

# What a function of sklearn.metrics judges beside the targets; all others judge predictions.
_PROBABILITIES = frozenset({"log_loss", "brier_score_loss", "d2_log_loss_score", "d2_brier_score"})
_DECISIONS = frozenset(
    {
        "average_precision_score",
        "coverage_error",
        "dcg_score",
        "hinge_loss",
        "label_ranking_average_precision_score",
        "label_ranking_loss",
        "ndcg_score",
        "roc_auc_score",
        "top_k_accuracy_score",
    }
)
_ROWS = frozenset({"silhouette_score", "davies_bouldin_score", "calinski_harabasz_score"})


@dataclass(frozen=True, slots=True)
class Measure:
    """One function of `sklearn.metrics` by its name, with arguments of its own."""

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, argument: str, values: Mapping[str, Any], estimator: Any) -> Measure | None:
        """From `loss_function` or `metric_function`; raises CallbackArgumentError when it does not fit."""
        name = values.get(argument)
        if name is None:
            return None
        function = getattr(sklearn.metrics, name, None)
        if not inspect.isfunction(function):
            raise CallbackArgumentError(f"{argument} must name a function of sklearn.metrics; it has no {name}")
        if name in _PROBABILITIES and not hasattr(estimator, "predict_proba"):
            raise CallbackArgumentError(
                f"{argument} {name} needs probabilities, which {type(estimator).__name__} as it is set up does not have"
            )
        return cls(name, function, values.get(f"{argument}_args", {}))

    def of_model(self, estimator: Any, x: Any, y: Any, weight: Any) -> float:
        """The function's value, a float; whatever it or the estimator raises goes through."""
        if self.name in _ROWS:
            return float(self.function(x, estimator.predict(x), **self.arguments))
        arguments = dict(self.arguments)
        takes = inspect.signature(self.function).parameters
        if weight is not None and "sample_weight" in takes:
            arguments.setdefault("sample_weight", weight)
        classes = getattr(estimator, "classes_", None)
        if classes is not None and "labels" in takes and self.name in _PROBABILITIES | _DECISIONS:
            # A node's validation data may lack a class that other nodes have.
            arguments.setdefault("labels", classes)
        return float(self.function(y, self._judged(estimator, x), **arguments))

    def _judged(self, estimator: Any, x: Any) -> Any:
        if self.name in _DECISIONS and hasattr(estimator, "decision_function"):
            return estimator.decision_function(x)
        if self.name in _PROBABILITIES | _DECISIONS:
            found = estimator.predict_proba(x)
            two = self.name != "log_loss" and found.ndim == 2 and found.shape[1] == 2
            return found[:, 1] if two else found
        return estimator.predict(x)


@dataclass(slots=True)
class Evaluation:
    """How a merged model is judged: rows with targets and weights, a loss, a metric.

    Without a loss an estimator of clusters has its own: the mean squared distance to the nearest centre.
    """

    x: Any
    y: Any
    weight: Any
    loss: Measure | None
    metric: Measure | None
    clusters: bool
    logger: logging.Logger = field(repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any], estimator: Any, logger: logging.Logger) -> Evaluation | None:
        """From the callback's arguments; None without validation data. Raises CallbackArgumentError."""
        data = values.get("val_data")
        if data is None:
            return None
        clusters = hasattr(estimator, "n_clusters")
        x, y, weight = _parts(data, needs_targets=not clusters)
        loss = Measure.of("loss_function", values, estimator)
        metric = Measure.of("metric_function", values, estimator)
        if loss is None and metric is None and not clusters:
            raise CallbackArgumentError("val_data needs a loss_function, a metric_function, or both")
        return cls(x, y, weight, loss, metric, clusters, logger)

    def run(self, estimator: Any) -> Score:
        """(loss, metric), floats or None; both None for no rows. Raises EvaluationError."""
        if np.shape(self.x)[0] == 0:
            self.logger.warning("the validation data has no rows: loss and metric stay unknown")
            return None, None
        given = (estimator, self.x, self.y, self.weight)
        try:
            loss = None if self.loss is None else self.loss.of_model(*given)
            if self.loss is None and self.clusters:
                loss = -float(estimator.score(self.x)) / np.shape(self.x)[0]
            return loss, None if self.metric is None else self.metric.of_model(*given)
        except Exception as error:  # whatever the user's data or the function raises, with its cause kept
            raise EvaluationError(f"{type(error).__name__}: {error}") from error


def _parts(data: Any, *, needs_targets: bool) -> tuple[Any, Any, Any]:
    if not needs_targets and not isinstance(data, tuple):
        return data, None, None
    if not isinstance(data, tuple | list) or not (2 if needs_targets else 1) <= len(data) <= 3:
        raise CallbackArgumentError("val_data must be (rows, targets) or (rows, targets, sample_weight)")
    x, y, weight = (*data, None, None)[:3]
    for part, what in ((y, "targets"), (weight, "weights")):
        if part is not None and len(part) != np.shape(x)[0]:
            raise CallbackArgumentError(f"val_data has {np.shape(x)[0]} rows and {len(part)} {what}")
    return x, y, weight

"""Metrics of Keras by name: among those that a model is compiled with, or made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from swarm_lab.callback.errors import EvaluationError

# What "accuracy" becomes, by the shapes of targets and predictions.
ACCURACIES = ("Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy")


def choose(model: Any, scores: Mapping[str, float], wanted: str | None) -> str | None:
    """The key in the result of `evaluate` of the metric asked for, None when the model is not compiled with it.

    `wanted` is the metric's name in the results, its class, or another name that Keras has for it ("acc", "AUC",
    "mse"); None is the first metric in the order of `compile`. Raises EvaluationError when several fit.
    """
    if wanted in scores:
        return wanted
    compiled = list(_compiled(model, scores))
    if wanted is None:
        return next((key for key, _ in compiled), None)
    names = _names(wanted)
    fitting = [key for key, metric in compiled if metric is not None and names & _names_of(metric)]
    if len(fitting) > 1:
        raise EvaluationError(f"metric_function {wanted} fits {' and '.join(fitting)}: name one of them")
    return fitting[0] if fitting else None


def make(name: str, arguments: Mapping[str, Any], y: Any, predicted: Any) -> keras.metrics.Metric:
    """A new metric by Keras' name of it; raises EvaluationError when there is none or the arguments do not fit."""
    plain = _plain(name)
    if plain in ("accuracy", "acc"):
        name = _accuracy(y, predicted)
    kind = next((kind for known, kind in vars(keras.metrics).items() if _plain(known) == plain), None)
    try:
        if isinstance(kind := getattr(keras.metrics, name, kind), type) and issubclass(kind, keras.metrics.Metric):
            return kind(**arguments)
        found = keras.metrics.get(name)
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"the model is not compiled with the metric {name}, and Keras cannot make it: {error}"
        ) from error
    return found if isinstance(found, keras.metrics.Metric) else keras.metrics.MeanMetricWrapper(found, name=name)


def _compiled(model: Any, scores: Mapping[str, float]) -> Iterable[tuple[str, Any]]:
    """(key in the scores, metric) in the order of `compile`, without the losses of single outputs."""
    outputs = list(getattr(model, "output_names", None) or [])
    losses = {"loss", *(f"{output}_loss" for output in outputs)}
    left = dict(scores)
    for metric in _flat(model.metrics):
        keys = [metric.name, *(f"{output}_{metric.name}" for output in outputs)]
        key = next((key for key in keys if key in left and key not in losses), None)
        if key is not None:
            del left[key]
            yield key, metric
    yield from ((key, None) for key in left if key not in losses)


def _flat(metrics: Iterable[Any]) -> Iterable[Any]:
    for metric in metrics:
        if type(metric).__name__ == "CompileMetrics":
            yield from metric.metrics
        else:
            yield metric


def _names(wanted: str) -> set[str]:
    """Every name, without case and underscores, of what Keras finds under this one."""
    names = {_plain(wanted)}
    if names & {"accuracy", "acc"}:
        return names | {_plain(name) for name in ACCURACIES}
    try:
        return names | _names_of(keras.metrics.get(wanted))
    except (TypeError, ValueError):  # no name of Keras, or a metric that needs arguments
        return names


def _names_of(metric: Any) -> set[str]:
    names = {getattr(metric, "name", None), getattr(metric, "__name__", None)}
    if isinstance(metric, keras.metrics.MeanMetricWrapper):
        names.add(getattr(metric._fn, "__name__", None))
    if type(metric) is not keras.metrics.MeanMetricWrapper and isinstance(metric, keras.metrics.Metric):
        names.add(type(metric).__name__)
    return {_plain(name) for name in names if name}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _accuracy(y: Any, predicted: Any) -> str:
    """As `compile` chooses (keras.src.trainers.compile_utils)."""
    if predicted.shape[-1] == 1:
        return "BinaryAccuracy"
    if len(y.shape) < len(predicted.shape) or y.shape[-1] == 1:
        return "SparseCategoricalAccuracy"
    return "CategoricalAccuracy"

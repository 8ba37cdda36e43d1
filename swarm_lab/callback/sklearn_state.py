"""What of a scikit-learn estimator travels: its fitted attributes as arrays, by kind of estimator.

Labels, feature names and the like are no numbers that could be merged, but they give the numbers their meaning: they
travel as *marks*, empty tensors that carry them in their names. Nodes whose marks differ have different layouts, and
are told so before anything is merged.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import sklearn.cluster
import sklearn.linear_model
import sklearn.neural_network
from numpy.typing import NDArray

from swarm_lab.callback.errors import CallbackArgumentError, ModelError

Array = NDArray[Any]

_LINEAR = ("SGDClassifier", "SGDRegressor", "Perceptron", "PassiveAggressiveClassifier", "PassiveAggressiveRegressor")
_NETWORKS = ("MLPClassifier", "MLPRegressor")
_CLUSTERS = ("MiniBatchKMeans",)
SUPPORTED = (*_LINEAR, *_NETWORKS, *_CLUSTERS)
# Stands for the count of a centre that has seen nothing: a power of two, so that it scales without rounding.
UNSEEN = 2.0**-60
_MARK = 80  # characters of a mark that are shown as they are


class State(Protocol):
    """The arrays of one estimator. `put` gets arrays of the same names, shapes and dtypes."""

    def fitted(self) -> bool:
        """Whether the attributes are there, so that there is something to merge."""

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, always in one order."""

    def put(self, arrays: Mapping[str, Array]) -> None:
        """Make the arrays the estimator's own."""

    def marks(self) -> list[str]:
        """What must be the same on all nodes."""


class Attributes:
    """Attributes that are arrays, numbers, or lists of arrays, by their names: `coef_`, `coefs_.0`, `t_`."""

    def __init__(self, estimator: Any, names: Iterable[str]) -> None:
        self.estimator = estimator
        self._names = tuple(names)

    def fitted(self) -> bool:
        """Whether all attributes have values."""
        return all(getattr(self.estimator, name, None) is not None for name in self._names)

    def arrays(self) -> dict[str, Array]:
        """The attributes' values; raises ModelError on one that is no array of numbers."""
        return {key: _numbers(key, value) for name in self._names for key, value in self._parts(name)}

    def put(self, arrays: Mapping[str, Array]) -> None:
        """New values of the same kinds: a list stays a list, a Python number one."""
        for name in self._names:
            parts = [_like(value, arrays[key]) for key, value in self._parts(name)]
            held = getattr(self.estimator, name)
            setattr(self.estimator, name, type(held)(parts) if isinstance(held, list | tuple) else parts[0])

    def marks(self) -> list[str]:
        """Labels and names of features, where the estimator has them."""
        found = []
        for name in ("classes_", "feature_names_in_"):
            if (values := getattr(self.estimator, name, None)) is not None:
                found.append(_mark(name, np.asarray(values)))
        return found

    def _parts(self, name: str) -> Iterator[tuple[str, Any]]:
        value = getattr(self.estimator, name)
        if isinstance(value, list | tuple):
            yield from ((f"{name}.{i}", part) for i, part in enumerate(value))
        else:
            yield name, value


class Linear(Attributes):
    """Linear models that descend by stochastic gradients: `coef_`, `intercept_`, the counter of steps `t_`.

    With `average=` the estimator descends on one set of weights and predicts by another, their running mean; both
    travel, and `coef_` is again the one that `sklearn` would have chosen.
    """

    _averaged = ("_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept", "t_")

    def __init__(self, estimator: Any) -> None:
        averages = bool(getattr(estimator, "average", False))
        super().__init__(estimator, self._averaged if averages else ("coef_", "intercept_", "t_"))
        self._averages = averages

    def put(self, arrays: Mapping[str, Array]) -> None:
        """The weights, and with averaging those that predict."""
        super().put(arrays)
        if self._averages:
            one = self.estimator
            chosen = "_average" if one.average <= one.t_ - 1.0 else "_standard"
            one.coef_ = getattr(one, f"{chosen}_coef").reshape(one.coef_.shape)
            one.intercept_ = getattr(one, f"{chosen}_intercept")


class Clusters:
    """Centres of `MiniBatchKMeans`, merged as if one estimator had seen the rows of all nodes.

    A centre is the mean of the rows that were counted to it. What travels is its sum, centre times count, and the
    count: a weighted mean of both, divided, is the mean over all nodes' rows (Sculley, "Web-scale k-means
    clustering", 2010, section 2: the per-centre counts). Means of the centres alone would give a node that has seen
    two rows the say of one that has seen thousands.
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._start = ""

    def fitted(self) -> bool:
        """Whether there are centres."""
        return getattr(self._estimator, "cluster_centers_", None) is not None

    def arrays(self) -> dict[str, Array]:
        """`cluster_sums_` (clusters, features) and `counts_` (clusters), both in the dtype of the centres."""
        weights = np.where(self._estimator._counts > 0, self._estimator._counts, UNSEEN)
        weights = weights.astype(self._estimator.cluster_centers_.dtype)
        return {"cluster_sums_": self._estimator.cluster_centers_ * weights[:, None], "counts_": weights}

    def put(self, arrays: Mapping[str, Array]) -> None:
        """Centres from their sums; raises ModelError when a count is not above zero."""
        weights = arrays["counts_"]
        if not (weights > 0).all():
            raise ModelError("a merged count of a cluster is not above zero")
        self._estimator.cluster_centers_ = np.ascontiguousarray(arrays["cluster_sums_"] / weights[:, None])
        self._estimator._counts = np.where(weights > UNSEEN * 2, weights, 0).astype(weights.dtype)

    def marks(self) -> list[str]:
        """The first centres: those that began elsewhere have nothing to do with these, and no mean."""
        if not self._start:
            self._start = _mark("first cluster_centers_", self._estimator.cluster_centers_)
        return [self._start]


def state_of(estimator: Any, weight_attrs: tuple[str, ...] | None) -> State:
    """How this estimator travels; raises CallbackArgumentError for one that cannot."""
    kind = type(estimator).__name__
    if not callable(getattr(estimator, "partial_fit", None)):
        raise CallbackArgumentError(f"{kind} has no partial_fit as it is set up: it cannot learn step by step")
    if weight_attrs is not None:
        return Attributes(estimator, weight_attrs)
    if _is(estimator, sklearn.linear_model, _LINEAR):
        return Linear(estimator)
    if _is(estimator, sklearn.neural_network, _NETWORKS):
        return Attributes(estimator, ("coefs_", "intercepts_", "t_"))
    if _is(estimator, sklearn.cluster, _CLUSTERS):
        return Clusters(estimator)
    raise CallbackArgumentError(
        f"{kind} is none of the known estimators ({', '.join(SUPPORTED)}): "
        "name the attributes whose mean is meaningful in weight_attrs=[...]"
    )


def _is(estimator: Any, home: Any, names: tuple[str, ...]) -> bool:
    with warnings.catch_warnings():  # some are on their way out of scikit-learn, and gone from later versions
        warnings.simplefilter("ignore", FutureWarning)
        kinds = tuple(kind for name in names if (kind := getattr(home, name, None)) is not None)
    return isinstance(estimator, kinds)


def _numbers(name: str, value: Any) -> Array:
    if isinstance(value, np.ndarray | np.generic | int | float) and np.asarray(value).dtype.kind in "fiub":
        return np.asarray(value)
    raise ModelError(f"{name} is no dense array of numbers but {type(value).__name__}")


def _like(value: Any, array: Array) -> Any:
    if isinstance(value, np.ndarray):
        return array.copy()
    return type(value)(array.item())


def _mark(name: str, values: Array) -> str:
    text = f"{name} {values.tolist()}"
    if len(text) <= _MARK:
        return text
    content = repr(values.tolist()).encode()
    return f"{name} {list(values.shape)} {hashlib.blake2b(content, digest_size=8).hexdigest()}"

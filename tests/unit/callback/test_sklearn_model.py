"""Estimators as tensors, in this process: every kind, exactly, and what does not fit."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.sparse import issparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from swarm_lab import SwarmCallback
from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError, ModelChangedError, ModelError
from swarm_lab.callback.messages import DTYPE_BYTES, TensorSpec
from swarm_lab.callback.session import Keeper
from swarm_lab.callback.sklearn import SklearnCallback
from swarm_lab.callback.sklearn_evaluation import Evaluation
from swarm_lab.callback.sklearn_model import SklearnModel
from swarm_lab.callback.sklearn_state import state_of

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 5))
Y = np.where(X[:, 0] + X[:, 1] > 0, 2, 7)
Z = X @ np.arange(5.0)


def retiring(name: str) -> Any:
    """Passive-aggressive estimators, as long as scikit-learn has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        kind = getattr(__import__("sklearn.linear_model", fromlist=[name]), name, None)
        return None if kind is None else kind(random_state=0)


KINDS: list[tuple[Any, Any]] = [
    (SGDClassifier(random_state=0), Y),
    (SGDClassifier(random_state=0, average=5), np.arange(60) % 3),
    (SGDRegressor(random_state=0), Z),
    (SGDRegressor(random_state=0, average=True), Z),
    (Perceptron(random_state=0), Y),
    *((one, Y if "Class" in name else Z)
      for name in ("PassiveAggressiveClassifier", "PassiveAggressiveRegressor") if (one := retiring(name))),
    (MLPClassifier((3,), random_state=0), Y),
    (MLPRegressor(hidden_layer_sizes=(3, 2), random_state=0, solver="sgd"), Z),
    (MiniBatchKMeans(3, random_state=0, n_init=1), None),
]  # fmt: skip


def learn(estimator: Any, rows: slice, y: Any) -> Any:
    first = {"classes": np.unique(y)} if "Class" in type(estimator).__name__ or "Percep" in repr(estimator) else {}
    return estimator.partial_fit(X[rows], *(() if y is None else (y[rows],)), **first)


def model_of(estimator: Any) -> SklearnModel:
    return SklearnModel(estimator, state_of(estimator, None), None)


def buffers(layout: Sequence[TensorSpec]) -> list[memoryview]:
    return [memoryview(bytearray(int(np.prod(spec.shape)) * DTYPE_BYTES[spec.dtype])) for spec in layout]


@pytest.mark.conformance("CB-08")
@pytest.mark.parametrize(("estimator", "y"), KINDS, ids=lambda value: str(value)[:40] if hasattr(value, "fit") else "")
def test_what_one_estimator_knows_another_of_its_kind_knows_to_the_bit(estimator, y):
    from sklearn.base import clone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        one, other = (learn(clone(estimator), slice(0, 30), y) for _ in range(2))
        source, target = model_of(one), model_of(other)
        layout = source.layout()
        assert target.layout() == layout
        learn(one, slice(30, 60), y)
    views = buffers(layout)
    source.store(views)
    target.load(views)
    assert np.array_equal(other.predict(X), one.predict(X))
    for name in ("coef_", "intercept_", "t_", "coefs_", "intercepts_", "cluster_centers_", "_standard_coef"):
        if hasattr(one, name) and not isinstance(getattr(one, name), list):
            last_bit = 1e-15 if name == "cluster_centers_" else 0  # they travel as sums and are divided again
            np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=last_bit, atol=0)
            assert type(getattr(other, name)) is type(getattr(one, name))
        elif hasattr(one, name):
            assert all(np.array_equal(a, b) for a, b in zip(getattr(one, name), getattr(other, name), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        learn(other, slice(0, 30), y)
    target.store(views)  # it learns on, and its weights still have their places


def test_arrays_keep_their_dtypes_and_counters_their_kind():
    small = MLPRegressor(hidden_layer_sizes=(3,), random_state=0).partial_fit(X.astype(np.float32), Z)
    specs = {spec.name: spec for spec in model_of(small).layout()}
    assert specs["coefs_.0"] == TensorSpec("coefs_.0", "F32", (5, 3))
    assert specs["t_"] == TensorSpec("t_", "I64", ())
    assert {spec.dtype for spec in model_of(SGDRegressor().partial_fit(X, Z)).layout()} == {"F64"}


def test_labels_features_and_first_centres_are_marks_that_tell_nodes_apart():
    import pandas as pd

    def names(y, order):
        frame = pd.DataFrame(X, columns=list("abcde"))[order]
        found = model_of(SGDClassifier(random_state=0).partial_fit(frame, y, classes=np.unique(y))).layout()
        return [spec.name for spec in found if spec.shape == (0,)]

    assert names(Y, list("abcde")) == ["classes_ [2, 7]", "feature_names_in_ ['a', 'b', 'c', 'd', 'e']"]
    assert names(Y + 1, list("abcde"))[0] == "classes_ [3, 8]"
    assert names(Y, list("bacde"))[1] != names(Y, list("abcde"))[1]
    long = names(np.arange(60), list("abcde"))[0]
    assert long.startswith("classes_ [60] ") and len(long) < 40
    starts = [model_of(MiniBatchKMeans(3, random_state=i, n_init=1).partial_fit(X)).layout() for i in (0, 0, 1)]
    assert starts[0] == starts[1] != starts[2]


def test_a_centre_that_saw_nothing_has_no_say_and_stays_where_it_is():
    init = np.array([[0.0], [5.0], [50.0]])
    pair = [MiniBatchKMeans(3, init=init, n_init=1, reassignment_ratio=0).partial_fit([[0.0]] * n) for n in (3, 5)]
    pair[1].partial_fit([[6.0]] * 4)
    models = [model_of(one) for one in pair]
    contributions = []
    for model in models:
        views = buffers(model.layout())
        model.store(views)
        contributions.append([np.frombuffer(view) for view in views[:2]])
    merged = [memoryview(bytearray(((a + b) / 2).tobytes())) for a, b in zip(*contributions, strict=True)]
    for model, one in zip(models, pair, strict=True):
        model.load([*merged, memoryview(b"")])
        np.testing.assert_allclose(one.cluster_centers_.ravel(), [0, 6, 50], rtol=1e-12)
        assert one._counts.tolist() == [4, 2, 0]


def test_the_optimizer_of_a_network_stays_local_and_comes_back():
    one = MLPClassifier((3,), random_state=0)
    for part in (slice(0, 30), slice(30, 60)):
        one.partial_fit(X[part], Y[part], classes=[2, 7])
    model = model_of(one)
    arrays, facts = model.state()
    assert isinstance(model, Keeper) and facts["numbers"]["t"] == 2
    again = MLPClassifier((3,), random_state=1).partial_fit(X[:30], Y[:30], classes=[2, 7])
    other = model_of(again)
    views = buffers(model.layout())
    model.store(views)
    other.layout()
    other.load(views)
    other.restore(arrays, facts)
    for estimator in (one, again):
        estimator._random_state = np.random.RandomState(0)
        estimator.partial_fit(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, again.coefs_, strict=True))
    with pytest.raises(ModelError, match="other shapes"):
        model_of(MLPClassifier((4,)).partial_fit(X, Y, classes=[2, 7])).restore(arrays, facts)
    with pytest.raises(ModelError, match="AdamOptimizer"):
        model_of(SGDClassifier().partial_fit(X, Y, classes=[2, 7])).restore(arrays, facts)
    assert model_of(SGDClassifier()).state() == ({}, {"optimizer": "none", "numbers": {}})


def test_values_that_are_no_numbers_go_neither_out_nor_in():
    one = SGDRegressor(random_state=0).partial_fit(X, Z)
    model = model_of(one)
    views = buffers(model.layout())
    model.store(views)
    before = one.coef_.copy()
    views[0][:8] = np.array([np.inf]).tobytes()
    with pytest.raises(ModelError, match="coef_ was merged from"):
        model.load(views)
    assert np.array_equal(one.coef_, before)
    one.coef_[2] = np.nan
    with pytest.raises(ModelError, match="coef_ has learned"):
        model.store(views)


def test_an_estimator_that_changes_is_told_by_the_attribute():
    one = SGDClassifier(random_state=0).partial_fit(X, Y, classes=[2, 7])
    model = model_of(one)
    views = buffers(model.layout())
    one.coef_ = one.coef_[:, :3]
    with pytest.raises(ModelChangedError, match=r"coef_ was F64 \[1, 5\] and is now F64 \[1, 3\]"):
        model.store(views)
    one.coef_ = np.zeros((1, 5))
    assert issparse(one.sparsify().coef_)
    with pytest.raises(ModelError, match="coef_ is no dense array"):
        model.store(views)
    del one.coef_
    with pytest.raises(ModelChangedError, match="no longer"):
        model.store(views)


@pytest.mark.conformance("CB-08")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": LogisticRegression()}, "has no partial_fit"),
        ({"model": MLPClassifier(solver="lbfgs")}, "has no partial_fit as it is set up"),
        ({"model": GaussianNB()}, "none of the known estimators .*weight_attrs"),
        ({"model": SGDClassifier(), "init_data": (X, Y)}, "needs classes"),
        ({"model": SGDClassifier(), "classes": [0, 1]}, "needs init_data"),
        ({"model": SGDRegressor(), "init_data": (X, Z), "classes": [0]}, "no classifier"),
        ({"model": SGDClassifier(), "initData": (X,), "classes": [0]}, "pair"),
        ({"model": SGDClassifier(), "weight_attrs": "coef_"}, "list of names"),
        ({"model": SGDClassifier(), "val_data": (X, Y)}, "needs a loss_function"),
        ({"model": SGDClassifier(), "val_data": X, "metric_function": "accuracy_score"}, "must be"),
        ({"model": SGDClassifier(), "val_data": (X, Y[:5]), "metric_function": "accuracy_score"}, "60 rows and 5 t"),
        ({"model": SGDClassifier(), "val_data": (X, Y), "loss_function": "log_loss"}, "needs probabilities"),
        ({"model": SGDClassifier(), "val_data": (X, Y), "metric_function": "accuracy"}, "has no accuracy"),
        ({"model": MiniBatchKMeans(), "merge_method": "geomedian"}, "only a mean makes centres"),
        ({"model": SGDClassifier(), "ml_platform": "PYTORCH"}, "must be SKLEARN"),
        ({"model": SGDClassifier(), "hfMode": "peft"}, "no argument"),
        ({"model": SGDClassifier(), "initdata": (X, Y)}, "did you mean"),
    ],
)
def test_a_wrong_argument_says_what_is_wrong(given, says, monkeypatch):
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    with pytest.raises(CallbackArgumentError, match=says):
        SwarmCallback(**given)


@pytest.mark.conformance("CB-08")
def test_alone_the_first_rows_make_the_estimator_ready(monkeypatch):
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    model = SGDClassifier(random_state=0)
    callback = SwarmCallback(4, 2, model=model, initData=(X[:4], Y[:4]), classes=[2, 7, 9], total_epochs=2)
    assert isinstance(callback, SklearnCallback) and isinstance(callback, SwarmCallback)
    callback.on_train_begin()
    model.partial_fit(X, Y)
    callback.on_batch_end()
    callback.on_epoch_end(0)
    callback.on_train_end()
    assert model.classes_.tolist() == [2, 7, 9] and model.coef_.shape == (3, 5)


def test_an_estimator_of_another_kind_names_what_travels():
    one = GaussianNB().partial_fit(X, Y, classes=[2, 7])
    specs = SklearnModel(one, state_of(one, ("theta_", "var_")), None).layout()
    assert [(spec.name, spec.shape) for spec in specs][:2] == [("theta_", (2, 5)), ("var_", (2, 5))]
    fresh = GaussianNB()
    with pytest.raises(ModelError, match="no fitted attributes"):
        SklearnModel(fresh, state_of(fresh, ("theta_",)), None).layout()


def judge(estimator: Any, data: Any, **more: Any) -> Any:
    found = Evaluation.of({"val_data": data, **more}, estimator, logging.getLogger("test"))
    assert found is not None
    return found.run(estimator)


def test_a_model_is_judged_by_functions_of_sklearn_metrics():
    from sklearn.metrics import log_loss, roc_auc_score

    one = SGDClassifier(loss="log_loss", random_state=0).partial_fit(X, Y, classes=[2, 7])
    loss, metric = judge(one, (X, Y), loss_function="log_loss", metric_function="roc_auc_score")
    assert loss == log_loss(Y, one.predict_proba(X)) and metric == roc_auc_score(Y, one.decision_function(X))
    # only one of the two classes among a node's validation rows
    assert judge(one, (X[Y == 2], Y[Y == 2]), loss_function="log_loss")[0] > 0
    weight = np.arange(60.0)
    assert judge(one, (X, Y, weight), metric_function="accuracy_score")[1] == one.score(X, Y, weight)
    f1 = judge(one, (X, Y), metric_function="f1_score", metric_function_args={"pos_label": 7})[1]
    assert 0 < f1 <= 1
    clusters = MiniBatchKMeans(3, random_state=0, n_init=1).partial_fit(X)
    loss, metric = judge(clusters, X, metric_function="silhouette_score")
    assert loss == -clusters.score(X) / 60 and -1 < metric < 1


def test_no_rows_are_no_score_and_a_function_that_raises_is_told():
    one = SGDClassifier(random_state=0).partial_fit(X, Y, classes=[2, 7])
    assert judge(one, (X[:0], Y[:0]), metric_function="accuracy_score") == (None, None)
    with pytest.raises(EvaluationError, match="InvalidParameterError"):
        judge(one, (X, Y), metric_function="f1_score", metric_function_args={"average": "no such"})

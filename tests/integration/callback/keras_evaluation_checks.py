"""Judging a Keras model: every form of validation data, metrics by their names, and no trace left in the training.

Run by `test_keras_model.py` in a process of its own: TensorFlow and PyTorch do not share one safely.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError

keras = pytest.importorskip("keras")
from swarm_lab.callback.keras import KerasCallback  # noqa: E402
from swarm_lab.callback.keras_evaluation import Evaluation  # noqa: E402

L = keras.layers
X = np.random.default_rng(0).random((10, 4)).astype("float32")
Y = (X[:, 0] > 0.5).astype("int64")
W = np.linspace(0, 1, 10).astype("float32")
LOSS = "sparse_categorical_crossentropy"
LOG = logging.getLogger("test")


def net(metrics=("accuracy",), **compiled: object) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([L.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dropout(0.5), L.Dense(2, "softmax")])
    # Eager: what is judged is the same, and nothing is traced for each of the many models.
    model.compile("sgd", LOSS, metrics=list(metrics), **({"run_eagerly": True} | compiled))
    return model


def judged(model, data, **more: object):
    evaluation = Evaluation.of({"val_data": data} | more, LOG)
    return evaluation.run(model)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        return X[number * 4 : number * 4 + 4], Y[number * 4 : number * 4 + 4]


def batches():
    return (Batches()[number] for number in range(3))


def dataset():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("it would bring TensorFlow into a process of PyTorch")
    tensorflow = pytest.importorskip("tensorflow")
    return tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(4)


@pytest.mark.conformance("CB-33", "CB-14")
@pytest.mark.parametrize("form", ["arrays", "list", "dataset", "iterator", "generator", "pydataset", "tensors"])
def test_every_form_of_validation_data_is_judged_alike_at_every_round(form):
    make = {
        "arrays": lambda: (X, Y), "list": lambda: [X, Y], "dataset": dataset, "iterator": lambda: iter(dataset()),
        "generator": batches, "pydataset": Batches,
        "tensors": lambda: (keras.ops.convert_to_tensor(X), keras.ops.convert_to_tensor(Y)),
    }  # fmt: skip
    model = net()
    wanted = model.evaluate(X, Y, verbose=0)
    evaluation = Evaluation.of({"val_data": make[form]()}, LOG)
    for _ in range(2):
        assert evaluation.run(model) == pytest.approx(tuple(wanted))
    # Not compiled: a second pass over the same data.
    top = {"metric_function": "SparseTopKCategoricalAccuracy", "metric_function_args": {"k": 2}}
    assert Evaluation.of({"val_data": make[form]()} | top, LOG).run(model)[1] == 1.0


@pytest.mark.conformance("CB-33")
def test_sample_weights_count_and_the_first_compiled_metric_is_the_metric():
    model = net(metrics=["sparse_categorical_crossentropy", "accuracy"])
    loss, metric = judged(model, (X, Y, W))
    assert loss == pytest.approx(model.evaluate(X, Y, sample_weight=W, verbose=0)[0])
    assert metric == pytest.approx(model.evaluate(X, Y, verbose=0)[1]), "the results of Keras are in alphabetical order"
    assert judged(net(metrics=()), (X, Y))[1] is None, "a loss alone is enough"
    weighted = net(metrics=(), weighted_metrics=["accuracy"])
    assert judged(weighted, (X, Y, W))[1] == pytest.approx(weighted.evaluate(X, Y, sample_weight=W, verbose=0)[1])


@pytest.mark.conformance("CB-15")
def test_the_batch_size_of_the_validation_is_used(caplog):
    model = net()
    sizes = []
    model.test_step = lambda data: (sizes.append(len(data[0])), keras.Model.test_step(model, data))[1]
    judged(model, (X, Y), val_batch_size=4)
    assert sizes == [4, 4, 2]
    with caplog.at_level("INFO"):
        assert judged(model, dataset(), val_batch_size=2)[0] > 0
    assert "comes in batches" in caplog.text


@pytest.mark.parametrize(
    ("compiled", "wanted"),
    [
        (keras.metrics.SparseCategoricalAccuracy(name="hits"), "accuracy"),
        (keras.metrics.SparseCategoricalAccuracy(name="hits"), "SparseCategoricalAccuracy"),
        (keras.metrics.SparseCategoricalAccuracy(name="hits"), "sparse_categorical_accuracy"),
        (keras.metrics.SparseCategoricalAccuracy(name="hits"), "hits"),
        ("acc", "accuracy"),
        ("accuracy", "acc"),
        ("sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
        (keras.metrics.sparse_categorical_accuracy, "SparseCategoricalAccuracy"),
    ],
)
def test_a_compiled_metric_is_found_by_any_of_its_names(compiled, wanted, monkeypatch):
    monkeypatch.setattr(Evaluation, "_by_hand", lambda *_: pytest.fail("it is compiled"))
    model = net(metrics=[keras.metrics.SparseCategoricalCrossentropy(name="other"), compiled])
    assert judged(model, (X, Y), metric_function=wanted)[1] == pytest.approx(model.evaluate(X, Y, verbose=0)[2])


def test_a_metric_that_is_not_compiled_is_made():
    model = net(metrics=())
    predicted = model.predict(X, verbose=0)
    share = float(np.mean(predicted.argmax(1) == Y))
    assert judged(model, (X, Y), metric_function="accuracy", val_batch_size=3)[1] == pytest.approx(share)
    assert judged(model, dataset(), metric_function="SparseCategoricalAccuracy")[1] == pytest.approx(share)
    top = judged(model, (X, Y), metric_function="SparseTopKCategoricalAccuracy", metric_function_args={"k": 2})
    assert top[1] == 1.0
    with pytest.raises(EvaluationError, match="not compiled with the metric nonsense"):
        judged(model, (X, Y), metric_function="nonsense")
    with pytest.raises(EvaluationError, match="cannot make it"):
        judged(model, (X, Y), metric_function="AUC", metric_function_args={"k": 2})


def test_models_of_several_outputs_and_inputs():
    one, two = L.Input((4,), name="one"), L.Input((4,), name="two")
    hidden = L.Concatenate()([one, two])
    model = keras.Model([one, two], [L.Dense(2, name="b")(hidden), L.Dense(2, name="a")(hidden)])
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], ["mae"]])
    data = ({"one": X, "two": X}, [X[:, :2], X[:, 2:]])
    found = model.evaluate(*data, verbose=0, return_dict=True)
    assert judged(model, data) == pytest.approx((found["loss"], found["b_mae"])), "the first in the order of the model"
    assert judged(model, data, metric_function="a_mae")[1] == pytest.approx(found["a_mae"])
    with pytest.raises(EvaluationError, match="fits b_mae and a_mae"):
        judged(model, data, metric_function="MeanAbsoluteError")


def test_running_metrics_and_the_mode_are_left_alone():
    seen = []

    class Judge(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])
            judged(self.model, (X, Y))

    histories = []
    for callbacks in ([], [Judge()]):
        model = net(run_eagerly=False)
        shown = model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=callbacks, validation_data=(X, Y))
        histories.append(shown.history)
    assert histories[0] == histories[1] and len(seen) == 6
    by_hand = net()
    judged(by_hand, (X, Y))
    alone = net()
    shown = []
    for model in (by_hand, alone):
        keras.utils.set_random_seed(2)
        shown.append(model.train_on_batch(X, Y))
    assert shown[0] == pytest.approx(shown[1]), "no trace in train_on_batch"


class Raises(keras.metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        raise RuntimeError("this metric is broken")

    def result(self):
        return 0.0


def test_what_goes_wrong_is_named(caplog):
    with pytest.raises(EvaluationError, match="this metric is broken"):
        judged(net(metrics=[Raises()]), (X, Y))
    with pytest.raises(EvaluationError):
        judged(net(), (X[:, :2], Y))
    with pytest.raises(EvaluationError, match="compile"):
        judged(keras.Sequential([L.Input((4,)), L.Dense(2)]), (X, Y))
    broken = net()
    broken.layers[0].kernel.assign(np.full((4, 3), np.nan, "float32"))
    assert math.isnan(judged(broken, (X, Y))[0]), "the session makes it unknown"
    for empty in ((X[:0], Y[:0]), iter(()), dataset().take(0)):
        caplog.clear()
        evaluation = Evaluation.of({"val_data": empty}, LOG)
        assert evaluation.run(net()) == evaluation.run(net()) == (None, None)
        assert caplog.text.count("no samples") == 1


@pytest.mark.parametrize("data", [(X,), (X, Y, W, W), (X, Y[:5]), 3, "x", (X, 4), object()])
def test_validation_data_of_no_known_form_is_refused_at_once(data):
    with pytest.raises(CallbackArgumentError, match="val_data"):
        Evaluation.of({"val_data": data}, LOG)


def test_a_generator_without_an_end_is_found(monkeypatch):
    monkeypatch.setattr("swarm_lab.callback.keras_evaluation.MOST_BATCHES", 5)
    endless = iter(lambda: (X, Y), None)
    with pytest.raises(EvaluationError, match="does not end: 5 batches"):
        judged(net(), endless)


@pytest.mark.conformance("CB-30", "CB-31", "CB-22")
def test_the_platform_and_its_arguments(monkeypatch, caplog):
    assert KerasCallback.__mro__[1] is keras.callbacks.Callback
    for given in ({"ml_platform": "TF"}, {"tf": 1}, {"sess": 1}):
        with pytest.raises(CallbackArgumentError, match="TensorFlow 1"):
            KerasCallback(**given)
    with pytest.raises(CallbackArgumentError, match="must be KERAS"):
        KerasCallback(ml_platform="PYTORCH")
    with pytest.raises(CallbackArgumentError, match="no argument"):
        KerasCallback(lossFunction="L1Loss")
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    log = logging.getLogger("backend")
    with caplog.at_level("WARNING"):
        KerasCallback(logger=log, ml_platform="KERAS")
    assert "not on openvino as KERAS_BACKEND says now" in caplog.text
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(CallbackArgumentError, match="Keras runs on jax"):
        KerasCallback()
    monkeypatch.undo()
    if keras.backend.backend() == "tensorflow":
        monkeypatch.setattr("tensorflow.executing_eagerly", lambda: False)
        with pytest.raises(CallbackArgumentError, match="TensorFlow 1"):
            KerasCallback()

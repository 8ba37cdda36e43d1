"""Keras weights cross exactly; judging in the middle of an epoch leaves the running metrics alone.

Run by `test_keras_model.py` in a process of its own: TensorFlow and PyTorch do not share one safely.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest

from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError, ModelChangedError, ModelError

keras = pytest.importorskip("keras")
from swarm_lab.callback.keras import KerasCallback, KerasModel  # noqa: E402

X = np.random.default_rng(0).random((32, 4)).astype("float32")
Y = (X[:, 0] > 0.5).astype("int64")


def net(dtype: str = "float32") -> keras.Model:
    keras.utils.clear_session()
    model = keras.Sequential([
        keras.layers.Input((4,)), keras.layers.Dense(3, dtype=dtype), keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5), keras.layers.Dense(2, "softmax", trainable=False),
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def adapter(model: keras.Model, **values: object) -> KerasModel:
    made = KerasModel(values, logging.getLogger("test"))
    made.use(model)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_weights_cross_exactly_under_their_paths(dtype):
    one = adapter(net(dtype))
    layout = one.layout()
    names = [spec.name for spec in layout]
    assert "sequential/dense/kernel" in names and "sequential/batch_normalization/moving_mean" in names
    assert not any("seed" in name for name in names)
    views = [memoryview(bytearray(spec.nbytes)) for spec in layout]
    one.store(views)
    other = net(dtype)
    two = adapter(other)
    assert two.layout() == layout
    two.load(views)
    again = [memoryview(bytearray(spec.nbytes)) for spec in layout]
    two.store(again)
    assert [bytes(view) for view in views] == [bytes(view) for view in again]
    views[0][:] = bytes(len(views[0]))  # the segment is written again: the model must not see it
    two.store(again)
    assert bytes(again[0]) != bytes(views[0])


def test_judging_keeps_the_running_metrics_and_names_its_metric():
    model = net()
    model.fit(X, Y, verbose=0)
    kept = [np.array(variable.numpy()) for variable in model.metrics_variables]
    loss, metric = adapter(model, val_data=(X, Y)).evaluate()
    wanted = model.evaluate(X, Y, verbose=0)
    assert (loss, metric) == pytest.approx(tuple(wanted))
    adapter(model, val_data=(X, Y, np.ones(32))).evaluate()
    model.fit(X, Y, verbose=0)
    adapter(model, val_data=(X, Y)).evaluate()
    assert len(kept) == len(model.metrics_variables)
    named = adapter(model, val_data=(X, Y), metric_function="accuracy")
    assert named.evaluate()[1] == pytest.approx(wanted[1], abs=1)
    with pytest.raises(EvaluationError, match="auc"):
        adapter(model, val_data=(X, Y), metric_function="auc").evaluate()
    with pytest.raises(EvaluationError):
        adapter(model, val_data=(X[:, :2], Y)).evaluate()
    assert adapter(model, val_data=(X[:0], Y[:0])).evaluate() == (None, None)
    assert adapter(model).evaluate() == (None, None)


def test_metrics_of_an_epoch_are_not_reset_by_judging():
    model = net()

    class Judge(keras.callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            before = [np.array(variable.numpy()) for variable in self.model.metrics_variables]
            adapter(self.model, val_data=(X, Y)).evaluate()
            after = [np.array(variable.numpy()) for variable in self.model.metrics_variables]
            assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            assert any(value.any() for value in after)

    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[Judge()])


def test_models_that_are_not_built_or_change_are_named():
    with pytest.raises(ModelError, match="not built"):
        adapter(keras.Sequential([keras.layers.Dense(2)])).layout()
    with pytest.raises(ModelError, match="no weights"):
        adapter(keras.Sequential([keras.layers.Input((4,)), keras.layers.ReLU()])).layout()
    model = net()
    made = adapter(model)
    views = [memoryview(bytearray(spec.nbytes)) for spec in made.layout()]
    model.pop()
    with pytest.raises(ModelChangedError, match="dense_1/kernel is no longer"):
        made.store(views)


def test_two_layers_of_one_name_do_not_collide():
    class Twins(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = keras.layers.Dense(4, name="same")
            self.two = keras.layers.Dense(4, name="same")

        def call(self, x):
            return self.two(self.one(x))

    model = Twins()
    model(X)
    names = [spec.name for spec in adapter(model).layout()]
    assert len(set(names)) == 4 and any("#2" in name for name in names)


def test_arguments_of_other_platforms_and_several_steps_an_execution(monkeypatch):
    with pytest.raises(CallbackArgumentError, match="TensorFlow 1"):
        KerasCallback(ml_platform="TF")
    with pytest.raises(CallbackArgumentError, match="no argument"):
        KerasCallback(lossFunction="L1Loss")
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    model = net()
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=3)
    callback = KerasCallback()
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    assert callback._session.batches == 16 and callback._session.epochs == 2

"""Keras weights cross exactly, under names that do not depend on what the process made before.

Run by `test_keras_model.py` in a process of its own: TensorFlow and PyTorch do not share one safely.
"""

from __future__ import annotations

import numpy as np
import pytest

from swarm_lab.callback.errors import ModelChangedError, ModelError

keras = pytest.importorskip("keras")
from swarm_lab.callback.keras_model import DTYPES, KerasModel  # noqa: E402

L = keras.layers
# PyTorch's side of Keras has no wide unsigned integers.
KNOWN = [
    name for name in DTYPES if keras.backend.backend() == "tensorflow" or name not in ("uint64", "uint32", "uint16")
]
X = np.random.default_rng(0).random((32, 4)).astype("float32")
Y = (X[:, 0] > 0.5).astype("int64")


@pytest.fixture(autouse=True)
def fresh():
    """Keras' numbers of automatic names, as in a new process."""
    keras.utils.clear_session()


class Every(L.Layer):
    """A weight of every dtype, a scalar, empty ones, a random generator and a metric, none of them trained."""

    def build(self, shape):
        for dtype in KNOWN:
            self.add_weight(shape=(2, 3), dtype=dtype, trainable=False, initializer="zeros", name=dtype)
        self.add_weight(shape=(), dtype="int64", trainable=False, initializer="zeros", name="scalar")
        self.add_weight(shape=(0, 3), trainable=False, name="empty")
        self.add_weight(shape=(0,), dtype="bool", trainable=False, initializer="zeros", name="empty_bool")
        self.generator = keras.random.SeedGenerator(1)
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x):
        return x


def net(dtype: str = "float32") -> keras.Model:
    model = keras.Sequential([
        L.Input((4,)), L.Dense(3, dtype=dtype), L.BatchNormalization(), L.Dropout(0.5),
        L.Dense(2, "softmax", trainable=False), Every(),
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def adapter(model: keras.Model, parameters: str = "all") -> KerasModel:
    made = KerasModel(None, parameters)
    made.use(model)
    return made


def names(model: keras.Model, parameters: str = "all") -> list[str]:
    return [spec.name for spec in adapter(model, parameters).layout()]


def views_of(layout) -> list[memoryview]:
    return [memoryview(bytearray(spec.nbytes)) for spec in layout]


def noise(layout) -> list[memoryview]:
    """Every bit at random, so that signs, subnormals and what is no number come as well."""
    rng = np.random.default_rng(1)
    return [
        memoryview(bytearray(rng.integers(0, 2 if spec.dtype == "BOOL" else 256, spec.nbytes, np.uint8).tobytes()))
        for spec in layout
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "float64", "float16", "bfloat16"])
@pytest.mark.conformance("CB-72")
def test_every_bit_of_every_dtype_crosses_and_comes_back(policy):
    keras.config.set_dtype_policy(policy)
    try:
        made = adapter(net(policy))
    finally:
        keras.config.set_dtype_policy("float32")
    layout = made.layout()
    assert [spec.name for spec in layout][:4] == [
        "sequential/dense/kernel", "sequential/dense/bias",
        "sequential/batch_normalization/gamma", "sequential/batch_normalization/beta",
    ]  # fmt: skip
    assert layout[0].dtype == ("F32" if "mixed" in policy else DTYPES[policy])
    assert {spec.dtype for spec in layout} == {DTYPES[name] for name in KNOWN}
    assert not any("seed" in spec.name or "seen" in spec.name for spec in layout)
    sent, back = noise(layout), views_of(layout)
    made.load(sent)
    made.store(back)
    assert [bytes(view) for view in back] == [bytes(view) for view in sent]
    before = [bytes(view) for view in sent]
    for view in sent:  # the segment is written again: the model must not see it
        view[:] = bytes(len(view))
    made.store(back)
    assert [bytes(view) for view in back] == before


@pytest.mark.conformance("CB-72")
def test_a_model_made_after_others_has_the_names_of_one_made_first():
    def build() -> keras.Model:
        i = L.Input((6, 4))
        a = L.Bidirectional(L.LSTM(3))(i)
        b = L.Flatten()(L.TimeDistributed(L.Dense(2))(i))
        out = L.Dense(2)(L.Concatenate()([L.Dense(3, name="head")(a), L.Dense(3)(b)]))
        return keras.Sequential([keras.Model(i, out), L.Dense(1), L.Dense(1, name="block_7")])

    alone = build()
    own = [variable.path for variable in alone.weights]
    assert names(alone) == own, "in a fresh process the names are the program's own paths"
    assert "sequential/dense_3/kernel" in own and "bidirectional/forward_lstm/lstm_cell/kernel" in own
    again = build()
    assert [variable.path for variable in again.weights] != own
    assert names(again) == own
    keras.utils.clear_session()
    for _ in range(3):
        L.Dense(1)
    L.LSTM(2)
    assert names(build()) == own


@pytest.mark.conformance("CB-72")
def test_names_are_unique_and_shared_layers_go_once():
    class Twins(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = L.Dense(4, name="same")
            self.two = L.Dense(4, name="same")
            self.three = self.one

        def call(self, x):
            return self.three(self.two(self.one(x)))

    model = Twins()
    model(X)
    assert names(model) == [
        "twins/same/kernel", "twins/same/bias", "twins/same/kernel#2", "twins/same/bias#2",
    ]  # fmt: skip
    tied = keras.Sequential([L.Input((4,), dtype="int32"), L.ReversibleEmbedding(5, 3, tie_weights=True)])
    assert len(names(tied)) == 1


def test_nested_and_subclassed_models_and_frozen_layers_are_whole():
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.body = keras.Sequential([L.Dense(3), L.BatchNormalization()])
            self.attention = L.MultiHeadAttention(2, 3)
            self.scale = self.add_weight(shape=(), name="scale")

        def call(self, x):
            h = self.body(x)[:, None]
            return self.scale * self.attention(h, h)

    model = Own()
    model(X)
    model.body.trainable = False
    found = names(model)
    assert len(found) == len(model.weights) == 15
    assert "own/scale" in found and "own/sequential/batch_normalization/moving_variance" in found
    assert names(model, "trainable") == [name for name in found if "sequential" not in name]


def test_only_what_trains_is_sent_of_a_model_with_lora():
    model = keras.Sequential([L.Input((4,)), L.Dense(8, name="big"), L.Embedding(3, 4, name="words"), L.Dense(2)])
    model.layers[0].enable_lora(2)
    model.layers[1].enable_lora(2)
    model.layers[2].trainable = False
    assert names(model, "trainable") == [
        "sequential/big/bias", "sequential/big/lora_kernel_a", "sequential/big/lora_kernel_b",
        "sequential/words/lora_embeddings_a", "sequential/words/lora_embeddings_b",
    ]  # fmt: skip
    assert "sequential/big/kernel" in names(model)
    made = adapter(model, "trainable")
    made.layout()
    model.layers[2].trainable = True
    with pytest.raises(ModelChangedError, match="sequential/dense/kernel is new"):
        made.store([])


def test_models_that_are_not_built_or_change_are_named():
    with pytest.raises(ModelError, match="not built"):
        adapter(keras.Sequential([L.Dense(2)])).layout()
    with pytest.raises(ModelError, match="no weights"):
        adapter(keras.Sequential([L.Input((4,)), L.ReLU()])).layout()
    with pytest.raises(ModelError, match="no trainable weights"):
        adapter(keras.Sequential([L.Input((4,)), L.Normalization()]), "trainable").layout()
    model = keras.Sequential([L.Input((4,)), L.Dense(3, name="a"), L.Dense(2, name="b")])
    made = adapter(model)
    views = views_of(made.layout())
    model.layers[1].enable_lora(1)
    with pytest.raises(ModelChangedError, match="lora_kernel_a is new in the model"):
        made.store(views)
    model.pop()
    with pytest.raises(ModelChangedError, match="b/kernel is no longer"):
        made.load(views)
    model.add(L.Dense(4, name="b"))
    with pytest.raises(ModelChangedError, match=r"b/kernel was F32 \[3, 2\] and is now F32 \[3, 4\]"):
        made.load(views)


def test_a_weight_that_was_made_anew_is_taken_as_it_is():
    model = keras.Sequential([L.Input((4,)), L.Dense(2)])
    made = adapter(model)
    views = views_of(made.layout())
    model.pop()
    model.add(L.Dense(2, name="dense", bias_initializer="ones"))
    made.store(views)
    assert bytes(views[1]) == np.ones(2, "float32").tobytes()


@pytest.mark.parametrize(
    ("kind", "policy"),
    [("adam", "float32"), ("nadam", "mixed_float16"), ("accumulate", "float32")],
)
def test_the_optimizer_goes_on_where_it_was(kind, policy):
    def build() -> keras.Model:
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        keras.config.set_dtype_policy(policy)
        model = keras.Sequential([L.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dense(2, "softmax")])
        keras.config.set_dtype_policy("float32")
        optimizer = keras.optimizers.Adam(0.1, gradient_accumulation_steps=2) if kind == "accumulate" else kind
        model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    def steps(model, count):
        for start in range(0, count * 4, 4):
            model.train_on_batch(X[start : start + 4], Y[start : start + 4])

    straight = build()
    steps(straight, 3)
    one = adapter(straight)
    one.epoch = 2
    views = views_of(one.layout())
    one.store(views)
    arrays, facts = one.state()
    kept = {name: array.copy() for name, array in arrays.items()}
    straight.optimizer.learning_rate = 0.05
    steps(straight, 2)
    assert all(np.array_equal(arrays[name], kept[name]) for name in arrays), "a state is a copy"
    two = adapter(build())
    two.layout()
    two.load(views)
    two.restore(arrays, facts)
    assert two.resumed_epoch == 2
    two.model.optimizer.learning_rate = 0.05
    steps(two.model, 2)
    same = [np.array_equal(a, b) for a, b in zip(straight.get_weights(), two.model.get_weights(), strict=True)]
    assert all(same)
    assert int(two.model.optimizer.iterations) == int(straight.optimizer.iterations)


def test_a_state_that_does_not_fit_is_refused_before_anything_is_touched():
    model = net()
    one = adapter(model)
    model.optimizer.build(model.trainable_variables)
    arrays, facts = one.state()
    with pytest.raises(ModelError, match="of the optimizer Adam, the model has SGD"):
        one.restore(arrays, facts | {"optimizer": "Adam"})
    with pytest.raises(ModelError, match="variables of SGD"):
        one.restore({"0": arrays["0"]}, facts)
    with pytest.raises(ModelError, match=r"learning_rate is float32 \[\], its state float64 \[2\]"):
        one.restore(arrays | {"1": np.zeros(2)}, facts)
    model.compile(None, "sparse_categorical_crossentropy")
    assert one.state() is None
    one.epoch = 1
    assert one.state() == ({}, {"epoch": 1})


def test_the_optimizer_of_a_loop_of_ones_own_is_kept():
    model = keras.Sequential([L.Input((4,)), L.Dense(2)])
    own = keras.optimizers.Adam(0.25)
    made = KerasModel(None, "all", own)
    made.use(model)
    assert made.state() is None
    own.build(model.trainable_variables)
    own.iterations.assign(7)
    arrays, facts = made.state()
    fresh = KerasModel(None, "all", keras.optimizers.Adam())
    fresh.use(model)
    fresh.restore(arrays, facts)
    assert int(fresh._given_optimizer.iterations) == 7 and float(fresh._given_optimizer.learning_rate) == 0.25

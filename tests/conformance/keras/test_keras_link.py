"""Keras programs and their node: every tensor bit by bit, coming back after a kill, loops by hand, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from support.keras_node import Answer, Node, Parked, filled, keep

from swarm_lab.nodes.launching import start_cold
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.model_file import write_model

EVERY = """
    DTYPES = ("float64 float32 float16 bfloat16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool").split()
    class Every(L.Layer):
        def build(self, shape):
            for dtype in DTYPES:
                self.add_weight(shape=(2, 3), dtype=dtype, trainable=False, initializer="zeros", name=dtype)
            self.add_weight(shape=(), dtype="int64", trainable=False, initializer="zeros", name="scalar")
            self.add_weight(shape=(0, 3), trainable=False, name="empty")
        def call(self, x):
            return x
    for _ in range(int(os.environ["OTHERS"])):
        L.Dense(1), L.BatchNormalization(), keras.Sequential()
    keras.config.set_dtype_policy(os.environ["POLICY"])
    model = keras.Sequential([L.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dense(2, trainable=False), Every()])
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    cb.on_train_end()
    bits = lambda variable: np.ascontiguousarray(np.array(variable.value)).reshape(-1).view("uint8").tobytes().hex()
    tell(weights=[[variable.path, bits(variable)] for variable in model.weights])
"""


def random_bits(layout: Layout, seed: int) -> bytes:
    """A model of any bits that its dtypes can have: NaNs with payloads, subnormals, the largest integers."""
    buffer = bytearray(np.random.default_rng(seed).bytes(layout.nbytes))
    for view in layout.views(buffer).values():
        if view.dtype == np.bool_:
            view.view(np.uint8)[...] &= 1
    return bytes(buffer)


def named(layout: Layout, buffer: bytes) -> dict[str, str]:
    return {name: view.tobytes().hex() for name, view in layout.views(buffer).items()}


@pytest.mark.conformance("CB-72")
@pytest.mark.parametrize(("policy", "others"), [("mixed_float16", 0), ("bfloat16", 2)])
async def test_tensors_go_to_the_node_and_back_bit_by_bit(train, policy, others):
    given = []

    def give(parked: Parked) -> Answer:
        given.append(random_bits(parked.layout, parked.number))
        return Answer(given[-1], finished=parked.sync.reason == "end")

    trained = await train(EVERY, give, variables={"POLICY": policy, "OTHERS": str(others)})
    assert trained.exit.error is None, trained.exit.error
    layout = trained.program.layout
    assert [one.sync.reason for one in trained.parked] == ["begin", "end"]
    assert named(layout, trained.parked[1].contribution) == named(layout, given[0])
    weights = trained.facts("weights")[0]
    wanted = named(layout, given[1])
    if others == 0:
        assert dict(weights) == wanted, "names are the program's own paths"
    assert sorted(bits for _, bits in weights) == sorted(wanted.values())
    names = [spec.name for spec in layout.specs]
    assert "sequential/dense/kernel" in names and "sequential/dense_1/bias" in names
    assert len({spec.dtype for spec in layout.specs}) == 13
    own = {"mixed_float16": "F32", "bfloat16": "BF16"}[policy]
    assert next(spec.dtype for spec in layout.specs if spec.name == "sequential/dense/kernel") == own


RETURNING = """
    import signal
    class Die(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            tell(epoch=epoch, iterations=int(self.model.optimizer.iterations), begin=first(self.model))
            if epoch == 4 and "DIE" in os.environ:
                # What the callback wrote in the background is on disk when the next release comes; wait for it here.
                cb._session._places.close()
                os.kill(os.getpid(), signal.SIGKILL)
    model = net(optimizer=keras.optimizers.Adam(0.01))
    cb = SwarmCallback(sync_frequency=4)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch == 3 else rate)
    model.fit(X, Y, batch_size=8, initial_epoch=2, epochs=6, verbose=0, callbacks=[cb, schedule, Die()])
    tell(rate=float(model.optimizer.learning_rate))
    model.fit(X, Y, batch_size=8, epochs=1, verbose=0, callbacks=[Watch()])
"""


async def test_a_killed_program_goes_on_with_its_epoch_and_its_optimizer(train, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    variables = {"SWARM_STATE_DIR": str(state)}
    killed = await train(RETURNING, keep, interval=4, variables=variables | {"DIE": "1"})
    assert killed.exit.error is not None and killed.facts("epoch") == [2, 3, 4], killed.text
    last = killed.parked[-1]
    assert killed.syncs == [("begin", 0), ("interval", 4), ("interval", 8)]

    def give(parked: Parked) -> Answer:
        return Answer(last.contribution, finished=True) if parked.sync.reason == "end" else Answer(last.contribution)

    again = await train(RETURNING, give, interval=4, resume={"start": 2, "round": last.number}, variables=variables)
    assert again.exit.error is None, again.exit.error
    # Round 2 was at the last batch of epoch 3: that epoch is done again, with the optimizer as it was after it.
    assert again.facts("epoch") == [3, 4, 5, 0], "the next fit has its own epochs"
    assert again.facts("iterations") == [8, 12, 16]
    assert again.parked[0].sync.reason == "begin"
    assert again.facts("rate") == [pytest.approx(0.0025)], "halved at epoch 3, and again as that is done again"
    assert "going on at epoch 3" in again.text
    assert [one.sync.epoch for one in again.parked][-1] == 4


async def test_a_fresh_program_keeps_its_initial_epoch(train):
    source = """
        model = net()
        model.fit(X, Y, initial_epoch=3, epochs=5, verbose=0, callbacks=[SwarmCallback(4), Watch()])
    """
    trained = await train(source)
    assert trained.exit.error is None and trained.facts("epoch") == [3, 4]


BY_HAND = """
    model = net(optimizer="adam")
    cb = SwarmCallback(3, 1, adsValData=(X, Y))
    cb.set_model(model)
    cb.on_train_begin()
    tell(begin=first(model))
    for epoch in range(2):
        for start in range(0, 32, 8):
            loss = model.train_on_batch(X[start:start + 8], Y[start:start + 8])[0]
            cb.on_batch_end(start, {"loss": loss})
        cb.on_epoch_end()
    each = keras.callbacks.LambdaCallback(on_train_batch_end=cb.on_batch_end)
    model.fit(X, Y, batch_size=8, epochs=1, verbose=0, callbacks=[each])
    model.evaluate(X, Y, verbose=0, callbacks=[cb])
    model.predict(X, verbose=0, callbacks=[cb])
    cb.on_train_end()
    tell(end=first(model))
"""


@pytest.mark.conformance("CB-50", "CB-51")
async def test_a_loop_of_ones_own_calls_the_methods(train):
    trained = await train(BY_HAND, keep, interval=3)
    assert trained.exit.error is None, trained.exit.error
    assert trained.syncs == [("begin", 0), *[("interval", n) for n in (3, 6, 9, 12)], ("end", 12)]
    assert trained.parked[-1].sync.epoch == 2
    assert trained.parked[1].sync.training_loss is not None and trained.parked[2].sync.loss is not None


UNBUILT = """
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = L.Dense(3), L.Dense(2, "softmax")
        def call(self, x):
            return self.two(self.one(x))
    model = {model}
    model.compile("sgd", "sparse_categorical_crossentropy")
    cb = SwarmCallback(3{more})
    {train}
    tell(end=first(model))
"""
FITS = "model.fit(X, Y, batch_size=8, epochs=1, verbose=0, callbacks=[cb])"


@pytest.mark.parametrize(
    ("model", "more", "syncs"),
    [
        ("Own()", "", [("begin", 0), ("interval", 3), ("end", 4)]),
        ('keras.Sequential([L.Dense(2, "softmax")])', "", [("begin", 0), ("interval", 3), ("end", 4)]),
        ("Own()", ", val_data=(X, Y)", [("begin", 0), ("interval", 3), ("end", 4)]),
    ],
)
async def test_a_model_that_is_built_late_takes_part(train, model, more, syncs):
    trained = await train(UNBUILT.format(model=model, more=more, train=FITS), interval=3)
    assert trained.exit.error is None, trained.exit.error
    assert trained.syncs == syncs
    assert ("built by its first batch" in trained.text) == (not more)


WRONG = {
    "a second fit": (
        "model.fit(X, Y, verbose=0, callbacks=[cb]); model.fit(X, Y, verbose=0, callbacks=[cb])",
        "SWL-603", "train in one fit",
    ),
    "a second callback": (
        "model.fit(X, Y, verbose=0, callbacks=[cb]); model.fit(X, Y, verbose=0, callbacks=[SwarmCallback(3)])",
        "SWL-603", "has trained with the swarm already",
    ),
    "no model": ("cb.on_train_begin()", "SWL-607", "there is no model"),
    "another model": (
        "cb = SwarmCallback(3, model=net()); model.fit(X, Y, verbose=0, callbacks=[cb])", "SWL-607", "fit trains",
    ),
    "a model of Keras 2": ("cb.set_model(object()); cb.on_train_begin()", "SWL-607", "no model of Keras 3"),
    "not built": (
        "model = keras.Sequential([L.Dense(2)]); cb.set_model(model); cb.on_train_begin(); cb.on_train_end()",
        "SWL-607", "not built",
    ),
    "no begin": ("cb.set_model(model); cb.on_batch_end()", "SWL-603", "before on_train_begin"),
    "after the end": (
        "cb.set_model(model); cb.on_train_begin(); cb.on_train_end(); cb.on_batch_end()",
        "SWL-603", "after on_train_end",
    ),
    "two threads": (
        "import threading; cb.set_model(model); cb.on_train_begin(); hook = []; "
        "threading.excepthook = lambda args: hook.append(args.exc_value); "
        "t = threading.Thread(target=cb.on_batch_end); t.start(); t.join(); raise hook[0]",
        "SWL-604", "another thread",
    ),
    "a changed model": (
        "cb.set_model(model); cb.on_train_begin(); model.layers[0].enable_lora(1); cb.on_train_end()",
        "SWL-608", "lora_kernel_a is new",
    ),
    "judging raises": (
        "cb = SwarmCallback(3, val_data=(X, Y), metric_function='nonsense'); model.fit(X, Y, callbacks=[cb])",
        "SWL-609", "nonsense",
    ),
    "an epoch's callback": (
        "model.fit(X, Y, batch_size=8, verbose=0, callbacks=[cb, keras.callbacks.LambdaCallback("
        "on_train_batch_end=lambda batch, logs: model.pop())])",
        "SWL-608", "no longer in the model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_named(train, wrong):
    line, code, words = WRONG[wrong]
    source = f"""
        model = net()
        cb = SwarmCallback(3)
        {line}
    """
    trained = await train(source, interval=3)
    error = trained.exit.error
    assert error is not None and trained.exit.failed is not None, trained.text
    assert trained.exit.failed.code == code, error
    assert words in f"{error} {trained.exit.failed.next}"
    assert trained.text.count(f"ERROR : {code}") == 1


@pytest.mark.conformance("CB-71")
async def test_a_program_without_a_swarm_trains_alone(train):
    source = """
        os.environ["SWARM_LOOPBACK"] = "TRUE"
        for _ in range(2):
            model = net()
            cb = SwarmCallback(3, 2)
            model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[cb, keras.callbacks.EarlyStopping("loss")])
            tell(epochs=cb._session.epochs, stopped=cb.stop_training)
    """
    trained = await train(source)
    assert trained.facts("epochs") == [2, 2] and trained.facts("stopped") == [False, False]


async def test_keras_on_pytorch_is_a_keras_program(tmp_path):
    node = Node(tmp_path, start_cold)
    source = """
        model = net(optimizer="adam")
        cb = SwarmCallback(3, val_data=(X, Y), model=model)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[cb, Watch()])
        tell(end=first(model), backend=keras.backend.backend())
    """

    def give(parked: Parked) -> Answer:
        return Answer(filled(parked.layout, 0.5 + parked.number), finished=parked.sync.reason == "end")

    try:
        trained = await node.train(source, give, interval=3, variables={"KERAS_BACKEND": "torch"})
    finally:
        await node.close()
    assert trained.exit.error is None, trained.exit.error
    assert trained.syncs == [("begin", 0), ("interval", 3), ("interval", 6), ("end", 8)]
    assert trained.facts("begin") == [0.5] and trained.facts("end") == [3.5]
    assert trained.facts("backend") == ["torch"]
    assert trained.parked[1].sync.local_loss is not None


async def test_the_swarms_file_loads_by_the_programs_own_paths(train, tmp_path):
    source = """
        from safetensors.numpy import load_file
        model = net()
        cb = SwarmCallback(4)
        model.fit(X, Y, verbose=0, callbacks=[cb])
        tell(weights=[float(np.sum(weight)) for weight in model.get_weights()])
        write = os.environ["FILE"]
        keras.utils.clear_session()
        again = net()
        found = load_file(write)
        for variable in again.weights:
            variable.assign(found.pop(variable.path))
        tell(left=len(found), weights=[float(np.sum(weight)) for weight in again.get_weights()])
    """
    path = tmp_path / "model.safetensors"

    def give(parked: Parked) -> Answer:
        model = bytearray(np.random.default_rng(4).random(parked.layout.nbytes // 4, "float32").tobytes())
        if parked.sync.reason == "end":
            write_model(path, parked.layout, model, {})
        return Answer(model, finished=parked.sync.reason == "end")

    trained = await train(source, give, variables={"FILE": str(path)})
    assert trained.exit.error is None, trained.exit.error
    assert trained.facts("left") == [0]
    assert trained.facts("weights")[0] == trained.facts("weights")[1]

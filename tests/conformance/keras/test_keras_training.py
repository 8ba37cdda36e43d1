"""Keras programs in a swarm: when they sync, what they go on with, and how they end."""

from __future__ import annotations

import numpy as np
import pytest
from support.keras_node import Answer, Parked, filled, keep

FIT = """
    model = net({compiled})
    cb = SwarmCallback(syncFrequency={interval}, minPeers=2, adsValData=(X, Y))
    history = model.fit(X, Y, batch_size=4, epochs={epochs}, verbose=0, callbacks=[cb, Watch()]{fit})
    tell(end=first(model), stopped=cb.stop_training, epochs=len(history.epoch), loss=history.history.get("loss"))
"""


def fit(compiled: str = "", interval: int = 3, epochs: int = 1, more: str = "") -> str:
    return FIT.format(compiled=compiled, interval=interval, epochs=epochs, fit=more)


def fills(value: float, **answer: object):
    """Gives models of value, value + 1, ..., and the last at the end."""

    def give(parked: Parked) -> Answer:
        model = filled(parked.layout, value + parked.number)
        return Answer(model, finished=parked.sync.reason == "end", **answer)

    return give


@pytest.mark.conformance("CB-32", "CB-50", "CB-51", "CB-53", "CB-54", "CB-60", "CB-64", "CB-65", "CB-69")
async def test_fit_begins_with_the_swarms_model_syncs_and_ends_with_its_last(train):
    trained = await train(fit(epochs=2), fills(0.25), interval=3)
    assert trained.exit.error is None and trained.exit.finished
    assert trained.syncs == [("begin", 0), *[("interval", n) for n in (3, 6, 9, 12, 15)], ("end", 16)]
    assert [one.sync.epoch for one in trained.parked] == [0, 0, 0, 1, 1, 1, 2]
    assert trained.facts("begin") == [0.25], "every callback behind sees the model that the swarm starts from"
    assert trained.facts("end") == [6.25] and trained.facts("epoch") == [0, 1]
    assert trained.facts("epochs") == [2], "fit was at its end by itself"
    assert "All peers and Swarm training rounds finished. Final Swarm model was loaded." in trained.text


@pytest.mark.conformance("CB-61", different="sync at calls N, 2N, 3N; SWARM_SYNC_CADENCE=hpe gives N+1, 2N+1")
@pytest.mark.conformance("CB-62")
async def test_the_node_sets_the_interval(train):
    intervals = {0: 2, 1: 5, 2: 1}

    def give(parked: Parked) -> Answer:
        return Answer(parked.contribution, intervals.get(parked.number), finished=parked.sync.reason == "end")

    trained = await train(fit(interval=4, epochs=2), give, interval=4)
    assert [batches for _, batches in trained.syncs][:6] == [0, 2, 7, 8, 9, 10]
    trained = await train(fit(epochs=2), interval=3, variables={"SWARM_SYNC_CADENCE": "hpe"})
    assert [batches for _, batches in trained.syncs] == [0, 4, 7, 10, 13, 16, 16]


@pytest.mark.conformance("CB-14", "CB-64")
async def test_every_model_is_judged_before_and_after_the_merge(train):
    source = """
        model = net()
        cb = SwarmCallback(3, 2, adsValData=(X, Y))
        class Save(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch in (1, 4):
                    self.model.save(f"m{batch // 3}.keras")
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=[Save(), cb])
        for number in range(2):
            tell(wanted=keras.models.load_model(f"m{number}.keras").evaluate(X, Y, verbose=0))
    """
    trained = await train(source, interval=2)
    wanted = trained.facts("wanted")
    local = [(one.sync.local_loss, one.sync.local_metric) for one in trained.parked]
    merged = [(one.sync.loss, one.sync.metric) for one in trained.parked]
    assert local[0] == merged[0] == (None, None)
    assert local[1] == pytest.approx(wanted[0]) and merged[2] == pytest.approx(wanted[0])
    assert trained.exit.evaluated.loss == pytest.approx(local[-1][0])


@pytest.mark.conformance("CB-70", different="fit stops on every node, and all end with one model")
@pytest.mark.parametrize("averaging", ["", "optimizer=keras.optimizers.SGD(0.1, use_ema=True)"])
async def test_fit_ends_when_the_swarm_does(train, averaging):
    def give(parked: Parked) -> Answer:
        last = parked.number == 2
        return Answer(filled(parked.layout, 0.5), finished=last)

    trained = await train(fit(averaging, epochs=100), give, interval=3)
    assert trained.exit.error is None
    assert trained.syncs == [("begin", 0), ("interval", 3), ("interval", 6)]
    assert trained.facts("epochs") == [1] and trained.facts("stopped") == [True]
    assert trained.facts("end") == [0.5], "what Keras does after the last batch has no part in the model"


@pytest.mark.conformance("CB-68", different="a node that was stopped ends with the swarm's final model, as all do")
async def test_a_stop_brings_the_program_to_the_closing_round(train):
    def give(parked: Parked) -> Answer:
        end = parked.sync.reason == "end"
        return Answer(filled(parked.layout, 0.75) if end else parked.contribution, stop=not end, finished=end)

    trained = await train(fit(epochs=100), give, interval=3)
    assert trained.exit.error is None
    assert trained.syncs == [("begin", 0), ("end", 0)] and trained.facts("end") == [0.75]


WAYS = {
    "steps_per_execution": ("steps_per_execution=3", ""),
    "jit_compile": ("jit_compile=True", ""),
    "eager": ("run_eagerly=True", ""),
    "accumulation": ("optimizer=keras.optimizers.Adam(gradient_accumulation_steps=2)", ", validation_data=(X, Y)"),
    "steps_per_epoch": ("", ", steps_per_epoch=4"),
}


@pytest.mark.conformance("CB-51")
@pytest.mark.parametrize("way", WAYS)
async def test_every_way_of_fit_counts_its_batches_and_goes_on_with_the_model(train, way):
    compiled, more = WAYS[way]
    trained = await train(fit(compiled, 3, 2, more), fills(0.25), interval=3)
    assert trained.exit.error is None, trained.exit.error
    total = {"steps_per_epoch": 8}.get(way, 16)
    assert trained.syncs[-1] == ("end", total)
    points = [batches for reason, batches in trained.syncs if reason == "interval"]
    # Executions end at batches 3, 6 and 8 of an epoch; syncs are due at 3, 6, 9, 12 and 15.
    due = [3, 6, 11, 14, 16] if way == "steps_per_execution" else list(range(3, total + 1, 3))
    assert points == due
    assert trained.facts("end") == [0.25 + len(due) + 1]


async def test_other_callbacks_work_beside_it(train):
    source = """
        model = net()
        cb = SwarmCallback(sync_frequency=4)
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[
            keras.callbacks.ModelCheckpoint("best.keras"),
            keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=100.0, factor=0.5),
            cb,
            keras.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True, min_delta=-100.0),
        ])
        tell(end=first(model), rate=float(model.optimizer.learning_rate))
        keras.models.load_model("best.keras")
    """
    trained = await train(source, fills(0.25), interval=4)
    assert trained.exit.error is None, trained.exit.error
    assert trained.facts("rate") == [pytest.approx(0.0025)]
    assert trained.facts("end") == [4.25], "not the weights that EarlyStopping restores"
    assert "a callback behind SwarmCallback changed the model" in trained.text


async def test_weights_that_are_restored_before_it_are_contributed(train):
    source = """
        class Fixed(keras.callbacks.Callback):
            def on_train_end(self, logs=None):
                self.model.set_weights([np.full(w.shape, 9.0) for w in self.model.get_weights()])
        model = net()
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[Fixed(), SwarmCallback(4, val_data=(X, Y))])
        tell(end=first(model), loss=model.evaluate(X, Y, verbose=0)[0])
    """
    trained = await train(source, interval=4)
    assert trained.syncs == [("begin", 0), ("interval", 4), ("end", 4)]
    assert trained.parked[-1].sync.local_loss == pytest.approx(trained.facts("loss")[0])
    assert trained.facts("end") == [9.0]
    assert (np.frombuffer(trained.parked[-1].contribution, "float32") == 9.0).all()
    assert "a callback behind" not in trained.text


@pytest.mark.conformance("CB-55", "CB-56", "CB-20")
async def test_get_loss_judges_what_it_is_given(train):
    source = """
        model = net()
        cb = SwarmCallback(4, 1, adsValData=(X, Y))
        model.fit(X, Y, verbose=0, epochs=2, callbacks=[cb])
        names = ["sequential/" + name for name in (
            "dense/kernel", "dense/bias", "batch_normalization/gamma", "batch_normalization/beta",
            "batch_normalization/moving_mean", "batch_normalization/moving_variance", "dense_1/kernel", "dense_1/bias")]
        weights = {name: np.full_like(value, 0.5) for name, value in zip(names, model.get_weights())}
        loss, metric, done, whole = cb.getLoss(weights)
        tell(same=[loss, metric] == model.evaluate(X, Y, verbose=0), end=first(model), epochs=[done, whole])
        cb.logger.info("said by the program")
    """
    trained = await train(source, keep)
    assert trained.exit.error is None, trained.exit.error
    assert trained.facts("same") == [True] and trained.facts("end") == [0.5] and trained.facts("epochs") == [[2, 2]]
    assert "said by the program" in trained.text

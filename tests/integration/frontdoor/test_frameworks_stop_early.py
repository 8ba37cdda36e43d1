"""Early stopping reaches Keras and scikit-learn as it does PyTorch: all programs of a real swarm end with one model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm_lab.facts import process

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

# What is learned is the opposite of what is judged: the validation loss gets worse with every round.
KERAS = """
import keras, numpy as np, time
from swarm_lab import SwarmCallback

class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None): time.sleep(0.01)

x = np.random.default_rng(0).standard_normal((64, 4)).astype("float32")
y = (x.sum(1) > 0).astype("int64")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
swarm = SwarmCallback(val_data=(x, 1 - y), early_stopping=2)
done = model.fit(x, y, batch_size=8, epochs=500, verbose=0, callbacks=[swarm, Slow()])
print("epochs", len(done.epoch), flush=True)
"""
SKLEARN = """
import numpy as np, time
from sklearn.linear_model import SGDClassifier
from swarm_lab import SwarmCallback

x = np.random.default_rng(0).standard_normal((64, 4))
y = (x.sum(1) > 0).astype(int)
model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01)
swarm = SwarmCallback(model=model, init_data=(x[:8], y[:8]), classes=[0, 1], val_data=(x, 1 - y),
                      loss_function="log_loss", early_stopping=2)
swarm.on_train_begin()
for number in range(4000):
    model.partial_fit(x, y)
    time.sleep(0.01)
    swarm.on_batch_end()
    if swarm.stop_training:
        break
swarm.on_train_end()
print("epochs", (number + 1) // 8, flush=True)
"""


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """`swarm-lab ... --json` in a process of its own; its answers."""
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "CUDA_VISIBLE_DEVICES": ""}

    def call(*arguments: str) -> list[dict[str, Any]]:
        ended = subprocess.run(
            [sys.executable, "-m", "swarm_lab.cli", arguments[0], "--json", *arguments[1:]],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        answers = [json.loads(line) for line in ended.stdout.splitlines()]
        assert ended.returncode == 0, (answers[-3:], ended.stderr[-500:])
        return answers

    try:
        yield call
    finally:
        process.end(process.all_of(tmp_path / "data" / "swarm-lab" / "swarms" / "early"))


@pytest.mark.conformance("CB-70")
@pytest.mark.parametrize(("framework", "program"), [("keras", KERAS), ("sklearn", SKLEARN)])
def test_all_programs_end_with_one_model(
    framework: str, program: str, call: Callable[..., list[dict[str, Any]]], tmp_path: Path, need: Callable[..., None]
) -> None:
    need(*({"keras": ("python:keras", "python:tensorflow")}.get(framework) or ("python:sklearn",)))
    (tmp_path / "prog.py").write_text(program)
    call("up", "--name", "early", "--sl", "2", "--framework", framework)
    events = call("train", "prog.py", "--sync", "4", "--min-peers", "2")
    call("down", "early")
    rounds = [event for event in events if event.get("event") == "round"]
    told = [event["text"].split() for event in events if event.get("event") == "output"]
    epochs = [int(words[1]) for words in told if words[:1] == ["epochs"]]
    assert len(rounds) <= 8 and rounds[-1]["end"]
    assert len(epochs) == 2 and max(epochs) < 50
    assert len({event["digest"] for event in events if event.get("event") == "node_finished"}) == 1
    losses = [done["metrics"][node]["loss"] for done in rounds[1:4] for node in done["nodes"]]
    assert all(loss is not None for loss in losses)

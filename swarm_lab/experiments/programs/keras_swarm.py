"""The same Keras program as a swarm program: two lines more."""

import os
from pathlib import Path

import keras
import numpy as np

from swarm_lab import SwarmCallback

seed = int(os.environ["SWARM_SEED"])
keras.utils.set_random_seed(seed)
folder = Path(os.environ["DATA_DIR"])
train, val = np.load(folder / "train.npz"), np.load(folder / "val.npz")

# 200 batches of 32 rows, however many rows this site has.
rows = np.random.default_rng(seed).integers(len(train["y"]), size=32 * 200)

model = keras.Sequential(
    [
        keras.Input(shape=train["x"].shape[1:]),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(len(train["classes"])),
    ]
)
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=keras.optimizers.Adam(0.005), loss=loss_function, metrics=["accuracy"])

model.fit(
    train["x"][rows],
    train["y"][rows],
    batch_size=32,
    verbose=0,
    callbacks=[SwarmCallback(val_data=(val["x"], val["y"]))],
)

_, right = model.evaluate(val["x"], val["y"], verbose=0)
print(f"{right:.1%} of this site's own validation rows are right")

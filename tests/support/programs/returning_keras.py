"""A Keras program that tells which epochs it runs and how many steps its optimizer remembers."""

import os
import time

import keras
import numpy as np

from swarm_lab import SwarmCallback

epochs, pause = int(os.environ.get("EPOCHS", "4")), float(os.environ.get("PAUSE", "0.01"))


class Tell(keras.callbacks.Callback):
    """Prints each epoch's begin; each batch takes a while."""

    def on_epoch_begin(self, epoch, logs=None):
        print(f"epoch {epoch} momentum {float(self.model.optimizer.iterations):.1f}", flush=True)

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(pause)


data = np.random.default_rng(0).standard_normal((256, 8)).astype("float32")
labels = (data.sum(1) > 0).astype("int64")
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
swarm = SwarmCallback(val_data=(data, labels), total_epochs=epochs)
model.fit(data, labels, batch_size=32, epochs=epochs, verbose=0, callbacks=[swarm, Tell()])

"""A Keras program in the documented style of the existing product: it knows nothing of swarm-lab."""

import os

import numpy as np
import tensorflow as tf
from swarmlearning.tf import SwarmCallback

default_max_epochs = 3
default_min_peers = 2
trainPrint = True


def load_data(dataDir):
    with np.load(os.path.join(dataDir, "part.npz"), allow_pickle=False) as f:
        return (f["x"], f["y"]), (f["xt"], f["yt"])


def main():
    dataDir = os.getenv("DATA_DIR", "/platform/data")
    scratchDir = os.getenv("SCRATCH_DIR", "/platform/scratch")
    maxEpoch = int(os.getenv("MAX_EPOCHS", str(default_max_epochs)))
    minPeers = int(os.getenv("MIN_PEERS", str(default_min_peers)))

    (x_train, y_train), (x_test, y_test) = load_data(dataDir)
    model = tf.keras.models.Sequential(
        [
            tf.keras.Input((8,)),
            tf.keras.layers.Dense(16, activation="relu"),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    swarmCallback = SwarmCallback(
        syncFrequency=4,
        minPeers=minPeers,
        adsValData=(x_test, y_test),
        adsValBatchSize=32,
        mlPlatform="KERAS",
        hfMode="full",
        mergeMethod="mean",
        nodeWeightage=50,
        checkinModelOnTrainEnd="snapshot",
        totalEpochs=maxEpoch,
    )
    assert isinstance(swarmCallback, tf.keras.callbacks.Callback)
    model.fit(x_train, y_train, batch_size=16, epochs=maxEpoch, verbose=2, callbacks=[swarmCallback])
    swarmCallback.logger.info("Saving the trained model")
    model_path = os.path.join(scratchDir, "keras")
    os.makedirs(model_path, exist_ok=True)
    model.save(os.path.join(model_path, "model.keras"))
    model.save(os.path.join(model_path, "folder"))
    model.save_weights(os.path.join(model_path, "model.weights.h5"))
    scores = model.evaluate(x_test, y_test, verbose=0)
    print("test accuracy", scores[1])


if __name__ == "__main__":
    main()

"""Tries the constructor of `swarmlearning.tf` with many arguments, without a swarm; writes what came of each."""

import json
import logging
import os

import keras
import numpy as np
import tensorflow as tf
from swarmlearning.client.swarm import SwarmError
from swarmlearning.tf import SwarmCallback

import swarm_lab

logging.getLogger("SwarmCallback").addHandler(logging.NullHandler())  # the answers alone are printed
X, Y = np.ones((8, 4), np.float32), np.zeros(8)
WEIGHTS = np.concatenate([np.ones(4), np.zeros(4)]).astype(np.float32)
found = {}


def attempt(name, *given, **named):
    try:
        SwarmCallback(*given, **named)
        found[name] = "made"
    except SwarmError as error:
        found[name] = error.message
    except TypeError:
        found[name] = "TypeError"


def net(metrics=("accuracy",)):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def judged(data, metrics=("accuracy",), **named):
    """Loss and metric of zeros: all classes alike."""
    callback = SwarmCallback(4, 2, adsValData=data, totalEpochs=3, **named)
    model = net(metrics)
    callback.set_model(model)
    callback.set_params({"epochs": 1, "steps": 2})
    callback.on_train_begin()
    callback.on_epoch_end(0)
    zeros = {spec.name: np.zeros(spec.shape, np.float32) for spec in callback._keras_model.layout()}
    return [None if value is None else round(value, 4) for value in callback.getLoss(zeros)]


attempt("plain", 4, 2)
attempt("names", syncFrequency="4", minPeers=2.5, trainingContract="c", mergeMethod="MEAN", nodeWeightage=7)
attempt("missing", 4)
attempt("contract", 4, 2, None)
attempt("zero", 0, 2)
attempt("unknown", 4, 2, mergeMetod="mean")
attempt("loss", 4, 2, lossFunction="NLLLoss")
attempt("keras", 4, 2, ml_platform="KERAS")
attempt("tf", 4, 2, ml_platform="TF")
attempt("graph", 4, 2, ml_platform="TF", tf=tf, sess=object())
attempt("session", 4, 2, sess=object())
attempt("pytorch", 4, 2, ml_platform="PYTORCH")
attempt("ignored", 4, 2, mlPlatform="KERAS", hfMode="peft")
callback = SwarmCallback(4, 2)
found["kinds"] = [
    isinstance(callback, tf.keras.callbacks.Callback),
    isinstance(callback, keras.callbacks.Callback),
    isinstance(callback, swarm_lab.SwarmCallback),
]
found["logger"] = callback.logger.name
found["pair"] = judged((X, Y))
found["weighted"] = judged((X, np.concatenate([np.zeros(4), np.ones(4)]), WEIGHTS))
found["dataset"] = judged(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4))
found["no metric"] = judged((X, Y), metrics=())
model = net()
before = [np.array(weight) for weight in model.weights]
model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[SwarmCallback(1, 2, adsValData=(X, Y))])
found["trained"] = not all(np.array_equal(a, b) for a, b in zip(before, map(np.array, model.weights), strict=True))
with open(os.environ["ANSWERS"], "w") as answers:
    json.dump(found, answers)

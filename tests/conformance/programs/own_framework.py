"""A model of NumPy arrays in a swarm, by the five methods of `ArraysCallback`; `BASE=1`: of the documented class."""

import os

import numpy as np

from swarm_lab.callback.hooks import ArraysCallback

SEED = int(os.getenv("SEED", "1"))
rng = np.random.default_rng(SEED)
x = rng.normal(size=(64, 3))
y = x @ np.array([1.0, -2.0, 0.5]) + 0.1 * SEED


class Line:
    def __init__(self):
        self.arrays = {"w": rng.normal(size=3), "b": np.zeros(()), "seen": np.array(0, np.int64)}

    def step(self):
        error = x @ self.arrays["w"] + self.arrays["b"] - y
        self.arrays["w"] = self.arrays["w"] - 0.1 * x.T @ error / len(x)
        self.arrays["b"] = np.asarray(self.arrays["b"] - 0.1 * error.mean())
        self.arrays["seen"] = np.asarray(self.arrays["seen"] + 1)

    def loss(self, data):
        return float(np.mean((data[0] @ self.arrays["w"] + self.arrays["b"] - data[1]) ** 2))


class LineCallback(ArraysCallback):
    def take_model(self, arguments):
        self.model = arguments["model"]

    def take_val_data(self, data, batch_size):
        self.data = data

    def save(self):
        return self.model.arrays

    def load(self, arrays):
        self.model.arrays = arrays

    def score(self):
        return self.model.loss(self.data), None


if os.getenv("BASE"):
    from swarmlearning.client.swarm import SwarmCallbackBase

    class LineBase(SwarmCallbackBase):
        stop_training = False

        def __init__(self, syncFrequency, minPeers, trainingContract="defaultbb.cqdb.sml.hpe", **kwargs):
            SwarmCallbackBase.__init__(self, syncFrequency, minPeers, trainingContract, kwargs)
            self._verifyAndSetPlatformContext(kwargs)
            self._swarmInitialize()

        def on_train_begin(self):
            self._swarmOnTrainBegin()

        def on_batch_end(self, batch=None):
            self._swarmOnBatchEnd()

        def on_epoch_end(self, epoch=None):
            self._swarmOnEpochEnd()

        def on_train_end(self):
            self._swarmOnTrainEnd()

        def _verifyAndSetPlatformContext(self, params):
            self.model, self.ownName = params.get("model"), params.get("ownName")
            if self.model is None:
                self._logAndRaiseError("the model is missing")

        def _getValidationDataForAdaptiveSync(self, valData, valBatchSize):
            return None, None, valData[0], valData[1], None

        def _saveModelWeightsToDict(self):
            return dict(self.model.arrays)

        def _loadModelWeightsFromDict(self, inDict):
            self.model.arrays = inDict

        def _calculateLocalLossAndMetrics(self):
            assert self.ownName == 3 and (self.epochsCompleted == 2 or not self.isSwarmTrainingOver)
            return self.model.loss((self.valX, self.valY)), None


line = Line()
own = {"ownName": 3} if os.getenv("BASE") else {}
callback = (LineBase if own else LineCallback)(4, 2, model=line, adsValData=(x, y), totalEpochs=2, **own)
callback.on_train_begin()
for epoch in range(2):
    for _ in range(6):
        line.step()
        callback.on_batch_end()
    callback.on_epoch_end(epoch)
callback.on_train_end()
kept = {name: array.copy() for name, array in line.arrays.items()}
print("loss", callback.getLoss(kept)[0] < 1.0, callback.getLoss(kept)[2:])
np.savez("final.npz", **line.arrays)

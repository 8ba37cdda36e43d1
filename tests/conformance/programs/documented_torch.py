"""A PyTorch program in the documented style of the existing product: it knows nothing of swarm-lab."""

import logging
import os

import numpy as np
import torch
import torch.nn.functional as F
from swarmlearning.pyt import SwarmCallback
from torch import nn

default_max_epochs = 3
default_min_peers = 2
batchSz = 16


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(8, 16)
        self.norm = nn.BatchNorm1d(16)
        self.out = nn.Linear(16, 2)

    def forward(self, x):
        return F.log_softmax(self.out(F.relu(self.norm(self.dense(x)))), dim=1)


def loadData(dataDir):
    with np.load(os.path.join(dataDir, "part.npz")) as f:
        xTrain, yTrain, xTest, yTest = (torch.from_numpy(f[name]) for name in ("x", "y", "xt", "yt"))
    return torch.utils.data.TensorDataset(xTrain, yTrain), torch.utils.data.TensorDataset(xTest, yTest)


def doTrainBatch(model, device, trainLoader, optimizer, swarmCallback):
    model.train()
    for data, target in trainLoader:
        optimizer.zero_grad()
        loss = F.nll_loss(model(data.to(device)), target.to(device))
        loss.backward()
        optimizer.step()
        if swarmCallback is not None:
            swarmCallback.on_batch_end()


def test(model, device, testLoader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in testLoader:
            correct += (model(data.to(device)).argmax(dim=1) == target.to(device)).sum().item()
    return correct / len(testLoader.dataset)


def main():
    dataDir = os.getenv("DATA_DIR", "/platform/data")
    scratchDir = os.getenv("SCRATCH_DIR", "/platform/scratch")
    max_epochs = int(os.getenv("MAX_EPOCHS", str(default_max_epochs)))
    min_peers = int(os.getenv("MIN_PEERS", str(default_min_peers)))

    trainDs, testDs = loadData(dataDir)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Net().to(device)
    opt = torch.optim.Adam(model.parameters())
    trainLoader = torch.utils.data.DataLoader(trainDs, batch_size=batchSz, shuffle=True)
    testLoader = torch.utils.data.DataLoader(testDs, batch_size=batchSz)

    swarmCallback = SwarmCallback(
        syncFrequency=4,
        minPeers=min_peers,
        useAdaptiveSync=False,
        adsValData=testLoader,
        adsValBatchSize=batchSz,
        mlPlatform="PYTORCH",
        nodeWeightage=50,
        mergeMethod="mean",
        model=model,
        lossFunction="NLLLoss",
        lossFunctionArgs={"reduction": "sum"},
        metricFunction="F1Score",
        metricFunctionArgs={"task": "multiclass", "num_classes": 2},
        totalEpochs=max_epochs,
    )
    swarmCallback.logger.setLevel(logging.DEBUG)
    swarmCallback.on_train_begin()
    for epoch in range(1, max_epochs + 1):
        doTrainBatch(model, device, trainLoader, opt, swarmCallback)
        test(model, device, testLoader)
        swarmCallback.on_epoch_end(epoch)
    swarmCallback.on_train_end()
    swarmCallback.logger.info("Saving the trained model")
    modelDir = os.path.join(scratchDir, "pyt", "model")
    os.makedirs(modelDir, exist_ok=True)
    torch.save(model.state_dict(), os.path.join(modelDir, "saved_model.pt"))
    torch.save(model, os.path.join(modelDir, "whole_model.pt"))
    print("test accuracy", test(model, device, testLoader))


if __name__ == "__main__":
    main()

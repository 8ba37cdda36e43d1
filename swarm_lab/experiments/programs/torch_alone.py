"""A plain PyTorch program: learns from the data of one site."""

import os
from pathlib import Path

import numpy as np
import torch
import torchmetrics
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

torch.manual_seed(int(os.environ["SWARM_SEED"]))
folder = Path(os.environ["DATA_DIR"])
train, val = np.load(folder / "train.npz"), np.load(folder / "val.npz")
features, classes = train["x"].shape[1], len(train["classes"])

rows = TensorDataset(torch.from_numpy(train["x"]), torch.from_numpy(train["y"]))
own = DataLoader(TensorDataset(torch.from_numpy(val["x"]), torch.from_numpy(val["y"])), batch_size=128)
# 200 batches of 32 rows, however many rows this site has.
batches = DataLoader(rows, batch_size=32, sampler=RandomSampler(rows, replacement=True, num_samples=32 * 200))

model = nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, classes))
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
loss_function = nn.CrossEntropyLoss()

for x, y in batches:
    optimizer.zero_grad()
    loss_function(model(x), y).backward()
    optimizer.step()

accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=classes)
with torch.no_grad():
    for x, y in own:
        accuracy.update(model(x), y)
print(f"{accuracy.compute():.1%} of this site's own validation rows are right")

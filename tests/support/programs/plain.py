"""A small PyTorch program of the swarm; its environment says how it behaves."""

import os
import sys
import time

import torch

from swarm_lab import SwarmCallback

node = os.path.basename(os.environ["DATA_DIR"])
victim = os.environ.get("VICTIM", "") == node
deed = os.environ.get("DEED", "")

if victim and deed == "never":
    sys.exit(0)
if victim and deed == "binary":
    sys.stdout.buffer.write(bytes(range(256)) * 40 + b"\xff\xfe no newline")
    sys.stdout.flush()

width = 7 if victim and deed == "other model" else 16
model = torch.nn.Sequential(torch.nn.Linear(8, width), torch.nn.ReLU(), torch.nn.Linear(width, 2))
optimizer = torch.optim.SGD(model.parameters(), 0.05)
data = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
labels = (data.sum(1) > 0).long()
validation = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data, labels), 64)

frequency = 5 if victim and deed == "other terms" else None
callback = SwarmCallback(model=model, sync_frequency=frequency, val_data=validation, loss_function="CrossEntropyLoss")
callback.on_train_begin()
for epoch in range(int(os.environ.get("EPOCHS", "4"))):
    for start in range(0, 256, 32):
        batch, target = data[start : start + 32], labels[start : start + 32]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), target).backward()
        optimizer.step()
        time.sleep(float(os.environ.get("PAUSE", "0.01")))
        if victim and epoch == 1 and start == 64:
            if deed == "raise":
                raise ValueError("the data of this site is broken")
            if deed == "exit":
                sys.exit(0)
            if deed == "hang":
                time.sleep(3600)
            if deed == "nan":
                with torch.no_grad():
                    model[0].weight[0, 0] = float("nan")
            if deed == "die":
                os.kill(os.getpid(), 9)
        callback.on_batch_end()
        if callback.stop_training and deed != "deaf":
            break
    callback.on_epoch_end()
    if callback.stop_training and deed != "deaf":
        break
callback.on_train_end()

"""A PyTorch program that tells which epochs it runs and whether its optimizer remembers; it fails where it is told to.

`KEEP=1`: it gives its optimizer and takes its epochs from the callback, so that both come back after a restart.
"""

import os
import time
from pathlib import Path

import torch

from swarm_lab import SwarmCallback

node, keep = Path(os.environ["DATA_DIR"]), os.environ.get("KEEP") == "1"
epochs, pause = int(os.environ.get("EPOCHS", "4")), float(os.environ.get("PAUSE", "0.01"))

model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
data = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
labels = (data.sum(1) > 0).long()
validation = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data, labels), 64)

callback = SwarmCallback(
    model=model,
    val_data=validation,
    loss_function="CrossEntropyLoss",
    total_epochs=epochs,
    **({"optimizer": optimizer} if keep else {}),
)
callback.on_train_begin()
for epoch in callback.epochs(epochs) if keep else range(epochs):
    momentum = sum(float(state["momentum_buffer"].abs().sum()) for state in optimizer.state.values())
    print(f"epoch {epoch} momentum {momentum:.6f}", flush=True)
    for start in range(0, 256, 32):
        if epoch == 2 and (node / "broken").exists():
            raise ValueError("the data of this site is broken")
        if epoch == 1 and (node / "hang").exists():
            (node / "hang").unlink()
            time.sleep(3600)
        batch, target = data[start : start + 32], labels[start : start + 32]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), target).backward()
        optimizer.step()
        time.sleep(pause)
        callback.on_batch_end()
        if callback.stop_training:
            break
    if not keep:
        callback.on_epoch_end()
    if callback.stop_training:
        break
callback.on_train_end()

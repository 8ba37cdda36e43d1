"""The program that our swarm runs in the bench: no training; node i adds i + 1 and syncs at every batch."""

import os
import time
from pathlib import Path

import instants
import torch

from swarm_lab import SwarmCallback

index = int((Path(os.environ["DATA_DIR"]) / "index").read_text())
rounds, nodes = int(os.environ["ROUNDS"]), int(os.environ["NODES"])
pause, told = float(os.environ.get("PAUSE", "0")), os.environ["INSTANTS"]

model = torch.nn.Module()
for number, tensor in enumerate(instants.content(int(os.environ["COUNT"]))):
    model.register_parameter(f"tensor{number:02}", torch.nn.Parameter(torch.from_numpy(tensor)))
tensors = list(model.parameters())

callback = SwarmCallback(model=model, sync_frequency=1, min_peers=int(os.environ["MIN_PEERS"]))
callback.on_train_begin()
for number in range(rounds):
    time.sleep(pause)
    with torch.no_grad():
        for tensor in tensors:
            tensor.add_(index + 1)
    callback.on_batch_end()
    instants.held(told, index, number, float(tensors[-1].detach()[-1]))
    if callback.stop_training:
        break
else:
    if index == 0:
        instants.checked(told, [tensor.detach().numpy() for tensor in tensors], rounds, (nodes + 1) / 2)
callback.on_train_end()

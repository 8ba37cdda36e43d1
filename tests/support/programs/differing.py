"""A PyTorch program that differs on one node (VICTIM), in one thing (DIFFER): a tensor, or what must be agreed on."""

import os

import torch

from swarm_lab import SwarmCallback

differ = os.environ["DIFFER"] if os.path.basename(os.environ["DATA_DIR"]) == os.environ["VICTIM"] else ""
layers = {"body": torch.nn.Linear(8, 4 if differ == "shape" else 5), "head": torch.nn.Linear(5, 2)}
if differ == "key":
    layers["extra"] = torch.nn.Linear(2, 2)
model = torch.nn.ModuleDict(layers)
if differ == "dtype":
    model["head"].double()
terms = {"min_peers": 2, "sync_frequency": 4, "merge_method": "mean", "use_adaptive_sync": False}
other = {"min_peers": 1, "sync_frequency": 5, "merge_method": "coordmedian", "use_adaptive_sync": True}
if differ in terms:
    terms[differ] = other[differ]
callback = SwarmCallback(model=model, total_epochs=1, **terms)
callback.on_train_begin()
for _ in range(8):
    callback.on_batch_end()
callback.on_epoch_end()
callback.on_train_end()

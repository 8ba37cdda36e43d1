"""A program of one tensor that learns nothing: each batch adds a number, and it ends once the test has made a file."""

import os
import time
from pathlib import Path

import torch

from swarm_lab import SwarmCallback

place, enough = Path(os.environ["DATA_DIR"]), Path(os.environ["ENOUGH"])
model = torch.nn.Module()
start = torch.randn(int(os.environ["COUNT"]), generator=torch.Generator().manual_seed(5))
model.register_parameter("tensor", torch.nn.Parameter(start))


def pause() -> float:
    """Seconds of a batch: this node's own, where the test has said so."""
    own = place / "pause"
    return float(own.read_text() if own.exists() else os.environ["PAUSE"])


callback = SwarmCallback(model=model)
callback.on_train_begin()
while not enough.exists():
    time.sleep(pause())
    with torch.no_grad():
        model.tensor.add_(1 + len(place.name) % 3)
    callback.on_batch_end()
    if callback.stop_training:
        break
callback.on_train_end()

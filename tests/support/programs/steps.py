"""Moves its parameters by a known step a batch, so that each contribution of a training can be computed elsewhere."""

import json
import os

import torch

from swarm_lab import SwarmCallback

node = os.path.basename(os.environ["DATA_DIR"])
step = torch.tensor(json.loads(os.environ["STEPS"])[node])
asked = json.loads(os.environ.get("ASKED", "{}")).get(node, {})


class Steps(torch.nn.Module):
    """A vector, a counter and a switch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(len(step)))
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("on", torch.tensor(False))


model = Steps()
callback = SwarmCallback(model=model, **asked)
callback.on_train_begin()
for _ in range(int(os.environ["BATCHES"])):
    with torch.no_grad():
        model.weight += step
        model.seen += int(node[-1])
        model.on.fill_(node != "sl-1")
    callback.on_batch_end()
callback.on_train_end()

"""A model of COUNT numbers to which each node adds its own: after r rounds of one batch every average is known."""

import os
import time
from pathlib import Path

import torch

from swarm_lab import SwarmCallback

node = os.path.basename(os.environ["DATA_DIR"])
own = int(node.removeprefix("sl-"))
count, rounds = int(os.environ["COUNT"]), int(os.environ["ROUNDS"])

model = torch.nn.Module()
model.w = torch.nn.Parameter(torch.zeros(count))
model.register_buffer("seen", torch.zeros((), dtype=torch.bool))
callback = SwarmCallback(model=model)
callback.on_train_begin()
for number in range(rounds):
    time.sleep(float(os.environ.get("PAUSE", "0")))
    with torch.no_grad():
        model.w += own
    callback.on_batch_end()
    Path(os.environ["MODEL_DIR"], f"{number}").write_text(f"{float(model.w[0])} {float(model.w[-1])}")
    if callback.stop_training:
        break
callback.on_train_end()

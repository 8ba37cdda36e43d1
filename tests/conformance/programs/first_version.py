"""A PyTorch program for the first versions of the existing product: `from swarm import SwarmCallback`."""

import os

import torch
from swarm import SwarmCallback

model = torch.nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(32, 4)
y = (x[:, 0] > 0).long()
swarm_callback = SwarmCallback(
    sync_interval=4,
    min_peers=int(os.getenv("MIN_PEERS", "2")),
    val_data=torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 8),
    val_batch_size=8,
    node_weightage=100,
    checkin_model_on_train_end="snapshot",
    ml_platform="PYTORCH",
    model_name="linear",
    model=model,
)
assert isinstance(swarm_callback, SwarmCallback)
swarm_callback.on_train_begin()
for epoch in range(2):
    for i in range(0, 32, 8):
        opt.zero_grad()
        torch.nn.functional.cross_entropy(model(x[i : i + 8]), y[i : i + 8]).backward()
        opt.step()
        swarm_callback.on_batch_end()
    swarm_callback.on_epoch_end(epoch)
swarm_callback.on_train_end()
torch.save(model.state_dict(), os.path.join(os.getenv("MODEL_DIR", "."), "model.pt"))

"""Real PyTorch programs, started cold, beside a small node."""

from __future__ import annotations

import torch

SOURCE = """
    import os
    import torch
    from swarm_lab import SwarmCallback

    torch.manual_seed(int(os.environ["SEED"]))
    model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(64, 8); y = (x[:, 0] > 0).long()
    cb = SwarmCallback(sync_frequency=4, min_peers=2, model=model, val_data=(x, y),
                       loss_function="CrossEntropyLoss")
    for epoch in cb.epochs(2):
        for i in range(0, 64, 16):
            opt.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[i:i+16]), y[i:i+16])
            loss.backward(); opt.step()
            cb.on_batch_end(loss=loss)
    cb.on_train_end()
    torch.save(model.state_dict(), "final.pt")
    print("done", cb.stop_training)
"""


async def test_two_programs_share_every_round_and_end_with_one_model(launch, averager):
    members = [await launch(SOURCE, f"p{i}", variables={"SEED": str(i)}) for i in (1, 2)]
    await averager(4).run(members)
    for member in members:
        assert member.exit.error is None
        assert member.exit.finished and member.exit.evaluated.loss > 0
        assert [(sync.reason, sync.batches) for sync in member.syncs] == [
            ("begin", 0), ("interval", 4), ("interval", 8), ("end", 8),
        ]  # fmt: skip
        assert member.syncs[0].loss is None and member.syncs[1].loss > 0 and member.syncs[1].training_loss > 0
        assert ("stdout", "done True") in member.lines
    first, second = (torch.load(member.program.spec.directory / "final.pt") for member in members)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["1.num_batches_tracked"].dtype == torch.int64

"""How PyTorch programs call the callback: documented names, losses, loaders with workers, and what is refused."""

from __future__ import annotations

from textwrap import dedent

import pytest

ATTEMPT = """
import threading
from swarm_lab.callback.errors import SwarmError
said = []
def attempt(call, *given):
    try:
        call(*given); said.append("fine")
    except SwarmError as error:
        said.append(error.code + " " + error.message)
"""


@pytest.mark.conformance("CB-02", "CB-50", "CB-51", "CB-53", "CB-54")
async def test_documented_calls_in_their_order(train):
    source = """
    model = nn.Linear(2, 1)
    cb = SwarmCallback(3, 2, "defaultbb.cqdb.sml.hpe", model=model, ml_platform="PYTORCH", totalEpochs=2)
    cb.on_train_begin()
    for epoch in range(2):
        for batch in range(4):
            cb.on_batch_end(batch)
        cb.on_epoch_end(epoch)
    cb.on_train_end()
    keep(counted=cb._session.epochs)
    """
    trained = await train(source, interval=3)
    assert trained.exit.error is None and trained.kept["counted"] == 2
    assert [(sync.reason, sync.batches, sync.epoch) for sync in trained.syncs] == [
        ("begin", 0, 0), ("interval", 3, 0), ("interval", 6, 1), ("end", 8, 2),
    ]  # fmt: skip


async def test_wrong_orders_are_refused_and_the_training_goes_on(train):
    source = """
    model = nn.Linear(2, 1)
    cb = SwarmCallback(model=model)
    for call in (cb.on_batch_end, cb.on_epoch_end, cb.on_train_end): attempt(call)
    cb.on_train_begin()
    attempt(cb.on_train_begin)
    other = SwarmCallback(model=model)
    attempt(other.on_train_begin)
    thread = threading.Thread(target=attempt, args=(cb.on_batch_end,)); thread.start(); thread.join(20)
    cb.on_batch_end(); cb.on_batch_end()
    cb.on_train_end()
    for call in (cb.on_train_begin, cb.on_batch_end, cb.on_epoch_end, cb.on_train_end): attempt(call)
    attempt(lambda: list(cb.epochs(2)))
    keep(said=said, idle=list(cb.batches([1])))
    """
    trained = await train(ATTEMPT + dedent(source), interval=2)
    assert trained.exit.error is None, trained.text
    said = trained.kept["said"]
    assert [text[:7] for text in said] == ["SWL-603"] * 5 + ["SWL-604"] + ["SWL-603"] * 4 + ["fine"]
    assert [sync.batches for sync in trained.syncs] == [0, 2, 2] and trained.kept["idle"] == []


async def test_a_forked_child_is_refused_and_loaders_with_workers_work(train):
    source = """
    import torch.multiprocessing as mp
    def child(cb, queue):
        attempt(cb.on_batch_end); attempt(cb.on_train_end); queue.put(list(said))
    model = nn.Linear(2, 1)
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    context = mp.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(cb, queue)); process.start(); told = queue.get(); process.join(20)
    data = torch.utils.data.TensorDataset(torch.randn(12, 2))
    for (x,) in cb.batches(torch.utils.data.DataLoader(data, batch_size=2, num_workers=2)):
        model(x); cb.on_batch_end()
    cb.on_train_end()
    keep(told=told)
    """
    trained = await train(ATTEMPT + dedent(source), interval=4)
    assert trained.exit.error is None, trained.text
    assert [text[:7] for text in trained.kept["told"]] == ["SWL-604"] * 2
    assert [sync.batches for sync in trained.syncs] == [0, 4, 6]


async def test_losses_are_numbers_or_tensors_and_unknown_ones_stay_unknown(train):
    source = """
    model = nn.Linear(2, 1)
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    w = model.weight
    for loss in (0.25, torch.tensor(0.5), w.sum() * 0 + 0.75, torch.tensor([1.0], dtype=torch.bfloat16), float("nan")):
        cb.on_batch_end(loss=loss)
    cb.on_train_end()
    """
    trained = await train(source, interval=1)
    assert trained.exit.error is None, trained.text
    assert [sync.training_loss for sync in trained.syncs] == [None, 0.25, 0.5, 0.75, 1.0, None, None]


@pytest.mark.conformance("CB-34", "CB-40")
@pytest.mark.conformance("CB-03", different="an unknown argument is refused, with the nearest known name")
async def test_what_the_constructor_refuses(train):
    source = """
    model = nn.Linear(2, 1)
    step = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(model.parameters()), 1)
    attempt(lambda: SwarmCallback(4, 2))
    for given in ({"model": "net"}, {"ml_platform": "KERAS"}, {"parameters": "lora"}, {"optimizer": model},
                  {"optimiser": None}, {"scheduler": step}):
        attempt(lambda: SwarmCallback(4, 2, **{"model": model, **given}))
    keep(said=said)
    """
    trained = await train(ATTEMPT + dedent(source), hello=False)
    said = trained.kept["said"]
    assert all(text.startswith("SWL-601") for text in said)
    for text, word in zip(
        said,
        ("model is missing", "model must be", "PYTORCH", "all, trainable", "Optimizer", "optimizer", "needs optimizer"),
        strict=True,
    ):
        assert word in text

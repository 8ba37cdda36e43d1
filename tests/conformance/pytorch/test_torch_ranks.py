"""Programs of several ranks: rank 0 alone speaks with the swarm, and all have its model, bit by bit."""

from __future__ import annotations

import re

import pytest
import torch

WORKER = """
import sys, tempfile
import torch.distributed as dist
import torch.multiprocessing as mp

def train(rank, path):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    torch.manual_seed(rank)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    model = nn.parallel.DistributedDataParallel(net)
    opt = torch.optim.Adam(model.parameters(), lr=0.05)
    cb = SwarmCallback(model=model, optimizer=opt, val_data=(torch.randn(9, 3), torch.rand(9, 1).round()),
                       loss_function="BCEWithLogitsLoss", metric_function="Accuracy",
                       metric_function_args={"task": "binary"})
    marks = []
    def mark(): marks.append(bits(net.state_dict()))
    loads = 0
    for epoch in cb.epochs(EPOCHS):
        if not marks: mark()
        for i in cb.batches(range(4)):
            opt.zero_grad(); model(torch.randn(8, 3)).square().mean().backward(); opt.step()
            cb.on_batch_end()
            if LATE == (rank, epoch, i): break
            mark()
    cb.on_train_end()
    mark()
    torch.save({"marks": marks, "stop": cb.stop_training, "epoch": epoch,
                "step": [float(s["step"]) for s in opt.state.values()], "state": bits(opt.state[net[0].weight])},
               f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()

EPOCHS, LATE = 2, None
"""
BESIDE = """
if __name__ == "__main__":
    path = os.path.abspath("meet")
    other = mp.get_context("spawn").Process(target=train, args=(1, path))
    other.start()
    try:
        train(0, path)
    finally:
        other.join(20)
        print("rank 1 left with", other.exitcode, flush=True)
"""
MAIN = BESIDE.replace("spawn", "fork")  # the same, and quicker: nothing is imported again
SPAWNED = """
if __name__ == "__main__":
    mp.spawn(train, args=(os.path.abspath("meet"),), nprocs=2)
    keep(after=True)
"""
FORKED = SPAWNED.replace("mp.spawn(", "mp.start_processes(").replace("nprocs=2", "nprocs=2, start_method='fork'")


def ranks(trained) -> list[dict]:
    return [torch.load(trained.program.spec.directory / f"rank{rank}.pt") for rank in (0, 1)]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name][2], other[name][2]) for name in one)


def plain(layout, contribution: bytes) -> bytes:
    """Finite values that differ from the contribution, so that training can go on with them."""
    model = bytearray(contribution)
    for view in layout.views(model).values():
        view[...] = view + 1
    return bytes(model)


@pytest.mark.parametrize("main", [BESIDE, SPAWNED, FORKED], ids=["rank 0 is the program", "spawned", "forked"])
async def test_all_ranks_have_the_model_of_every_sync(train, main):
    trained = await train(WORKER + main, lambda round_, layout, mine: plain(layout, mine), interval=3)
    assert trained.exit.error is None, trained.text
    assert [(sync.reason, sync.batches) for sync in trained.syncs] == [
        ("begin", 0), ("interval", 3), ("interval", 6), ("end", 8),
    ]  # fmt: skip
    # Rank 0 judges alone: what gathers from all ranks, as metrics do, would hang.
    assert trained.syncs[1].metric is not None and trained.syncs[1].local_loss > 0
    first, second = ranks(trained)
    assert [spec.name for spec in trained.layout.specs if "module" in spec.name] == []
    assert first["stop"] and second["stop"] and first["step"] == second["step"] == [8.0] * 6
    for at, given in ((0, 0), (3, 1), (6, 2), (-1, 3)):
        assert same(first["marks"][at], second["marks"][at])
        found = {name: bytes(raw.numpy()) for name, (_, _, raw) in second["marks"][at].items()}
        assert found == trained.bits(trained.given[given])
    assert not same(first["marks"][1], first["marks"][0])
    assert trained.text.count("All peers and Swarm training rounds finished") == 1


async def test_a_stop_ends_all_ranks_at_one_batch(train):
    trained = await train(WORKER + "EPOCHS = 500\n" + MAIN, interval=3, stop_at=2)
    assert trained.exit.error is None, trained.text
    assert [sync.reason for sync in trained.syncs] == ["begin", "interval", "interval", "end"]
    first, second = ranks(trained)
    assert first["epoch"] == second["epoch"] == 1 and len(first["marks"]) == len(second["marks"]) == 8
    assert same(first["marks"][-1], second["marks"][-1])


async def test_a_sync_that_the_node_asks_for_reaches_all_ranks(train):
    trained = await train(
        WORKER + "EPOCHS = 12\n" + MAIN,
        lambda round_, layout, mine: plain(layout, mine),
        interval=10**6,
        attention_after=20,
    )
    assert trained.exit.error is None, trained.text
    reasons = [sync.reason for sync in trained.syncs]
    assert reasons[0] == "begin" and reasons[-1] == "end" and set(reasons[1:-1]) == {"attention"}
    first, second = ranks(trained)
    at = trained.syncs[1].batches
    assert same(first["marks"][at], second["marks"][at]) and same(first["marks"][-1], second["marks"][-1])


ALONE = WORKER.replace("model = nn.parallel.DistributedDataParallel(net)", "model = net")


async def test_ranks_that_go_apart_are_told(train):
    """Where DDP itself would hang: one rank has fewer batches than the other."""
    trained = await train(ALONE + "LATE = (1, 0, 1)\n" + MAIN, interval=50)
    told = r"SWL-611: rank 1 called on_train_end\(\) after 6 batches while rank 0 called on_\w+\(\) after [78]"
    assert re.search(told, trained.text) and not trained.exit.finished


async def test_a_rank_with_another_model_is_told(train):
    source = ALONE.replace("nn.Linear(4, 1))", "nn.Linear(4, 1 + rank))")
    trained = await train(source + MAIN)
    assert "the model of rank 1 has other tensors than that of rank 0" in trained.text
    assert trained.exit.error is not None


async def test_a_failure_of_rank_0_reaches_the_others(train):
    spoil = "if i == 2: net.extra = nn.Parameter(torch.ones(1))\n            cb.on_batch_end()"
    trained = await train(WORKER.replace("cb.on_batch_end()", spoil) + MAIN, interval=3)
    assert "extra is new in the model" in trained.exit.error.message
    assert "rank 0 failed in on_batch_end()" in trained.text and "rank 1 left with 1" in trained.text


async def test_all_ranks_go_on_after_a_restart(train, tmp_path):
    """The epoch and the optimizer's state of rank 0 are those of every rank."""
    places = tmp_path / "state"
    kill = f"""
            mark()
            if i == 3 and rank == 0:
                while not os.path.exists(os.path.join({str(places)!r}, f"place-{{epoch + 1:09d}}.safetensors")): pass
            dist.barrier()
            if epoch == 1 and i == 1 and rank == 0: os.kill(os.getpid(), 9)
"""
    variables = {"SWARM_STATE_DIR": str(places)}
    first = await train(WORKER.replace("\n            mark()\n", kill) + MAIN, interval=4, variables=variables)
    assert first.exit.code == -9
    seen = "if not marks: mark(); torch.save(bits(opt.state[net[0].weight]), f'state{rank}.pt')"
    again = WORKER.replace("if not marks: mark()", seen)
    second = await train(again + MAIN, interval=4, variables=variables, resume={"start": 2, "round": 1})
    assert second.exit.error is None, second.text
    one, other = ranks(second)
    assert one["epoch"] == other["epoch"] == 1 and len(one["marks"]) == len(other["marks"]) == 10
    assert one["step"] == other["step"] == [12.0] * 6  # four came back; epochs 0 and 1 were done
    folder = second.program.spec.directory
    state = [torch.load(folder / f"state{rank}.pt") for rank in (0, 1)]
    assert same(*state) and {"exp_avg", "exp_avg_sq", "step"} <= state[0].keys()


async def test_loopback_needs_no_ranks(train):
    trained = await train(WORKER + "os.environ['SWARM_LOOPBACK'] = 'true'\n" + MAIN, hello=False)
    first, second = ranks(trained)
    assert len(first["marks"]) == len(second["marks"]) == 10

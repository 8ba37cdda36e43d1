"""Programs as they are written for a GPU: ranks, restarts, mixed precision, captured steps, errors of the device."""

from __future__ import annotations

import pytest
import torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
GPU = pytest.param("cuda", marks=needs_gpu)
# On the CPU the default device is one that has no values: whoever relies on it fails there too.
DEFAULTS = ["meta", GPU]

RANKS = """
import torch.distributed as dist
import torch.multiprocessing as mp
DEVICE = "cpu" if DEFAULT == "meta" else DEFAULT

def train(rank, path):
    torch.set_default_device(DEFAULT)
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    net = nn.Sequential(nn.Linear(3, 4, device=DEVICE), nn.BatchNorm1d(4, device=DEVICE))
    for parameter in net.parameters(): nn.init.constant_(parameter, rank + 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    val_data = torch.randn(9, 3, device="cpu"), torch.rand(9, 4, device="cpu")
    cb = SwarmCallback(model=net, optimizer=opt, val_data=val_data, loss_function="MSELoss")
    cb.on_train_begin()
    begun = [bits(net.state_dict()), *(bits(state) for state in opt.state.values())]
    for i in range(4):
        opt.zero_grad(); net(torch.randn(8, 3, device=DEVICE)).square().mean().backward(); opt.step()
        cb.on_batch_end()
    cb.on_train_end()
    torch.save({"begun": begun, "final": bits(net.state_dict())}, f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()

if __name__ == "__main__":
    path = os.path.abspath("meet")
    other = mp.get_context("fork").Process(target=train, args=(1, path))
    other.start()
    try:
        train(0, path)
    finally:
        other.join(20)
"""


@pytest.mark.parametrize("default", DEFAULTS)
async def test_ranks_whatever_the_default_device(train, tmp_path, default):
    variables = {"SWARM_STATE_DIR": str(tmp_path / "state")}
    for resume in (None, {"start": 2, "round": 1}):
        trained = await train(f"DEFAULT = {default!r}\n{RANKS}", interval=2, variables=variables, resume=resume)
        assert trained.exit.error is None, trained.text
        assert [sync.batches for sync in trained.syncs] == [0, 2, 4, 4] and trained.syncs[1].local_loss > 0
        folder = trained.program.spec.directory
        first, second = (torch.load(folder / f"rank{rank}.pt") for rank in (0, 1))
        assert len(first["begun"]) == len(second["begun"]) == (5 if resume else 1)
        for one, other in zip([*first["begun"], first["final"]], [*second["begun"], second["final"]], strict=True):
            assert one.keys() == other.keys() and all(torch.equal(one[name][2], other[name][2]) for name in one)
        final = {name: bytes(raw.numpy()) for name, (_, _, raw) in second["final"].items()}
        assert final == trained.bits(trained.given[-1])


RESTARTED = """
torch.manual_seed(1)
model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2).to(torch.bfloat16)).to(DEVICE)
def out(x): return model[2](model[1](model[0](x)).to(torch.bfloat16)).float()
opt = torch.optim.AdamW(model.parameters(), lr=0.01, **OPTIONS)
scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, 40)
cb = SwarmCallback(model=model, optimizer=opt, scheduler=scheduler)
def state():
    found = [one for kept in opt.state.values() for one in kept.values()]
    places = [str(one.device) for one in found]
    return places, [bits({"": one})[""][2] for one in found], scheduler.get_last_lr()
states = []
for epoch in cb.epochs(3):
    states.append(state())
    for i in range(4):
        opt.zero_grad(); out(torch.randn(8, 4).to(DEVICE)).square().mean().backward(); opt.step(); scheduler.step()
        cb.on_batch_end()
        if KILLED and (epoch, i) == (1, 1):
            keep(states=states)
            cb._session._places.close()
            os.kill(os.getpid(), 9)
cb.on_train_end()
keep(states=states)
"""
OPTIONS = {"plain": {}, "capturable": {"capturable": True}, "fused": {"fused": True}}


@pytest.mark.parametrize(
    ("device", "options"), [("cpu", "plain"), *(pytest.param("cuda", name, marks=needs_gpu) for name in OPTIONS)]
)
async def test_a_killed_program_goes_on_on_its_device(train, tmp_path, device, options):
    variables = {"SWARM_STATE_DIR": str(tmp_path / "state")}
    source = f"DEVICE, OPTIONS = {device!r}, {OPTIONS[options]!r}\n{RESTARTED}"
    first = await train(f"KILLED = True\n{source}", interval=4, variables=variables)
    assert first.exit.code == -9, first.text
    resume = {"start": 2, "round": 1}
    second = await train(f"KILLED = False\n{source}", interval=4, variables=variables, resume=resume)
    assert second.exit.error is None, second.text
    assert len(second.kept["states"]) == 3  # the epoch in whose last batch the sync was is not over
    (places, values, rates), (places_then, values_then, rates_then) = second.kept["states"][0], first.kept["states"][1]
    assert places == places_then and rates == rates_then and len(values) == 18
    assert all(torch.equal(one, other) for one, other in zip(values, values_then, strict=True))


MIXED = """
torch.manual_seed(2)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
model = model.to(DEVICE, memory_format=torch.channels_last)
data = torch.utils.data.TensorDataset(torch.randn(40, 1, 8, 8), torch.arange(40) % 2)
loader = torch.utils.data.DataLoader(data, batch_size=8, num_workers=2, pin_memory=DEVICE == "cuda")
opt = torch.optim.SGD(model.parameters(), lr=0.01)
scaler = torch.amp.GradScaler(DEVICE)
cb = SwarmCallback(model=model, val_data=loader, loss_function="CrossEntropyLoss", metric_function="F1Score",
                   metric_function_args={"task": "multiclass", "num_classes": 2})
for epoch in cb.epochs(2):
    for x, y in cb.batches(loader):
        opt.zero_grad()
        with torch.autocast(DEVICE, torch.float16 if DEVICE == "cuda" else torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x.to(DEVICE)), y.to(DEVICE))
        scaler.scale(loss).backward(); scaler.step(opt); scaler.update()
        cb.on_batch_end(loss=loss)
cb.on_train_end()
keep(last=model[0].weight.is_contiguous(memory_format=torch.channels_last), final=bits(model.state_dict()))
"""


@pytest.mark.parametrize("device", ["cpu", GPU])
async def test_mixed_precision_and_loaders_with_workers(train, device):
    trained = await train(f"DEVICE = {device!r}\n{MIXED}", interval=5)
    assert trained.exit.error is None, trained.text
    assert [sync.batches for sync in trained.syncs] == [0, 5, 10, 10]
    for sync in trained.syncs[1:]:
        assert sync.training_loss > 0 and sync.local_loss > 0
    assert trained.syncs[-1].metric is not None and trained.kept["last"]
    final = {name: bytes(raw.numpy()) for name, (_, _, raw) in trained.kept["final"].items()}
    assert final == trained.bits(trained.given[-1])


CAPTURED = """
torch.manual_seed(3)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).cuda()
opt = torch.optim.Adam(model.parameters(), lr=0.01, capturable=True)
x = torch.randn(64, 4, device="cuda")
def step():
    loss = (model(x) - x[:, :1]).square().mean()
    loss.backward(); opt.step()
    return loss
cb = SwarmCallback(model=model, optimizer=opt)
cb.on_train_begin()
side = torch.cuda.Stream()
side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):
    for _ in range(3): opt.zero_grad(); step()
torch.cuda.current_stream().wait_stream(side)
graph = torch.cuda.CUDAGraph()
opt.zero_grad()
with torch.cuda.graph(graph): loss = step()
same = []
for i in range(6):
    with torch.no_grad(): eager = float((model(x) - x[:, :1]).square().mean())
    graph.replay()
    same.append(abs(float(loss) - eager) < 1e-5)
    cb.on_batch_end(loss=loss)
cb.on_train_end()
keep(same=same)
"""


@needs_gpu
async def test_a_captured_step_goes_on_with_what_was_merged(train):
    def half(round_, layout, mine):
        model = bytearray(mine)
        for view in layout.views(model).values():
            view[...] = view / 2
        return bytes(model)

    trained = await train(CAPTURED, half, interval=2)
    assert trained.exit.error is None, trained.text
    assert trained.kept["same"] == [True] * 6
    assert all(mine != given for mine, given in zip(trained.contributions[1:-1], trained.given, strict=False))


BROKEN = """
model = nn.Embedding(4, 2).cuda()
cb = SwarmCallback(model=model)
cb.on_train_begin()
model(torch.tensor([9], device="cuda"))
cb.on_batch_end()
"""


@needs_gpu
async def test_an_error_of_the_device_ends_the_program_with_its_reason(train):
    trained = await train(BROKEN, interval=1)
    assert not trained.exit.finished and "device-side assert" in trained.exit.error.message, trained.text
    assert [sync.reason for sync in trained.syncs] == ["begin"]

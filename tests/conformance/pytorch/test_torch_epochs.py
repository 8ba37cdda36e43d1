"""`callback.epochs`: it goes on after a restart, and ends with the swarm; plain loops see `stop_training`."""

from __future__ import annotations

import pytest
from support.torch_node import random_bits

PROGRAM = """
import time
from pathlib import Path
torch.manual_seed(5)
model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
opt = OPTIMIZER(model)
rate = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)
cb = SwarmCallback(model=model, total_epochs=4, **dict(GIVEN))
def state(): return {str(i): (s["exp_avg"].clone(), float(s["step"])) for i, s in enumerate(opt.state.values())}
places = Path(os.environ["SWARM_STATE_DIR"])
epochs, starts, at_sync = [], [], []
def go():
    for epoch in (cb.epochs(4) if LOOP == "epochs" else begun(4)):
        epochs.append(epoch)
        starts.append((state(), opt.param_groups[0]["lr"]))
        for i in range(4):
            opt.zero_grad(); model(torch.randn(4, 3)).square().mean().backward(); opt.step()
            cb.on_batch_end()
            if KILL and i == 3:  # written by now, and not skipped because the last was still being written
                while not (places / f"place-{epoch + 1:09d}.safetensors").exists(): time.sleep(0.01)
            if KILL == (epoch, i): os.kill(os.getpid(), 9)
        rate.step()
        if LOOP != "epochs": cb.on_epoch_end(epoch)
def begun(n):
    cb.on_train_begin()
    yield from range(n)
KILL, LOOP = None, "epochs"
"""
END = """
go()
cb.on_train_end()
keep(epochs=epochs, starts=starts, counted=cb._session.epochs)
"""


def program(given: str, optimizer: str = "torch.optim.Adam(model.parameters(), lr=0.1)", more: str = "") -> str:
    made = PROGRAM.replace("OPTIMIZER(model)", optimizer).replace("GIVEN", given)
    return made + more + END


def finite(round_, layout, mine) -> bytes:
    """The contribution, as the merge of one node."""
    return mine


@pytest.fixture
def killed(train, tmp_path):
    """killed(given, resumed) -> (first, second): a program that ended by SIGKILL in mid-epoch, and its second start."""

    async def run(given: str, second: str | None = None, round_: int = 2):
        variables = {"SWARM_STATE_DIR": str(tmp_path / "state")}
        # Syncs after batches 4 and 8, at the end of epochs 0 and 1; killed in the middle of epoch 2.
        more = "KILL = (2, 1)\n"
        first = await train(program(given, more=more), finite, interval=4, variables=variables)
        assert first.exit.code == -9, first.text
        resume = {"start": 2, "round": round_}
        return first, await train(second or program(given), finite, interval=4, variables=variables, resume=resume)

    return run


BOTH = "optimizer=opt, scheduler=rate"


async def test_epoch_optimizer_and_scheduler_come_back(killed):
    _, second = await killed(BOTH)
    assert second.exit.error is None, second.text
    assert second.kept["epochs"] == [1, 2, 3] and second.kept["counted"] == 4
    state, lr = second.kept["starts"][0]
    # The epoch that was begun at the last sync is done again, with the optimizer as it was at that sync.
    assert [step for _, step in state.values()] == [8.0] * 4 and lr == 0.05
    assert "this program goes on with epoch 1" in second.text
    assert "the optimizer's state after round 2 is back" in second.text


async def test_the_state_is_that_of_the_round_the_program_starts_from(killed):
    """A later round that was never committed has no part: what the node starts it from decides."""
    _, second = await killed(BOTH, round_=1)
    assert second.kept["epochs"] == [0, 1, 2, 3]
    state, _ = second.kept["starts"][0]
    assert [step for _, step in state.values()] == [4.0] * 4


async def test_without_the_optimizer_it_begins_anew_and_says_so(killed):
    _, second = await killed("")
    assert second.kept["epochs"] == [0, 1, 2, 3] and second.kept["starts"][0][0] == {}
    assert second.text.count("this program starts again at epoch 0 from the last committed model (round 2)") == 1


async def test_a_plain_loop_begins_anew_and_says_so(killed):
    _, second = await killed(BOTH, program(BOTH, more='LOOP = "plain"\n'))
    assert second.kept["epochs"] == [0, 1, 2, 3]
    assert second.text.count("this program starts again at epoch 0") == 1


async def test_an_optimizer_that_does_not_fit_starts_fresh_with_a_line(killed):
    other = program(BOTH, "torch.optim.NAdam(model.parameters(), lr=0.1)")
    _, second = await killed(BOTH, other)
    assert second.exit.error is None, second.text
    assert "the optimizer's state of round 2 does not fit: the kept state is that of" in second.text
    assert second.kept["starts"][0][0] == {} and second.kept["epochs"][0] == 1


async def test_optimizer_and_momentum_go_on_with_what_is_loaded(train):
    """The optimizer keeps its parameters and its state across syncs: it stays local."""
    source = """
    model = nn.Linear(3, 1)
    opt = torch.optim.Adam(model.parameters(), lr=0.1)
    ids = [id(p) for p in opt.param_groups[0]["params"]]
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    states = []
    for _ in range(4):
        opt.zero_grad(); model(torch.randn(4, 3)).square().mean().backward(); opt.step()
        before = [s["exp_avg"].clone() for s in opt.state.values()]
        cb.on_batch_end()
        states.append(all(torch.equal(a, s["exp_avg"]) for a, s in zip(before, opt.state.values())))
    cb.on_train_end()
    keep(ids=ids == [id(p) for p in model.parameters()], states=states,
         steps=[float(s["step"]) for s in opt.state.values()])
    """
    trained = await train(source, finite, interval=1)
    assert trained.kept == {"ids": True, "states": [True] * 4, "steps": [4.0, 4.0]}


LOOPS = {
    "batches": "for i in cb.batches(range(5)):",
    "plain": "for i in range(5):",
    "tested": "for i in range(5):\n        if cb.stop_training: break",
}


@pytest.mark.conformance(
    "CB-70", different="the swarm's end stops PyTorch loops too: cb.epochs, cb.batches, stop_training"
)
@pytest.mark.parametrize("loop", LOOPS)
async def test_a_loop_ends_with_the_swarm(train, loop):
    source = f"""
model = nn.Linear(2, 1)
cb = SwarmCallback(model=model)
seen = []
for epoch in cb.epochs(10):
    {LOOPS[loop]}
        seen.append((epoch, i, cb.stop_training))
        nn.init.normal_(model.weight)
        cb.on_batch_end()
cb.on_train_end()
keep(seen=seen, final=bits(model.state_dict()))
"""
    trained = await train(source, lambda round_, layout, _: random_bits(layout, round_), interval=3, stop_at=2)
    assert [(sync.reason, sync.batches) for sync in trained.syncs] == [
        ("begin", 0), ("interval", 3), ("interval", 6), ("end", 6),
    ]  # fmt: skip
    seen = trained.kept["seen"]
    # A plain inner loop goes on to the end of its epoch; what it does has no part in the final model.
    assert seen[:6] == [(0, i, False) for i in range(5)] + [(1, 0, False)]
    assert seen[6:] == ([(1, i, True) for i in range(1, 5)] if loop == "plain" else [])
    final = {name: bytes(raw.numpy()) for name, (_, _, raw) in trained.kept["final"].items()}
    assert final == trained.bits(trained.given[-1])


async def test_an_endless_loop_can_be_left(train):
    source = """
    import itertools
    model = nn.Linear(2, 1)
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    for i in cb.batches(itertools.count()):
        cb.on_batch_end()
    cb.on_train_end()
    keep(last=i, after=list(cb.batches([1, 2])))
    """
    trained = await train(source, interval=3, stop_at=1)
    assert trained.kept == {"last": 2, "after": []}

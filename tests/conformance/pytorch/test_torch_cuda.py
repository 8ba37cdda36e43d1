"""Models and data on a GPU, and partly on it: skipped, with the reason, where there is none."""

from __future__ import annotations

import logging

import pytest
import torch
from support.torch_node import random_bits

from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.torch_evaluation import Evaluation
from swarm_lab.callback.torch_state import TorchState

GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"))
DEVICES = ["cpu", GPU]  # the programs are the same; on the CPU they show that it is not they that would fail

SPLIT = """
class Split(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).to(DEVICE)
        self.head = nn.Linear(3, 2).to(torch.bfloat16)
    def forward(self, x):
        return self.head(self.body(x.to(DEVICE)).cpu().to(torch.bfloat16)).float()
"""
WHOLE = "model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).to(DEVICE)"
PROGRAM = """
x, y = torch.randn(64, 4), torch.arange(64) % 2
opt = torch.optim.Adam(model.parameters(), lr=0.01, capturable=all(p.is_cuda for p in model.parameters()))
cb = SwarmCallback(model=model, optimizer=opt, val_data=(x, y), loss_function="CrossEntropyLoss",
                   loss_function_args={"weight": torch.tensor([1.0, 2.0])},
                   metric_function="Accuracy", metric_function_args={"task": "multiclass", "num_classes": 2})
devices = [t.device for t in model.state_dict().values()]
marks = []
cb.on_train_begin()
for i in range(4):
    out = model(x.to(devices[0])); loss = nn.functional.cross_entropy(out, y.to(out.device))
    opt.zero_grad(); loss.backward(); opt.step()
    cb.on_batch_end(loss=loss)
    marks.append(bits(model.state_dict()))
cb.on_train_end()
keep(marks=marks, final=bits(model.state_dict()), same=devices == [t.device for t in model.state_dict().values()])
"""


def seen(kept: dict) -> dict[str, bytes]:
    return {name: bytes(raw.numpy()) for name, (_, _, raw) in kept.items()}


@pytest.mark.conformance("CB-77", "CB-86")
@pytest.mark.parametrize("model", [WHOLE, SPLIT + "model = Split()"], ids=["whole", "split"])
@pytest.mark.parametrize("device", DEVICES)
async def test_a_model_on_the_device_syncs_bit_by_bit(train, tmp_path, device, model):
    variables = {"SWARM_STATE_DIR": str(tmp_path / "state")}
    source = f"DEVICE = {device!r}\n{model}\n{PROGRAM}"
    last: list[bytes] = []

    def give(round_, layout, mine):
        # Values that training can go on with, and at the end any bits.
        last.append(mine if round_ < 3 else random_bits(layout, round_))
        return last[-1]

    trained = await train(source, give, interval=2, variables=variables)
    assert trained.exit.error is None, trained.text
    assert trained.kept["same"] and trained.syncs[1].local_loss > 0 and trained.syncs[2].metric is not None
    for mark, buffer in ((1, trained.given[1]), (3, trained.given[2])):
        assert seen(trained.kept["marks"][mark]) == trained.bits(buffer)
    assert seen(trained.kept["final"]) == trained.bits(trained.given[3])
    assert list((tmp_path / "state").glob("*.safetensors"))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("capturable", [False, True])
def test_an_optimizer_on_the_device_goes_on(device, capturable):
    if capturable and device == "cpu":
        pytest.skip("capturable optimizers need a GPU")

    def step(model, opt):
        opt.zero_grad()
        model(torch.ones(2, 4, device=device)).square().mean().backward()
        opt.step()

    torch.manual_seed(1)
    model = torch.nn.Linear(4, 2).to(device)
    opt = torch.optim.Adam(model.parameters(), capturable=capturable)
    step(model, opt)
    other = torch.nn.Linear(4, 2).to(device)
    other.load_state_dict(model.state_dict())
    again = torch.optim.Adam(other.parameters(), capturable=capturable)
    TorchState.of(again, None).write(*TorchState.of(opt, None).read())
    for _ in range(3):
        step(model, opt)
        step(other, again)
    assert torch.equal(model.weight, other.weight)
    mine, theirs = ([value.device for state in one.state.values() for value in state.values()] for one in (opt, again))
    assert mine == theirs


@pytest.mark.parametrize("device", DEVICES)
def test_judging_keeps_the_random_state_of_the_device(device):
    data = (torch.randn(9, 4), torch.arange(9) % 2)
    values = read_arguments({"val_data": data, "loss_function": "CrossEntropyLoss"}, "torch")
    model = torch.nn.Sequential(torch.nn.Linear(4, 2)).to(device)
    states = torch.cuda if device == "cuda" else torch.random
    state = states.get_rng_state()
    loss, _ = Evaluation.of(values, logging.getLogger("test")).run(model)
    assert loss > 0 and torch.equal(state, states.get_rng_state())

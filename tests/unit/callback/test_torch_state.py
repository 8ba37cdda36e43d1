"""Optimizers and schedulers go on from what was kept as if nothing had happened, to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.optim import lr_scheduler as rates

from swarm_lab.callback.arrays import read_arrays, write_arrays
from swarm_lab.callback.errors import CallbackArgumentError, ModelError
from swarm_lab.callback.torch_state import TorchState, Unkept

X = torch.linspace(-1, 1, 32).reshape(8, 4)


def net(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).to(dtype)


def groups(model: torch.nn.Module) -> list[dict]:
    return [
        {"params": model[0].parameters(), "lr": 0.02, "weight_decay": 0.0, "name": "first"},
        {"params": list(model[2].parameters())},
    ]


OPTIMIZERS = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    "sgd momentum": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda model: torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True),
    "adam fused": lambda model: torch.optim.Adam(model.parameters(), lr=0.01, fused=True),
    "adam, rate in a tensor": lambda model: torch.optim.Adam(model.parameters(), lr=torch.tensor(0.01), foreach=False),
    "adamw groups": lambda model: torch.optim.AdamW(groups(model), lr=0.01, betas=(0.8, 0.99)),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), momentum=0.5, centered=True),
    "adagrad": lambda model: torch.optim.Adagrad(model.parameters()),
    "adafactor": lambda model: torch.optim.Adafactor(model.parameters()),
    "nadam": lambda model: torch.optim.NAdam(model.parameters()),
    "lbfgs": lambda model: torch.optim.LBFGS(model.parameters(), max_iter=3),
}
SCHEDULERS = {
    "step": lambda opt: rates.StepLR(opt, 2, 0.5),
    "multi step": lambda opt: rates.MultiStepLR(opt, [2, 2, 4]),
    "one cycle": lambda opt: rates.OneCycleLR(opt, 0.1, total_steps=20),
    "plateau": lambda opt: rates.ReduceLROnPlateau(opt, patience=0),
    "restarts": lambda opt: rates.CosineAnnealingWarmRestarts(opt, 3),
    "lambda": lambda opt: rates.LambdaLR(opt, lambda epoch: 0.9**epoch),
    "sequence": lambda opt: rates.SequentialLR(opt, [rates.ConstantLR(opt), rates.ExponentialLR(opt, 0.9)], [3]),
}


def step(model, opt, scheduler=None) -> None:
    def loss():
        opt.zero_grad()
        value = model(X.to(next(model.parameters()).dtype)).float().square().mean()
        value.backward()
        return value

    value = opt.step(loss)
    if isinstance(scheduler, rates.ReduceLROnPlateau):
        scheduler.step(float(value.detach()))
    elif scheduler is not None:
        scheduler.step()


def through_a_file(state: TorchState, folder: Path):
    arrays, facts = state.read()
    write_arrays(folder / "state.safetensors", arrays, facts)
    return read_arrays(folder / "state.safetensors")


def goes_on(tmp_path: Path, make, schedule=None, dtype: torch.dtype = torch.float32) -> None:
    model = net(dtype)
    opt = make(model)
    scheduler = None if schedule is None else schedule(opt)
    for _ in range(3):
        step(model, opt, scheduler)
    arrays, facts = through_a_file(TorchState.of(opt, scheduler), tmp_path)
    other = net(dtype)
    other.load_state_dict(model.state_dict())
    again = make(other)
    schedule_again = None if schedule is None else schedule(again)
    TorchState.of(again, schedule_again).write(arrays, facts)
    for _ in range(4):
        step(model, opt, scheduler)
        step(other, again, schedule_again)
    assert [group.get("lr") for group in opt.param_groups] == [group.get("lr") for group in again.param_groups]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    for mine, theirs in zip(opt.state.values(), again.state.values(), strict=True):
        for key, value in mine.items():
            if isinstance(value, torch.Tensor):
                assert value.dtype == theirs[key].dtype and torch.equal(value, theirs[key]), key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on(name, tmp_path):
    goes_on(tmp_path, OPTIMIZERS[name])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_goes_on(name, tmp_path):
    goes_on(tmp_path, lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), SCHEDULERS[name])


def test_bfloat16_goes_on(tmp_path):
    goes_on(tmp_path, OPTIMIZERS["adam"], dtype=torch.bfloat16)


class Wide(torch.optim.Optimizer):
    """Keeps a float32 master of each bfloat16 parameter."""

    def __init__(self, params) -> None:
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            value = closure()
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state.setdefault("master", parameter.float())
            state["master"] -= 1e-3 * parameter.grad.float()
            parameter.copy_(state["master"])
        return value


def test_a_state_wider_than_its_parameter_keeps_its_bits(tmp_path):
    goes_on(tmp_path, lambda model: Wide(model.parameters()), dtype=torch.bfloat16)


def test_what_is_read_is_a_copy():
    model = net()
    opt = OPTIMIZERS["adam"](model)
    step(model, opt)
    arrays, facts = TorchState.of(opt, None).read()
    before = {name: array.copy() for name, array in arrays.items()}
    text = json.dumps(facts)
    step(model, opt)
    assert all((arrays[name] == before[name]).all() for name in arrays) and json.dumps(facts) == text


def test_several_optimizers_are_one_state(tmp_path):
    model = net()
    pair = [torch.optim.Adam(model[0].parameters()), torch.optim.SGD(model[2].parameters(), lr=0.1, momentum=0.9)]
    for opt in pair:
        step(model, opt)
    arrays, facts = through_a_file(TorchState.of(pair, rates.StepLR(pair[0], 1)), tmp_path)
    fresh = [torch.optim.Adam(model[0].parameters()), torch.optim.SGD(model[2].parameters(), lr=0.1, momentum=0.9)]
    TorchState.of(tuple(fresh), [rates.StepLR(fresh[0], 1)]).write(arrays, facts)
    assert torch.equal(
        fresh[1].state[model[2].weight]["momentum_buffer"], pair[1].state[model[2].weight]["momentum_buffer"]
    )


OTHERS = {
    "another kind": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    "other parameters": lambda model: torch.optim.Adam(model[0].parameters()),
    "other groups": lambda model: torch.optim.Adam(groups(model)),
    "another shape": lambda model: torch.optim.Adam(torch.nn.Linear(9, 3).parameters()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_state_of_another_optimizer_is_refused_and_nothing_changes(name):
    model = net()
    opt = torch.optim.Adam(model.parameters())
    step(model, opt)
    arrays, facts = TorchState.of(opt, None).read()
    other = OTHERS[name](model)
    before = repr(other.state_dict())
    with pytest.raises(ModelError, match="the kept state is that of"):
        TorchState.of(other, None).write(arrays, facts)
    assert repr(other.state_dict()) == before


@pytest.mark.parametrize("spoil", ["array", "facts", "fields"])
def test_a_state_that_is_not_whole_is_refused_and_nothing_changes(spoil):
    model = net()
    opt = torch.optim.Adam(model.parameters())
    step(model, opt)
    arrays, facts = TorchState.of(opt, None).read()
    if spoil == "array":
        arrays.popitem()
    elif spoil == "facts":
        facts["states"] = [["dict", 3]]
    else:
        facts["states"] = [["dict", [["state", ["dict", []]]]]]
    before = repr(opt.state_dict())
    with pytest.raises(ModelError, match="the kept state"):
        TorchState.of(opt, None).write(arrays, facts)
    assert repr(opt.state_dict()) == before


def test_what_has_no_plain_form_is_named():
    opt = torch.optim.SGD(net().parameters(), lr=0.1)
    opt.param_groups[0]["odd"] = object()
    with pytest.raises(Unkept, match=r"0\.param_groups\.0\.odd is a object"):
        TorchState.of(opt, None).read()


def test_wrong_objects_are_refused_when_the_callback_is_made():
    with pytest.raises(CallbackArgumentError, match="optimizer must be"):
        TorchState.of(net(), None)
    with pytest.raises(CallbackArgumentError, match="scheduler must be"):
        TorchState.of(None, "step")
    opt = torch.optim.SGD(net().parameters(), lr=0.1)
    with pytest.raises(CallbackArgumentError, match="scheduler needs optimizer"):
        TorchState.of(None, rates.StepLR(opt, 1))
    assert not TorchState.of(None, None) and not TorchState.of([], ())

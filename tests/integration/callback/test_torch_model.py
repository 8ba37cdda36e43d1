"""Every kind of tensor crosses exactly and in place; judging leaves no trace in the training."""

from __future__ import annotations

import logging

import pytest
import torch

from swarm_lab.callback import SwarmCallback
from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError, ModelChangedError, ModelError
from swarm_lab.callback.torch import DTYPES, TorchModel
from swarm_lab.callback.torch_evaluation import Evaluation

LOG = logging.getLogger("test")


class Zoo(torch.nn.Module):
    """One tensor of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Linear(3, 3, bias=False)
        self.b = torch.nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight
        self.frozen = torch.nn.Parameter(torch.randn(2), requires_grad=False)
        self.bf = torch.nn.Parameter(torch.randn(5, 2).to(torch.bfloat16))
        self.fp16 = torch.nn.Parameter(torch.randn(5).half())
        self.fp64 = torch.nn.Parameter(torch.randn(2).double() / 3)
        self.turned = torch.nn.Parameter(torch.randn(4, 6).t())
        self.register_buffer("steps", torch.tensor(2**53 + 1))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("u16", torch.tensor([65535], dtype=torch.uint16))


def store(model: TorchModel) -> list[memoryview]:
    views = [memoryview(bytearray(spec.nbytes)) for spec in model.layout()]
    model.store(views)
    return views


def test_every_tensor_crosses_exactly_under_all_its_names():
    one, two = Zoo(), Zoo()
    views = store(TorchModel(one, None))
    target = TorchModel(two, None)
    names = [spec.name for spec in target.layout()]
    assert "a.weight" in names and "b.weight" in names
    assert {spec.name: (spec.dtype, spec.shape) for spec in target.layout()}["steps"] == ("I64", ())
    addresses = {name: tensor.data_ptr() for name, tensor in two.state_dict().items()}
    target.load(views)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor.view(torch.uint8) if tensor.dtype == torch.uint16 else tensor,
                           two.state_dict()[name].view(torch.uint8) if tensor.dtype == torch.uint16
                           else two.state_dict()[name]), name  # fmt: skip
        assert two.state_dict()[name].data_ptr() == addresses[name]
    assert set(DTYPES.values()) == {
        "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL",
    }  # fmt: skip


def test_wrappers_reach_neither_names_nor_copies():
    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    plain = TorchModel(inner, None).layout()
    assert TorchModel(torch.nn.DataParallel(inner), None).layout() == plain
    assert TorchModel(torch.compile(inner), None).layout() == plain
    inner[0] = torch.compile(inner[0])
    assert TorchModel(inner, None).layout() == plain
    own = torch.nn.Module()
    own.module = torch.nn.Linear(1, 1)
    assert [spec.name for spec in TorchModel(own, None).layout()] == ["module.weight", "module.bias"]


def test_the_optimizer_goes_on_with_loaded_weights():
    net = torch.nn.Linear(2, 1)
    opt = torch.optim.Adam(net.parameters())
    model = TorchModel(net, None)
    views = store(model)
    net(torch.ones(1, 2)).sum().backward()
    opt.step()
    before = net.weight.clone()
    model.load(views)
    assert not torch.equal(before, net.weight) and net.weight.requires_grad
    opt.step()
    assert opt.state[net.weight]["step"] == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_model_on_the_gpu_crosses_the_host():
    net = torch.nn.BatchNorm1d(3).cuda()
    model = TorchModel(net, None)
    views = store(model)
    other = torch.nn.BatchNorm1d(3).cuda()
    torch.nn.init.normal_(other.weight)
    target = TorchModel(other, None)
    target.layout()
    target.load(views)
    assert torch.equal(net.weight, other.weight) and other.weight.is_cuda


def test_models_that_cannot_travel_or_change_are_named():
    with pytest.raises(ModelError, match="no parameters"):
        TorchModel(torch.nn.ReLU(), None).layout()
    complex_ = torch.nn.Module()
    complex_.register_buffer("c", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(ModelError, match=r"c has the dtype torch\.complex64"):
        TorchModel(complex_, None).layout()
    with pytest.raises(ModelError, match="weight is no dense tensor"):
        TorchModel(torch.nn.Linear(2, 2, device="meta"), None).layout()
    net = torch.nn.Linear(2, 1)
    model = TorchModel(net, None)
    views = store(model)
    net.weight = torch.nn.Parameter(torch.zeros(1, 3))
    with pytest.raises(ModelChangedError, match=r"weight was F32 \[1, 2\] and is now F32 \[1, 3\]"):
        model.store(views)
    net.weight = torch.nn.Parameter(torch.zeros(1, 2))
    net.extra = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(ModelChangedError, match="extra is new"):
        model.load(views)
    del net.extra, net.bias
    with pytest.raises(ModelChangedError, match="bias is no longer"):
        model.store(views)


X = torch.randn(10, 4)
Y = torch.arange(10) % 2


def judge(net: torch.nn.Module, **given: object) -> tuple[float | None, float | None]:
    evaluation = Evaluation.of(read_arguments(given, "torch"), LOG)
    assert evaluation is not None
    return evaluation.run(net)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_is_the_mean_over_samples_whatever_the_reduction(reduction):
    net = torch.nn.Linear(4, 2)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=4)
    wanted = torch.nn.functional.cross_entropy(net(X), Y).item()
    for data in (loader, (X, Y), [X.numpy(), Y.numpy()]):
        loss, metric = judge(
            net, adsValData=data, lossFunction="CrossEntropyLoss", lossFunctionArgs={"reduction": reduction},
            metricFunction="Accuracy", metricFunctionArgs={"task": "multiclass", "num_classes": 2},
        )  # fmt: skip
        assert loss == pytest.approx(wanted, rel=1e-5)
        assert metric == pytest.approx(float((net(X).argmax(1) == Y).float().mean()))


def test_judging_changes_neither_modes_nor_random_numbers():
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(), torch.nn.Linear(4, 2))
    net[1].eval()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=4, shuffle=True)
    wrong = torch.randn(4, 9)
    state, counter = torch.get_rng_state(), int(net[1].num_batches_tracked)
    judge(net, val_data=loader, loss_function="CrossEntropyLoss")
    with pytest.raises(EvaluationError, match="RuntimeError"):
        judge(net, val_data=(wrong, Y[:4]), loss_function="CrossEntropyLoss")
    assert [module.training for module in net.modules()] == [True, True, False, True, True]
    assert torch.equal(state, torch.get_rng_state()) and counter == int(net[1].num_batches_tracked)


@pytest.mark.parametrize(
    "given",
    [
        {"val_data": (X, Y)},
        {"val_data": (X, Y), "loss_function": "CrosEntropy"},
        {"val_data": (X, Y), "loss_function": "Parameter"},
        {"val_data": (X, Y), "metric_function": "Acuracy"},
        {"val_data": (X, Y), "loss_function": "L1Loss", "loss_function_args": {"reduktion": "sum"}},
        {"val_data": [X], "loss_function": "L1Loss"},
        {"val_data": (X, Y[:3]), "loss_function": "L1Loss"},
    ],
)
def test_judging_that_cannot_work_is_refused_when_the_callback_is_made(given):
    with pytest.raises(CallbackArgumentError):
        SwarmCallback(model=torch.nn.Linear(4, 2), **given)


def test_no_samples_give_no_numbers_and_the_one_name_finds_the_framework(monkeypatch):
    assert judge(torch.nn.Linear(4, 2), val_data=(X[:0], Y[:0]), loss_function="CrossEntropyLoss") == (None, None)
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    callback = SwarmCallback(4, 2, model=torch.nn.Linear(4, 2))
    assert isinstance(callback, SwarmCallback) and not isinstance(object(), SwarmCallback)
    with pytest.raises(CallbackArgumentError, match="model must be"):
        SwarmCallback(model="net")
    with pytest.raises(CallbackArgumentError, match="PYTORCH"):
        SwarmCallback(model=torch.nn.Linear(1, 1), ml_platform="KERAS")


def test_loopback_trains_alone(monkeypatch):
    monkeypatch.setenv("SWARM_LOOPBACK", "TRUE")
    callback = SwarmCallback(model=torch.nn.Linear(1, 1))
    seen = []
    for epoch in callback.epochs(3):
        for batch in callback.batches([1, 2]):
            seen.append((epoch, batch))
            callback.on_batch_end(loss=torch.tensor(0.5))
    callback.on_train_end()
    assert len(seen) == 6 and not callback.stop_training

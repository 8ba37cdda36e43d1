"""Validation data, losses and metrics of PyTorch programs: documented names, true means, errors with their cause."""

from __future__ import annotations

import logging

import pytest
import torch

from swarm_lab.callback import SwarmCallback
from swarm_lab.callback.arguments import read_arguments
from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError
from swarm_lab.callback.torch_evaluation import Evaluation

LOG = logging.getLogger("test")
torch.manual_seed(2)
X, Y = torch.randn(11, 4), torch.arange(11) % 3
BATCHES = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=4)
CLASSES = {"task": "multiclass", "num_classes": 3}


def judge(model: torch.nn.Module, data=BATCHES, loss="CrossEntropyLoss", metric=None, **more):
    given = {"adsValData": data, "lossFunction": loss, "metricFunction": metric, **more}
    evaluation = Evaluation.of(read_arguments(given, "torch"), LOG)
    assert evaluation is not None
    return evaluation.run(model)


def net() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Linear(4, 3)


@pytest.mark.conformance("CB-35", "CB-36", "CB-37")
@pytest.mark.parametrize("arguments", [None, {}, {"reduction": "sum"}, {"reduction": "mean"}, {"reduction": "none"}])
def test_the_loss_is_a_true_mean_over_samples(arguments):
    """Batches of 4, 4 and 3; `reduction='sum'` is the documented way, every other one gives the same."""
    loss, _ = judge(net(), lossFunctionArgs=arguments)
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(net()(X), Y).item(), rel=1e-6)


def test_validation_data_stays_where_it_lies_whatever_the_default_device():
    model = net()
    wanted = judge(model, (X, Y))
    with torch.device("meta"):
        assert wanted == judge(model, (X, Y)) == judge(model, [X.numpy(), Y.numpy()])


LOSSES = {
    "MSELoss": (torch.randn(11, 3), {}),
    "L1Loss": (torch.randn(11, 3), {}),
    "SmoothL1Loss": (torch.randn(11, 3), {"beta": 0.5}),
    "BCEWithLogitsLoss": (torch.rand(11, 3).round(), {"pos_weight": torch.tensor([1.0, 2.0, 3.0])}),
    "NLLLoss": (Y, {}),
    "MultiMarginLoss": (Y, {"p": 2, "margin": 0.5}),
}


@pytest.mark.conformance("CB-36", "CB-37")
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_torch_nn_by_name(name):
    target, arguments = LOSSES[name]
    loss, _ = judge(net(), (X, target), name, lossFunctionArgs=arguments, adsValBatchSize=4)
    assert loss == pytest.approx(getattr(torch.nn, name)(**arguments)(net()(X), target).item(), rel=1e-5)


METRICS = {
    "Accuracy": {**CLASSES, "average": "micro"},
    "F1Score": {**CLASSES, "average": "macro"},
    "AUROC": CLASSES,
    "CohenKappa": CLASSES,
}


@pytest.mark.conformance("CB-38", "CB-39")
@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_torchmetrics_by_name(name):
    """Over the whole data and not as a mean of batches, and anew at each call."""
    torchmetrics = pytest.importorskip("torchmetrics")
    wanted = float(getattr(torchmetrics, name)(**METRICS[name])(net()(X), Y))
    evaluation = Evaluation.of(
        read_arguments({"val_data": BATCHES, "metric_function": name, "metric_function_args": METRICS[name]}, "torch"),
        LOG,
    )
    assert [evaluation.run(net()) for _ in range(2)] == [(None, pytest.approx(wanted, abs=1e-6))] * 2


@pytest.mark.conformance("CB-74", "CB-90")
def test_judging_leaves_no_trace_in_the_training():
    import random

    import numpy as np

    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            return X[i] * random.random() * np.random.rand() * torch.rand(1), Y[i]

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    judge(model, torch.utils.data.DataLoader(Noisy(), batch_size=2, shuffle=True))
    with pytest.raises(EvaluationError):
        judge(model, (torch.ones(3, 9), Y[:3]))
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in model.parameters()) and torch.is_grad_enabled()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.conformance("CB-14", "CB-35")
@pytest.mark.parametrize("rows", ["a pair", "a loader", "a loader that drops its last"])
def test_no_rows_give_no_numbers_and_one_warning(rows, caplog):
    empty = torch.utils.data.TensorDataset(X[:0], Y[:0])
    few = torch.utils.data.TensorDataset(X[:2], Y[:2])
    data = {
        "a pair": (X[:0], Y[:0]),
        "a loader": torch.utils.data.DataLoader(empty, batch_size=4),
        "a loader that drops its last": torch.utils.data.DataLoader(few, batch_size=4, drop_last=True),
    }[rows]
    with caplog.at_level(logging.WARNING, "test"):
        assert judge(net(), data, metric="Accuracy", metricFunctionArgs=CLASSES) == (None, None)
    assert [record.message for record in caplog.records].count(
        "the validation data has no samples: loss and metric stay unknown"
    ) == 1


class Broken(torch.utils.data.Dataset):
    """Raises at its third row."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int):
        if i == 2:
            raise OSError("disk gone")
        return X[i], Y[i]


class Names(torch.nn.Module):
    """Gives no tensor."""

    def forward(self, x):
        return {"logits": x}


RAISES = {
    "a metric that raises": (
        {"metric": "Accuracy", "metricFunctionArgs": {"task": "binary"}},
        "metric_function BinaryAccuracy raised",
    ),
    "a metric of many numbers": (
        {"metric": "Accuracy", "metricFunctionArgs": {**CLASSES, "average": "none"}},
        "metric_function MulticlassAccuracy gives 3 numbers and must give one number",
    ),
    "a loss that raises": ({"data": (X, Y.float())}, "loss_function CrossEntropyLoss raised RuntimeError"),
    "no loss at all": (
        {"loss": "Bilinear", "lossFunctionArgs": dict.fromkeys(("in1_features", "in2_features", "out_features"), 1)},
        "loss_function Bilinear raised",
    ),
    "data that raises": ({"data": torch.utils.data.DataLoader(Broken())}, "val_data raised OSError: disk gone"),
    "inputs of another shape": ({"data": (X[:, :2], Y)}, "the model raised RuntimeError"),
    "no pairs": (
        {"data": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y, Y))},
        "a batch of val_data is no pair of tensors",
    ),
    "no tensors": ({"data": torch.utils.data.DataLoader([("a", 1)])}, "a batch of val_data is no pair of tensors"),
    "a model that gives no tensor": ({"model": Names()}, "loss_function CrossEntropyLoss raised"),
}  # fmt: skip


@pytest.mark.conformance("CB-35", "CB-87")
@pytest.mark.parametrize("case", RAISES)
def test_what_raises_while_judging_is_named(case):
    given, says = RAISES[case]
    given = {"model": net(), **given}
    with pytest.raises(EvaluationError, match="SWL-609") as caught:
        judge(given.pop("model"), **given)
    assert says in str(caught.value)


REFUSED = [
    ({"adsValData": BATCHES}, "val_data needs a loss_function, a metric_function, or both"),
    ({"adsValData": X, "lossFunction": "L1Loss"}, "val_data must be a torch.utils.data.DataLoader or a pair"),
    ({"adsValData": (X, Y[:3]), "lossFunction": "L1Loss"}, "val_data has 11 inputs and 3 targets"),
    ({"adsValData": BATCHES, "lossFunction": "CrossEntropy"}, "must name a class of torch.nn; it has no CrossEntropy"),
    ({"adsValData": BATCHES, "lossFunction": "Parameter"}, "loss_function Parameter"),
    ({"adsValData": BATCHES, "metricFunction": "Acuracy"}, "must name a class of torchmetrics; it has no Acuracy"),
    ({"adsValData": BATCHES, "metricFunction": "functional"}, "metric_function"),
    ({"adsValData": BATCHES, "metricFunction": "Accuracy"}, "metric_function_args do not fit Accuracy"),
    ({"adsValData": BATCHES, "lossFunction": "L1Loss", "lossFunctionArgs": {"reduktion": "sum"}}, "do not fit L1Loss"),
    ({"adsValData": BATCHES, "lossFunction": "L1Loss", "lossFunctionArgs": "sum"}, "must be of type dict"),
]


@pytest.mark.conformance("CB-35", "CB-36", "CB-38")
@pytest.mark.parametrize(("given", "says"), REFUSED, ids=[says[:40] for _, says in REFUSED])
def test_judging_that_cannot_work_is_refused_when_the_callback_is_made(given, says, monkeypatch):
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    with pytest.raises(CallbackArgumentError) as caught:
        SwarmCallback(4, 2, model=net(), **given)
    assert says in str(caught.value)


PROGRAM = """
import torchmetrics
x, y = torch.randn(30, 4), torch.arange(30) % 3
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8)
model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
cb = SwarmCallback(syncFrequency=2, minPeers=2, model=model, adsValData=loader, lossFunction="CrossEntropyLoss",
                   lossFunctionArgs={"reduction": "sum"}, metricFunction="Accuracy",
                   metricFunctionArgs={"task": "multiclass", "num_classes": 3})
accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=3)
def score(state):
    model.load_state_dict({name: t.clone() for name, t in state.items()}); model.eval()
    with torch.no_grad(): out = model(x)
    model.train(); return float(nn.functional.cross_entropy(out, y)), float(accuracy(out, y))
def copy(): return {name: t.clone() for name, t in model.state_dict().items()}
seen = []
cb.on_train_begin(); seen.append(copy())
for i in range(4):
    nn.init.normal_(model[0].weight); seen.append(copy())
    cb.on_batch_end(); seen.append(copy())
assert model.training
cb.on_train_end(); seen.append(copy())
keep(scores=[score(state) for state in seen])
"""


@pytest.mark.conformance("CB-14", "CB-37", "CB-39", "CB-64", "CB-74")
async def test_scores_before_and_after_each_merge_are_those_of_the_models(train):
    def doubled(round_, layout, mine):
        model = bytearray(mine)
        for view in layout.views(model).values():
            view[...] *= -2
        return bytes(model)

    trained = await train(PROGRAM, doubled, interval=2)
    assert trained.exit.error is None, trained.text
    scores = [pytest.approx(one, rel=1e-5) for one in trained.kept["scores"]]
    begin, first, second, end = trained.syncs
    assert (begin.loss, begin.local_loss) == (None, None)
    assert (first.loss, first.metric) == scores[0] and (first.local_loss, first.local_metric) == scores[3]
    assert (second.loss, second.metric) == scores[4] and (second.local_loss, second.local_metric) == scores[7]
    assert (end.loss, end.metric) == scores[8] and (end.local_loss, end.local_metric) == scores[8]
    last = trained.exit.evaluated
    assert (last.loss, last.metric) == scores[9]


async def test_judging_that_fails_ends_the_program_with_what_failed(train):
    source = PROGRAM.replace('{"task": "multiclass", "num_classes": 3})', '{"task": "binary"})')
    trained = await train(source, interval=2)
    assert "EvaluationError: SWL-609: metric_function BinaryAccuracy raised" in trained.exit.error.message

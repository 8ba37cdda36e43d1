"""The constructor's arguments under their documented names and ours: what is taken, cast, refused, said."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch

import swarm_lab
from swarm_lab.callback.arguments import ARGUMENTS, read_arguments, sent_arguments
from swarm_lab.callback.documented import DEFAULT_CONTRACT
from swarm_lab.callback.errors import CallbackArgumentError, SwarmError
from swarm_lab.callback.runner import COMPAT

DATA = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(torch.randn(10, 4), torch.zeros(10, dtype=torch.long)), batch_size=4
)


@pytest.fixture
def documented(monkeypatch):
    """The class that a program of the existing product imports, without a swarm."""
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    monkeypatch.syspath_prepend(COMPAT)
    for name in [name for name in sys.modules if name.split(".")[0] in ("swarmlearning", "swarm")]:
        monkeypatch.delitem(sys.modules, name)
    from swarmlearning.pyt import SwarmCallback

    return lambda *given, **named: SwarmCallback(*given, **{"model": torch.nn.Linear(4, 2)} | named)


@pytest.fixture
def ours(monkeypatch):
    """Our own class, without a swarm."""
    monkeypatch.setenv("SWARM_LOOPBACK", "true")
    return lambda *given, **named: swarm_lab.SwarmCallback(*given, **{"model": torch.nn.Linear(4, 2)} | named)


@pytest.fixture
def heard():
    """A logger of the program's own, and what it heard."""
    logger = logging.getLogger("own")
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.records = records
    yield logger
    logger.removeHandler(handler)


def values(callback) -> dict:
    return callback._session._arguments


@pytest.mark.conformance("CB-02", "CB-12")
def test_positional_in_both(documented, ours):
    assert values(documented(5, 2))["training_contract"] == DEFAULT_CONTRACT
    assert "training_contract" not in values(ours(5, 2))
    for made in (documented(5, 2, "mine"), ours(5, 2, "mine")):
        found = {name: values(made)[name] for name in ("sync_frequency", "min_peers", "training_contract")}
        assert found == {"sync_frequency": 5, "min_peers": 2, "training_contract": "mine"}
    with pytest.raises(TypeError):
        documented(5)


@pytest.mark.conformance("CB-10", "CB-11")
@pytest.mark.parametrize("name", ["syncFrequency", "minPeers"])
@pytest.mark.parametrize("value", [1, "5", 2.9, " 7 ", np.int64(3), True])
def test_whole_numbers_are_what_int_takes(documented, ours, name, value):
    for make in (documented, ours):
        made = make(**{"syncFrequency": 9, "minPeers": 9, name: value})
        known = {"syncFrequency": "sync_frequency", "minPeers": "min_peers"}[name]
        assert values(made)[known] == int(value)


@pytest.mark.conformance("CB-10", "CB-11")
@pytest.mark.parametrize("name", ["syncFrequency", "minPeers"])
@pytest.mark.parametrize("value", [0, -1, 0.9, "", "5.5", "many", float("nan"), float("inf"), [3]])
def test_other_numbers_are_refused(documented, ours, name, value):
    for make in (documented, ours):
        with pytest.raises(CallbackArgumentError, match=name):
            make(**{"syncFrequency": 9, "minPeers": 9, name: value})


@pytest.mark.conformance("CB-10", "CB-11")
def test_none_is_refused_where_a_number_is_required(documented):
    for given in ((None, 2), (2, None)):
        with pytest.raises(CallbackArgumentError, match="not None"):
            documented(*given)


@pytest.mark.conformance("CB-05", "CB-12")
def test_a_contract_is_anything_but_none(documented, ours):
    for make in (documented, ours):
        with pytest.raises(CallbackArgumentError, match=r"trainingContract|training_contract"):
            make(3, 2, None)
        with pytest.raises(CallbackArgumentError, match="trainingContract"):
            make(syncFrequency=3, minPeers=2, trainingContract=None)
        assert values(make(3, 2, 77))["training_contract"] == "77"


@pytest.mark.conformance("CB-13")
@pytest.mark.parametrize("value", [True, False, np.True_, 1, 0])
def test_adaptive_sync_is_a_flag(documented, value):
    assert values(documented(3, 2, useAdaptiveSync=value))["use_adaptive_sync"] is bool(value)
    with pytest.raises(CallbackArgumentError, match="useAdaptiveSync"):
        documented(3, 2, useAdaptiveSync="yes")


@pytest.mark.conformance("CB-13", "CB-14")
def test_adaptive_sync_without_validation_data_is_told_what_it_lacks(documented, heard):
    documented(3, 2, useAdaptiveSync=True, logger=heard)
    assert any("nothing to adaptive sync" in r.getMessage() for r in heard.records if r.levelno == logging.WARNING)


@pytest.mark.conformance("CB-16")
def test_what_is_checked_in_at_the_end(documented):
    for word in ("inactive", "snapshot", "active"):
        assert values(documented(3, 2, checkinModelOnTrainEnd=word))["checkin_model_on_train_end"] == word
    for wrong in ("Snapshot", "ACTIVE", "", 3, "none"):
        with pytest.raises(CallbackArgumentError, match="checkinModelOnTrainEnd"):
            documented(3, 2, checkinModelOnTrainEnd=wrong)


@pytest.mark.conformance("CB-17")
def test_weights_are_from_1_to_100(documented):
    for value in (1, "50", 100, 100.9):
        assert values(documented(3, 2, nodeWeightage=value))["node_weightage"] == int(value)
    for wrong in (0, -1, 101, "heavy", float("nan")):
        with pytest.raises(CallbackArgumentError, match="nodeWeightage"):
            documented(3, 2, nodeWeightage=wrong)


@pytest.mark.conformance("CB-18")
def test_merge_methods_in_any_case(documented):
    for word in ("mean", "MEAN", "coordMedian", "GeoMedian"):
        assert values(documented(3, 2, mergeMethod=word))["merge_method"] == word.lower()
    for wrong in ("median", "", 1, "krum"):
        with pytest.raises(CallbackArgumentError, match="mergeMethod"):
            documented(3, 2, mergeMethod=wrong)


@pytest.mark.conformance("CB-19", "CB-56")
def test_the_logger_is_the_programs_own_or_one_on_stdout(documented, heard, capsys):
    assert documented(3, 2, logger=heard).logger is heard
    assert any("sync_frequency=3" in record.getMessage() for record in heard.records)
    made = documented(3, 2)
    assert made.logger.name == "SwarmCallback" and made.logger.level == logging.INFO
    assert made.logger.handlers[0].formatter._fmt == "%(asctime)s : %(name)s : %(levelname)s : %(message)s"
    made.logger.setLevel(logging.DEBUG)
    assert documented(3, 2).logger.level == logging.DEBUG
    made.logger.setLevel(logging.INFO)
    assert sum(type(handler) is logging.StreamHandler for handler in made.logger.handlers) == 1
    with pytest.raises(CallbackArgumentError, match="logger"):
        documented(3, 2, logger="x")


@pytest.mark.conformance("CB-20")
def test_epochs_in_all(documented, heard):
    assert values(documented(3, 2, totalEpochs="4"))["total_epochs"] == 4
    for wrong in (0, -1, "few"):
        with pytest.raises(CallbackArgumentError, match="totalEpochs"):
            documented(3, 2, totalEpochs=wrong)
    documented(3, 2, logger=heard, totalEpochs=2)
    assert not [record for record in heard.records if "totalEpochs" in record.getMessage()]
    made = documented(3, 2, logger=heard)
    made.on_train_begin()
    warnings = [record.getMessage() for record in heard.records if "totalEpochs" in record.getMessage()]
    assert len(warnings) == 1 and "\n" in warnings[0]


@pytest.mark.conformance("CB-20")
def test_our_own_loop_over_epochs_says_how_many(ours, heard):
    for _ in ours(3, 2, logger=heard).epochs(2):
        pass
    assert not [record for record in heard.records if "totalEpochs" in record.getMessage()]


@pytest.mark.conformance("CB-21", "CB-22", "CB-23")
def test_names_without_effect_are_said_once(documented, heard):
    names = {"mlPlatform": "Pytorch", "hfMode": "full", "maxPeers": 5}
    made = documented(3, 2, logger=heard, **names)
    lines = [record.getMessage() for record in heard.records if "not used" in record.getMessage()]
    assert len(lines) == 3 and all(any(name in line for line in lines) for name in names)
    assert not {*names, "hf_mode"} & set(values(made))


@pytest.mark.conformance("CB-03", different="an unknown argument is refused, with the nearest known name")
@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("syncFrequncy", "syncFrequency"), ("minPeer", "minPeers"), ("mergemethod", "mergeMethod"),
        ("adsValdata", "adsValData"), ("nodeWeight", "nodeWeightage"), ("lossFunctionArg", "lossFunctionArgs"),
        ("sync_freq", "sync_frequency"), ("mlPlatfrom", "ml_platform"), ("checkinModelOnTrainend", "checkinModel"),
    ],
)  # fmt: skip
def test_an_unknown_argument_is_refused_with_the_nearest(documented, ours, wrong, near):
    for make in (documented, ours):
        with pytest.raises(CallbackArgumentError, match=f"no argument '{wrong}'; did you mean {near}"):
            make(3, 2, **{wrong: 1})


@pytest.mark.conformance("CB-03", different="an unknown argument is refused, with the nearest known name")
def test_our_own_class_refuses_what_has_no_effect(ours):
    with pytest.raises(CallbackArgumentError, match="did you mean ml_platform"):
        ours(3, 2, mlPlatform="PYTORCH")


@pytest.mark.conformance("CB-06")
def test_failures_are_logged_as_errors_and_have_the_documented_class(documented, heard):
    from swarmlearning.client.swarm import SwarmError as Documented

    assert Documented is SwarmError
    with pytest.raises(Documented, match="SWL-601"):
        documented(0, 2, logger=heard)
    assert [r.levelname for r in heard.records if "syncFrequency" in r.getMessage()] == ["ERROR"]


@pytest.mark.conformance("CB-34", "CB-40", "CB-22")
def test_the_model_and_the_platform_of_pytorch(documented):
    for model in (None, "net", object()):
        with pytest.raises(SwarmError, match="model"):
            documented(3, 2, model=model)
    assert documented(3, 2, ml_platform="PYTORCH")
    for wrong in ("KERAS", "TF", "Pytorch"):
        with pytest.raises(SwarmError, match="ml_platform must be PYTORCH"):
            documented(3, 2, ml_platform=wrong)


@pytest.mark.conformance("CB-35")
@pytest.mark.parametrize("data", [(torch.randn(4, 4), torch.zeros(4)), [1, 2], "data", torch.randn(4, 4)])
def test_validation_data_of_pytorch_is_a_loader(documented, data):
    with pytest.raises(SwarmError, match=r"adsValData must be a torch\.utils\.data\.DataLoader"):
        documented(3, 2, adsValData=data, lossFunction="CrossEntropyLoss")


@pytest.mark.conformance("CB-14", "CB-36", "CB-37", "CB-38", "CB-39", "CB-55")
@pytest.mark.parametrize("reduction", [None, {"reduction": "sum"}, {"reduction": "mean"}, {}])
def test_loss_and_metric_of_a_loaded_model(documented, reduction):
    made = documented(
        3, 2, adsValData=DATA, adsValBatchSize=4, lossFunction="CrossEntropyLoss", lossFunctionArgs=reduction,
        metricFunction="Accuracy", metricFunctionArgs={"task": "multiclass", "num_classes": 2}, totalEpochs=7,
    )  # fmt: skip
    made.on_train_begin()
    made.on_epoch_end()
    merged = {"weight": np.zeros((2, 4), np.float32), "bias": np.array([np.log(3), 0], np.float32)}
    loss, metric, done, total = made.getLoss(merged)
    assert loss == pytest.approx(-np.log(0.75)) and metric == 1.0 and (done, total) == (1, 7)
    with pytest.raises(SwarmError, match="bias is missing"):
        made.getLoss({"weight": merged["weight"]})
    with pytest.raises(SwarmError, match=r"weight is F32 \[2, 4\], not F64"):
        made.getLoss({**merged, "weight": np.zeros((2, 4))})


@pytest.mark.conformance("CB-36", "CB-38")
@pytest.mark.parametrize(
    "given",
    [
        {"lossFunction": "CrosEntropy"}, {"lossFunction": 5}, {"lossFunction": "Module", "lossFunctionArgs": {"a": 1}},
        {"metricFunction": "Acuracy"}, {"lossFunction": "NLLLoss", "lossFunctionArgs": "sum"},
    ],
)  # fmt: skip
def test_functions_that_do_not_exist_are_refused(documented, given):
    with pytest.raises(SwarmError):
        documented(3, 2, adsValData=DATA, **given)


@pytest.mark.conformance("CB-15")
def test_the_batch_size_of_validation_is_a_number(documented):
    assert values(documented(3, 2, adsValBatchSize="32"))["val_batch_size"] == 32
    with pytest.raises(SwarmError, match="adsValBatchSize"):
        documented(3, 2, adsValBatchSize=0)


@pytest.mark.conformance("CB-23")
def test_there_is_no_upper_bound_on_peers(documented):
    assert not [known for known in ARGUMENTS if "max" in known.name]
    assert values(documented(3, 10**6))["min_peers"] == 10**6


@pytest.mark.conformance("CB-71")
@pytest.mark.parametrize("text", ["true", "TRUE", "True"])
def test_loopback_checks_arguments_and_does_nothing_else(documented, monkeypatch, text):
    monkeypatch.setenv("SWARM_LOOPBACK", text)
    made = documented(2, 2, totalEpochs=1)
    with pytest.raises(SwarmError):
        documented(0, 2)
    before = made._session._model._model.weight.clone()
    made.on_train_begin()
    for _ in range(5):
        made.on_batch_end()
    made.on_epoch_end(0)
    made.on_train_end()
    assert torch.equal(before, made._session._model._model.weight) and made._session.epochs == 1
    monkeypatch.setenv("SWARM_LOOPBACK", "1")
    with pytest.raises(SwarmError, match="SWL-602"):
        documented(2, 2)


@pytest.mark.conformance("CB-07")
def test_first_versions(documented, heard):
    from swarm import SwarmCallback

    given = {"min_peers": 2, "model": torch.nn.Linear(4, 2), "logger": heard, "model_name": "net"}
    made = SwarmCallback(sync_interval=8, use_adaptive_sync=False, val_batch_size=8, node_weightage=100, **given)
    assert isinstance(made, SwarmCallback) and values(made)["sync_frequency"] == 8
    assert any("model_name" in record.getMessage() for record in heard.records)


@pytest.mark.conformance("CB-07", different="`node_weightage` 0 is refused")
def test_first_versions_weight_of_nothing(documented):
    from swarm import SwarmCallback

    with pytest.raises(SwarmError, match="node_weightage"):
        SwarmCallback(sync_interval=8, min_peers=2, model=torch.nn.Linear(4, 2), node_weightage=0)


@pytest.mark.conformance("CB-46")
def test_what_is_sent_to_the_node_is_plain():
    given = {"sync_frequency": 3, "use_adaptive_sync": 1, "merge_method": "MEAN", "val_data": object()}
    sent = sent_arguments(read_arguments(given, "torch"))
    assert sent == {"sync_frequency": 3, "use_adaptive_sync": True, "merge_method": "mean"}

"""Both spellings, casts, bounds, and the nearest known name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from swarm_lab.callback import SwarmCallback
from swarm_lab.callback.arguments import ARGUMENTS, read_arguments, sent_arguments
from swarm_lab.callback.errors import CallbackArgumentError


def test_both_spellings_mean_the_same():
    camel = {
        "syncFrequency": 8, "minPeers": 2, "trainingContract": "c", "useAdaptiveSync": True, "adsValData": 1,
        "adsValBatchSize": 4, "checkinModelOnTrainEnd": "active", "nodeWeightage": 7, "mergeMethod": "GeoMedian",
        "totalEpochs": 3, "lossFunction": "L1Loss", "lossFunctionArgs": {}, "metricFunction": "Accuracy",
        "metricFunctionArgs": {},
    }  # fmt: skip
    read = read_arguments(camel, "torch")
    assert read == read_arguments(read, "torch")
    assert read["merge_method"] == "geomedian" and read["val_data"] == 1
    assert set(sent_arguments(read)) == {
        "sync_frequency", "min_peers", "training_contract", "use_adaptive_sync", "checkin_model_on_train_end",
        "node_weightage", "merge_method", "total_epochs",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "value"),
    [({"syncFrequency": "5"}, 5), ({"sync_frequency": 2.9}, 2), ({"syncFrequency": None}, None)],
)
def test_numbers_are_cast_as_documented_and_none_is_not_given(given, value):
    assert read_arguments(given, "keras").get("sync_frequency") == value


@pytest.mark.parametrize(
    "given",
    [
        {"sync_frequency": 0}, {"sync_frequency": "many"}, {"sync_frequency": float("inf")}, {"min_peers": 0},
        {"nodeWeightage": 101}, {"nodeWeightage": 0}, {"mergeMethod": "median"}, {"merge_method": 3},
        {"checkinModelOnTrainEnd": "Snapshot"}, {"totalEpochs": 0}, {"training_contract": None}, {"logger": "x"},
        {"sync_frequency": 4, "syncFrequency": 4},
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused_by_name(given):
    with pytest.raises(CallbackArgumentError, match=list(given)[-1]):
        read_arguments(given, "torch")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("syncFrequncy", "syncFrequency"), ("min_peer", "min_peers"), ("metricFunctions", "metricFunction"),
     ("node_weight", "node_weightage"), ("merge", "mergeMethod")],
)  # fmt: skip
def test_an_unknown_argument_is_refused_with_the_nearest(wrong, near):
    with pytest.raises(CallbackArgumentError, match=f"did you mean {near}"):
        read_arguments({wrong: 1}, "torch")


def test_what_belongs_to_another_platform_is_refused():
    with pytest.raises(CallbackArgumentError, match="no argument of SwarmCallback for keras"):
        read_arguments({"lossFunction": "L1Loss"}, "keras")
    with pytest.raises(CallbackArgumentError, match="TensorFlow 1"):
        read_arguments({"sess": object()}, "keras")


def test_the_class_documents_every_argument():
    for known in ARGUMENTS:
        assert f"`{known.name}`" in SwarmCallback.__doc__ or known.name == "model"
    assert read_arguments({"logger": logging.getLogger("x")}, "torch")


def test_the_page_has_every_argument_of_torch_and_keras():
    page = (Path(__file__).parents[3] / "docs" / "callback.md").read_text("utf-8")
    for known in ARGUMENTS:
        if {"torch", "keras"} & set(known.platforms):
            assert f"`{known.name}`" in page and all(f"`{other}`" in page for other in known.others[:1]), known.name

"""Nodes that do not agree are told so, with the tensor or the term and both nodes' names, before anything is merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.patients import Patient, finished

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "differing.py"


@pytest.mark.conformance("CB-18", different="nodes that disagree are refused, with both values and both nodes named")
@pytest.mark.parametrize(
    ("differ", "said"),
    [
        ("key", ["extra."]),
        ("shape", ["body.", "[4", "[5"]),
        ("dtype", ["head.", "F32", "F64"]),
        ("min_peers", ["min_peers is ", "1", "2"]),
        ("sync_frequency", ["sync_frequency is ", "4", "5"]),
        ("merge_method", ["merge_method is ", "mean", "coordmedian"]),
        ("use_adaptive_sync", ["use_adaptive_sync is "]),
    ],
)
def test_what_differs_between_nodes_is_named_before_any_merge(patient: Patient, differ: str, said: list[str]) -> None:
    training = patient.swarm.train(
        PROGRAM, data=patient.data, nodes=("sl-1", "sl-2"), min_peers=2, env={"VICTIM": "sl-2", "DIFFER": differ}
    )
    last = finished(training, limit=60)
    assert last["state"] == "failed" and all(len(r.nodes) == 1 for r in training.view.rounds), last
    refused = [end for end in training.view.failed.values() if end["code"] == "SWL-306"]
    assert refused, training.view.failed
    message = refused[0]["message"]
    for part in ("sl-1", "sl-2", *said):
        assert part in message, message

"""The Keras callback's arguments: one program, in a process of its own, tries them all."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "programs" / "keras_arguments.py"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, need) -> dict[str, Any]:
    need("python:keras")
    path = tmp_path_factory.mktemp("keras") / "answers.json"
    variables = {
        "SWARM_LOOPBACK": "true",
        "ANSWERS": str(path),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-m", "swarm_lab.callback.runner", str(PROGRAM)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=100, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(path.read_text())


@pytest.mark.conformance("CB-01", "CB-32", "CB-56")
def test_it_is_a_keras_callback_without_a_model_argument(answers):
    assert answers["kinds"] == [True, True, True] and answers["logger"] == "SwarmCallback"


@pytest.mark.conformance("CB-02", "CB-05", "CB-10", "CB-17", "CB-18")
def test_arguments_of_all_platforms(answers):
    assert answers["plain"] == answers["names"] == "made" and answers["missing"] == "TypeError"
    assert "trainingContract" in answers["contract"] and "syncFrequency" in answers["zero"]


@pytest.mark.conformance("CB-03", different="an unknown argument is refused, with the nearest known name")
def test_unknown_arguments(answers):
    assert "did you mean mergeMethod" in answers["unknown"] and "no argument" in answers["loss"]


@pytest.mark.conformance("CB-21", "CB-22", "CB-30")
def test_platforms_of_keras(answers):
    assert answers["keras"] == answers["ignored"] == "made" and "KERAS" in answers["pytorch"]


@pytest.mark.conformance("CB-31", different="refused, with a message: there is no graph mode any more")
def test_graph_mode_is_refused(answers):
    for name in ("tf", "graph", "session"):
        assert "graph mode" in answers[name], name


@pytest.mark.conformance("CB-33", "CB-55", "CB-65")
def test_forms_of_validation_data(answers):
    half = round(math.log(2), 4)
    assert answers["pair"] == answers["dataset"] == [half, 1.0, 1, 3]
    assert answers["weighted"][1] in (0.5, 1.0)
    assert answers["no metric"] == [half, None, 1, 3]


@pytest.mark.conformance("CB-71")
def test_loopback_trains(answers):
    assert answers["trained"]

"""Runs the checks of the Keras side in processes of their own: on TensorFlow, and what may differ on PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MARK = "markers=conformance(*ids, different=None): as in tests/conftest.py"
# On PyTorch a Keras model is a torch module as well: its tensors and its judging go other ways.
ON_TORCH = "(every_bit and bfloat16) or running_metrics"


@pytest.mark.parametrize(("backend", "chosen"), [("tensorflow", ""), ("torch", ON_TORCH)])
def test_the_keras_side_in_a_process_of_its_own(need, backend, chosen):
    need("python:keras", f"python:{backend}")
    checks = sorted(map(str, Path(__file__).parent.glob("keras_*_checks.py")))
    options = ["-q", "-p", "no:cacheprovider", "--noconftest", "-o", MARK, "-W", "ignore", "-k", chosen]
    command = [sys.executable, "-m", "pytest", *options, *checks]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stdout[-8000:]

"""Runs the checks of the Keras side in a process without PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_keras_side_in_a_process_of_its_own(need):
    need("python:keras")
    checks = Path(__file__).with_name("keras_model_checks.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", str(checks)]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stdout[-8000:]

"""Runs the checks of the Keras side in a process without PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MARK = "markers=conformance(*ids, different=None): as in tests/conftest.py"


def test_the_keras_side_in_a_process_of_its_own(need):
    need("python:keras")
    checks = sorted(map(str, Path(__file__).parent.glob("keras_*_checks.py")))
    options = ["-q", "-p", "no:cacheprovider", "--noconftest", "-o", MARK, "-W", "ignore"]
    command = [sys.executable, "-m", "pytest", *options, *checks]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110, env=environment)
    assert done.returncode == 0, done.stdout[-8000:]

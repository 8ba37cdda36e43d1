"""What a swarm is compared with: the same program without a swarm, on each node's data alone and on all of it."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Framework = Literal["torch", "keras"]
PROGRAMS = Path(__file__).parent / "programs"


def program(framework: Framework, kind: Literal["alone", "swarm"]) -> Path:
    """The demo's program: `alone` is the plain one, `swarm` the same with the lines that make it a swarm program."""
    return PROGRAMS / f"{framework}_{kind}.py"


def train_alone(framework: Framework, data: Path, seed: int) -> Any:
    """Run the plain program in this process on the folder `data`; returns its trained model."""
    return run_alone(program(framework, "alone"), data, seed=seed)["model"]


def run_alone(program: Path | str, data: Path | str, *, seed: int = 0, **variables: str) -> dict[str, Any]:
    """Run a program in this process, unchanged but without a swarm, on the folder `data`; returns its global names.

    A swarm program runs with `SWARM_LOOPBACK=true`: its callback does nothing. `variables` are those of `-e`. What it
    prints is dropped; what it raises is raised. Folders that it asks for by MODEL_DIR and SCRATCH_DIR last as long as
    it runs.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.clear_session()  # else a second model's variables are called `dense_2`, and no node's are
    with (
        tempfile.TemporaryDirectory(prefix="swarm-lab-") as scratch,
        _environment(
            DATA_DIR=str(data),
            MODEL_DIR=scratch,
            SCRATCH_DIR=scratch,
            SWARM_SEED=str(seed),
            SWARM_LOOPBACK="true",
            **variables,
        ),
        _one_thread(),
        _no_native_log(),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        # What some libraries say of every notebook without ipywidgets; a program has no use for a progress bar here.
        warnings.filterwarnings("ignore", message="IProgress not found")
        return runpy.run_path(str(program), run_name="__main__")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Models this small learn faster on one thread, many times so where other processes need the cores as well."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _no_native_log() -> Iterator[None]:
    """TensorFlow writes past Python what it thinks of the CPU, and in a notebook that would stand in the cell."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

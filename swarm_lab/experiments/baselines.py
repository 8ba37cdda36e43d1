"""What a swarm is compared with: the same program without a swarm, on each node's data alone and on all of it."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
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
    if framework == "keras":
        import keras

        keras.utils.clear_session()  # else a second model's variables are called `dense_2`, and no node's are
    with (
        _environment(DATA_DIR=str(data), SWARM_SEED=str(seed)),
        _one_thread(framework),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        return runpy.run_path(str(program(framework, "alone")))["model"]


@contextlib.contextmanager
def _one_thread(framework: Framework) -> Iterator[None]:
    """Models this small learn faster on one thread, many times so where other processes need the cores as well."""
    if framework != "torch":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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

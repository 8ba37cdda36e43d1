"""Runs one program: seeds, threads, import path, and the report when it raises.

`python -m swarm_lab.callback.runner PROGRAM [ARGUMENT...]` in a fresh process; a warm seat calls `run` after its fork.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import runpy
import sys
import traceback
from pathlib import Path
from types import TracebackType

from swarm_lab.callback.errors import NodeGoneError, SwarmError
from swarm_lab.callback.link import VARIABLE, Link, keep_link
from swarm_lab.callback.messages import Failed

MAX_TRACEBACK = 64 * 1024
MAX_MESSAGE = 4 * 1024
PACKAGE = str(Path(__file__).resolve().parent)
COMPAT = str(Path(__file__).resolve().parents[1] / "compat")


def warm_up(framework: str) -> None:
    """Import what a program of this framework imports first; compute nothing, so that a fork is still possible."""
    if framework == "torch":
        importlib.import_module("torch")
        importlib.import_module("torch._dynamo")  # the optimizers import it at their first step: seconds
        importlib.import_module("swarm_lab.callback.torch")
        with contextlib.suppress(ImportError):
            importlib.import_module("torchmetrics")  # what judges merged models; two seconds more in every process
    elif framework == "keras":
        backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if backend in ("tensorflow", "torch"):
            importlib.import_module(backend)
        importlib.import_module("swarm_lab.callback.keras")
    elif framework == "sklearn":
        for name in ("linear_model", "neural_network", "cluster", "metrics", "preprocessing"):
            importlib.import_module(f"sklearn.{name}")


def prepare(framework: str, seed: int | None, threads: int | None) -> None:
    """Seed every generator of the process and bound the framework's threads.

    The hash seed of Python is the interpreter's and cannot be set here: seats and cold programs start with
    `PYTHONHASHSEED=0`.
    """
    if seed is not None:
        random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        # Without a seed too: forked children would else all go on with their parent's state.
        numpy.random.seed(None if seed is None else seed % 2**32)
    if framework == "torch":
        torch = sys.modules["torch"]
        if threads is not None:
            torch.set_num_threads(threads)
        if seed is not None:
            torch.manual_seed(seed)
    elif framework == "keras":
        if threads is not None and (tensorflow := sys.modules.get("tensorflow")) is not None:
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        elif threads is not None and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        if seed is not None:
            sys.modules["keras"].utils.set_random_seed(seed % 2**32)
    elif framework == "sklearn" and threads is not None:
        sys.modules["threadpoolctl"].threadpool_limits(threads)


def run(program: str, arguments: list[str]) -> int:
    """Run the program as `__main__` in this process; returns its exit status.

    The environment says the rest: SWARM_LINK, SWARM_FRAMEWORK, SWARM_SEED, OMP_NUM_THREADS.
    """
    path = os.path.abspath(program)
    link = _connect()
    framework = os.environ.get("SWARM_FRAMEWORK", "")
    sys.argv = [path, *arguments]
    # After the program's own folder and before everything installed: names of the existing product mean this one.
    sys.path[:0] = [os.path.dirname(path), COMPAT]
    _plain_streams()
    try:
        warm_up(framework)
        prepare(framework, _number("SWARM_SEED"), _number("OMP_NUM_THREADS"))
        runpy.run_path(path, run_name="__main__")
    except SystemExit as leaving:
        return _status(leaving)
    except BaseException as error:  # noqa: BLE001 - the one place where a program's own failure is reported
        report(link, error, path)
        return 1
    return 0


def report(link: Link | None, error: BaseException, path: str) -> None:
    """Send the failure to the node; on stderr only when there is no node that hears it, so that it is shown once."""
    failed = describe(error, path)
    try:
        if link is None:
            raise NodeGoneError("no link")
        link.send(failed)
    except SwarmError:
        sys.stderr.write(failed.traceback)


def describe(error: BaseException, path: str) -> Failed:
    """The failure in the program's own terms: its frames, and the innermost line of the program's file."""
    frames = _own_frames(error.__traceback__, path, trim=isinstance(error, SwarmError))
    lines = [frame.lineno for frame in frames if frame.filename == path and frame.lineno]
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        lines = [error.lineno]
    whole = traceback.TracebackException(type(error), error, error.__traceback__)
    whole.stack = traceback.StackSummary.from_list(frames)
    if isinstance(error, SwarmError):
        whole.__cause__ = whole.__context__ = None
    text = "".join(whole.format())
    return Failed(
        type=type(error).__name__,
        message=str(error)[:MAX_MESSAGE],
        traceback=text if len(text) <= MAX_TRACEBACK else text[:2048] + "\n...\n" + text[-(MAX_TRACEBACK - 4096) :],
        line=lines[-1] if lines else 0,
        code=error.code if isinstance(error, SwarmError) else "",
        next=error.next_step if isinstance(error, SwarmError) else "",
    )


def _own_frames(found: TracebackType | None, path: str, *, trim: bool) -> list[traceback.FrameSummary]:
    frames = list(traceback.extract_tb(found))
    first = next((i for i, frame in enumerate(frames) if frame.filename == path), len(frames))
    own = frames[first:]
    while trim and own and own[-1].filename.startswith(PACKAGE):
        own.pop()
    return own


def _connect() -> Link | None:
    if not (socket_path := os.environ.get(VARIABLE)):
        return None
    link = Link.connect(socket_path)
    keep_link(link)
    return link


def _plain_streams() -> None:
    """Output is seen line by line as it is written; a warm seat's streams were its parent's until now."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open(  # noqa: SIM115 - it lives as long as the process
            descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else None


def _status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code
    sys.stderr.write(f"{leaving.code}\n")
    return 1


def main(argv: list[str]) -> int:
    """Run a program in this fresh process."""
    return run(argv[1], argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv))

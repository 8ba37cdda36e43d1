"""How a program is started: what it is given, its environment, and the cold way, a fresh interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from swarm_lab.callback.link import VARIABLE
from swarm_lab.callback.messages import Platform
from swarm_lab.errors import ProgramNotStarted
from swarm_lab.facts.process import SWARM_VARIABLE

# What a program may see of the node's environment: nothing that could be a secret.
ALLOWED = frozenset(
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR LD_LIBRARY_PATH DYLD_LIBRARY_PATH VIRTUAL_ENV PYTHONPATH "
    "SSL_CERT_FILE SSL_CERT_DIR KERAS_HOME KERAS_BACKEND TORCH_HOME HF_HOME HF_HUB_OFFLINE XDG_CACHE_HOME "
    f"MPLCONFIGDIR SWARM_LOOPBACK SWARM_SYNC_CADENCE {SWARM_VARIABLE}".split()
)
ALLOWED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "MKL_", "TF_", "XLA_", "NCCL_")


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """One program to run.

    `directory` becomes its working directory; `link` is the socket that it will connect to (at most 100 bytes of
    path, in a directory of mode 0700); `output` takes its stdout and stderr; `record` its pid and start time.
    `variables` are DATA_DIR, MODEL_DIR, SCRATCH_DIR and the user's `-e` values; `seed` this node's own.
    """

    program: Path
    directory: Path
    link: Path
    output: Path
    record: Path
    framework: Platform
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    threads: int | None = None

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Everything the program gets: what is allowed of `inherited`, the variables, and what the link needs."""
        environment = allowed(inherited) | dict(self.variables)
        environment |= {
            VARIABLE: str(self.link),
            "SWARM_FRAMEWORK": self.framework,
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
        }
        if self.framework == "keras":
            environment.setdefault("KERAS_BACKEND", "tensorflow")
            environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if self.seed is not None:
            environment["SWARM_SEED"] = str(self.seed)
        if self.threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(self.threads))
        return environment


def allowed(inherited: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a program may see."""
    return {name: value for name, value in inherited.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}


class Process(Protocol):
    """A started program, the leader of its own session."""

    pid: int

    async def wait(self) -> int | None:
        """Exit status, negative for a signal; None when nobody could know it."""

    def signal(self, number: signal.Signals) -> None:
        """Signal the program and what it started; nothing happens when it has ended."""


Start = Callable[[ProgramSpec, Mapping[str, str], int, int], Awaitable[Process]]


class ColdProcess:
    """A program in an interpreter of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def wait(self) -> int | None:
        """Exit status, negative for a signal."""
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group while its leader has not been waited for."""
        if self._process.returncode is None:
            signal_group(self.pid, number)


async def start_cold(spec: ProgramSpec, environment: Mapping[str, str], stdout: int, stderr: int) -> ColdProcess:
    """Start a fresh interpreter; raises ProgramNotStarted."""
    command = (sys.executable, "-m", "swarm_lab.callback.runner", str(spec.program), *spec.arguments)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=spec.directory,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ProgramNotStarted(f"{spec.program} could not be started: {error}") from error
    return ColdProcess(process)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that `pid` leads; the caller knows that the pid is still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def end_session(pid: int) -> None:
    """Kill what an ended program left behind in its session (data loaders, its own children)."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if process.pid != pid and os.getsid(process.pid) == pid:
                process.kill()

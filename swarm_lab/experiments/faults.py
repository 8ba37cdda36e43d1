"""Hurts a node on purpose: pauses it, slows it, kills it, or ends that. What is done lies in the swarm's folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Literal, get_args

import psutil

from swarm_lab.errors import NotHurt
from swarm_lab.experiments import brake
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import SWARM_VARIABLE, ProcessRecord, read_record

Kind = Literal["pause", "slow", "kill", "resume"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PAUSE_S = 30.0
SLOW_S = 60.0
DELAY_MS = 200
MAX_S = 3600.0
_BEGIN_S = 15.0
_END_S = 5.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Fault:
    """What is being done to a node. Times are unix seconds; `delay_ms` is for how long it stands still at a time."""

    kind: Literal["pause", "slow"]
    since: float
    until: float
    delay_ms: int
    helper: ProcessRecord

    @property
    def lasts(self) -> bool:
        """Whether it still goes on."""
        return self.helper.alive


def hurt(
    paths: SwarmPaths, node: str, kind: Kind, *, seconds: float | None = None, delay_ms: int | None = None
) -> Fault | None:
    """Do it; what was being done to the node before ends first. Raises `NotHurt` for a node that does not run.

    `pause` and `slow` go on by themselves for `seconds`; the fault that has begun is returned.
    """
    record = read_record(paths.process(node))
    if record is None or not record.alive:
        raise NotHurt(f"{node} does not run")
    resume(paths, node)
    if kind == "kill":
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGKILL)
        return None
    if kind == "resume":
        return None
    lasts = min(seconds or (PAUSE_S if kind == "pause" else SLOW_S), MAX_S)
    return _begin(paths, node, kind, lasts, delay_ms or DELAY_MS)


def resume(paths: SwarmPaths, node: str) -> None:
    """End what is being done to a node, also where the helper was killed: the node goes on."""
    found = active(paths, node)
    if found is not None:
        helper = found.helper.process()
        if helper is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                helper.terminate()
                helper.wait(_END_S)
    brake.told_at(paths.root, node).unlink(missing_ok=True)
    brake.send(paths.node(node), signal.SIGCONT)


def active(paths: SwarmPaths, node: str) -> Fault | None:
    """What is being done to a node now."""
    try:
        said = json.loads(brake.told_at(paths.root, node).read_text("utf-8"))
        helper = ProcessRecord(int(said["pid"]), float(said["start_time"]))
        fault = Fault(said["kind"], float(said["since"]), float(said["until"]), int(said["delay_ms"]), helper)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return fault if fault.lasts else None


def hurt_nodes(paths: SwarmPaths) -> dict[str, Fault]:
    """What is being done to which nodes of a swarm."""
    names = [path.stem for path in (paths.root / "faults").glob("*.json")]
    return {name: fault for name in names if (fault := active(paths, name)) is not None}


def resume_all(paths: SwarmPaths) -> None:
    """End what is being done to any node: one that stands still would not hear that it is to end."""
    for node in hurt_nodes(paths):
        resume(paths, node)


def _begin(paths: SwarmPaths, node: str, kind: Literal["pause", "slow"], seconds: float, delay_ms: int) -> Fault:
    command = [sys.executable, "-m", brake.__name__, str(paths.root), node, kind, str(seconds), str(delay_ms)]
    # Marked as a process of the swarm: `down` ends it with the rest.
    helper = subprocess.Popen(
        command,
        env={**os.environ, SWARM_VARIABLE: str(paths.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    threading.Thread(target=_reap, args=(helper, seconds), name=f"swarm-lab {kind} {node}", daemon=True).start()
    until = time.monotonic() + _BEGIN_S
    while (fault := active(paths, node)) is None:
        if helper.poll() is not None or time.monotonic() > until:
            helper.terminate()
            raise NotHurt(f"{node} cannot be held up: the helper ended with {helper.poll()}")
        time.sleep(_LOOK_S)
    return fault


def _reap(helper: subprocess.Popen[bytes], seconds: float) -> None:
    """Leave no zombie of it; it ends by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        helper.wait(seconds + MAX_S)

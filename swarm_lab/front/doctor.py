"""What may be wrong with a swarm: checks with a next step each, and one file of logs without keys, to send around."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.causes import Cause, cause_of
from swarm_lab.facts.events import fold, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.front.launch import installed_framework
from swarm_lab.front.status import READY, SwarmStatus, last_words, status_of
from swarm_lab.provision.local import LocalNodes
from swarm_lab.provision.ports import held_by, is_free, port_of

_LEAST_FREE = 1024**3
_TAIL = 2 * 1024**2
# Everything else in a node's directory may hold a key or somebody's data.
_COLLECTED = ("state.json", "process.json", "config.json", "log.jsonl", "log.jsonl.1")


class Check(BaseModel):
    """One check: what was looked at, whether it is well, what was seen and what to do."""

    check: str
    ok: bool
    message: str
    next: str = ""


class Report(BaseModel):
    """All checks; `ok` if each is. `cause`: why the last training failed. `bundle`: path of the collected logs."""

    swarm: str
    ok: bool
    cause: Cause | None = None
    checks: list[Check]
    bundle: str | None = None


Examine = Callable[["_Case"], Iterator[Check]]


class _Case:
    """What the checks look at, asked once."""

    def __init__(self, paths: SwarmPaths, facts: SwarmFacts) -> None:
        self.paths = paths
        self.facts = facts
        self.nodes = LocalNodes(paths, facts)
        self.status: SwarmStatus = status_of(paths, facts)
        self.running = self.nodes.running


def examine(paths: SwarmPaths, facts: SwarmFacts, *, bundle: bool = True) -> Report:
    """Run every check; a check that fails itself is one that is not well."""
    case = _Case(paths, facts)
    checks = [check for look in _CHECKS for check in look(case)]
    packed = str(_pack(case, checks)) if bundle else None
    last = list(fold(read(paths.root)).values())[-1:]
    cause = cause_of(last[0]) if last else None
    ok = all(check.ok for check in checks)
    return Report(swarm=facts.name, ok=ok, cause=cause, checks=checks, bundle=packed)


def _supervisor(case: _Case) -> Iterator[Check]:
    orphans = case.nodes.orphans()
    if orphans:
        text = f"the supervisor is gone and {len(orphans)} processes run on"
        yield Check(check="supervisor", ok=False, message=text, next="`swarm-lab down`, or `up`, ends them")
    else:
        text = "runs" if case.running else "the swarm is down"
        yield Check(check="supervisor", ok=True, message=text)


def _ports(case: _Case) -> Iterator[Check]:
    for node, address in case.facts.ports.items():
        port = port_of(address)
        mine = any(found.name == node and found.pid for found in case.status.nodes)
        if not mine and not is_free(port):
            text = f"port {port} of {node} is held by {held_by(port)}"
            yield Check(check="ports", ok=False, message=text, next="end that process before the next `up`")
            return
    yield Check(check="ports", ok=True, message=f"{len(case.facts.ports)} ports are the swarm's own or free")


def _disk(case: _Case) -> Iterator[Check]:
    free = shutil.disk_usage(case.paths.root).free
    ok = free > _LEAST_FREE
    yield Check(
        check="disk",
        ok=ok,
        message=f"{free / 1024**3:.1f} GB free at {case.paths.root}",
        next="" if ok else "free some space: checkpoints and the journal need it",
    )


def _sockets(case: _Case) -> Iterator[Check]:
    missing = [
        name
        for name in ("supervisor.sock", "workload.sock", "operator.sock")
        if case.running and not (case.facts.run_dir / name).is_socket()
    ]
    yield Check(
        check="sockets",
        ok=not missing,
        message=f"{', '.join(missing)} missing in {case.facts.run_dir}" if missing else str(case.facts.run_dir),
        next="`swarm-lab restart identity`" if missing else "",
    )


def _clock(case: _Case) -> Iterator[Check]:
    latest = max((path.stat().st_mtime for path in case.paths.nodes.glob("*/state.json")), default=0.0)
    behind = latest - time.time()
    yield Check(
        check="clock",
        ok=behind < 60,
        message="goes forward" if behind < 60 else f"is {behind:.0f} s behind the swarm's own files",
        next="" if behind < 60 else "set the clock: identities and licenses depend on it",
    )


def _memory(_case: _Case) -> Iterator[Check]:
    free = psutil.virtual_memory().available
    ok = free > _LEAST_FREE // 2
    yield Check(check="memory", ok=ok, message=f"{free / 1024**3:.1f} GB free", next="" if ok else "fewer seats")


def _framework(_case: _Case) -> Iterator[Check]:
    try:
        yield Check(check="framework", ok=True, message=f"{installed_framework()} is installed")
    except SwarmLabError as error:
        yield Check(check="framework", ok=False, message=error.message, next=error.next_step)


def _license(_case: _Case) -> Iterator[Check]:
    from swarm_lab.licensing.commands import ShowOptions, show

    try:
        found = show(ShowOptions())
    except SwarmLabError as error:
        yield Check(check="license", ok=False, message=error.message, next=error.next_step)
        return
    expired = bool(found.get("expired"))
    text = f"{found.get('id')} of {found.get('holder')}" + (", expired" if expired else "")
    yield Check(check="license", ok=not expired, message=text, next="install another one" if expired else "")


def _isolation(case: _Case) -> Iterator[Check]:
    levels = {str(node.extra.get("isolation")) for node in case.status.nodes if node.extra.get("isolation")}
    text = ", ".join(sorted(levels)) or "programs are processes of the same user: safe against accidents only"
    yield Check(check="isolation", ok=True, message=text)


def _nodes(case: _Case) -> Iterator[Check]:
    for node in case.status.nodes:
        ok = node.state in READY or not case.running
        words = node.message or ("" if ok else last_words(case.paths.log(node.name)))
        yield Check(
            check=f"node {node.name}",
            ok=ok,
            message=node.state + (f": {words}" if words else ""),
            next="" if ok else f"`swarm-lab logs {node.name}`, then `swarm-lab restart {node.name}`",
        )


def _trainings(case: _Case) -> Iterator[Check]:
    for training in case.status.trainings[-3:]:
        ok = training.state != "failed" and not training.waiting
        words = "; ".join(f"{node}: {text}" for node, text in training.failed.items())
        waits = "; ".join(f"{node} waits: {said.get('reason')}" for node, said in training.waiting.items())
        text = f"{training.state}, round {training.round}" + (f": {words or waits}" if words or waits else "")
        yield Check(check=f"training {training.id}", ok=ok, message=text, next="" if ok else "see the nodes' logs")


_CHECKS: tuple[Examine, ...] = (
    _supervisor,
    _ports,
    _disk,
    _sockets,
    _clock,
    _memory,
    _framework,
    _license,
    _isolation,
    _nodes,
    _trainings,
)


def _pack(case: _Case, checks: list[Check]) -> Path:
    """Collect states, the ends of logs and events into one archive, readable by its owner."""
    folder = case.paths.root / "bundles"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f"{case.facts.name}-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz"
    names = [case.paths.swarm, case.paths.events, case.paths.root / "supervisord.log"]
    names += [case.paths.node(node.name) / name for node in case.facts.nodes for name in _COLLECTED]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name in names:
            if name.is_file():
                _put(archive, str(name.relative_to(case.paths.root)), _end(name))
        _put(archive, "doctor.json", json.dumps([check.model_dump() for check in checks], indent=1).encode())
        _put(archive, "status.json", case.status.model_dump_json(indent=1).encode())
    return path


def _end(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read()


def _put(archive: Any, name: str, content: bytes) -> None:
    import io

    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mtime = int(time.time())
    archive.addfile(info, io.BytesIO(content))

"""The status of a swarm: its facts, what the supervisor sees and what the nodes say, merged into one answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from swarm_lab.facts.events import fold, read
from swarm_lab.facts.measures import latest
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import Look, look, look_at, read_record
from swarm_lab.facts.state import NodeState, read_state
from swarm_lab.facts.swarm import NodeFacts, SwarmFacts
from swarm_lab.facts.views import TrainingView
from swarm_lab.nodes.config import ROLES
from swarm_lab.provision.local import LocalNodes
from swarm_lab.provision.supervisor import ProgramInfo

# Start times count in clock ticks from the boot: they may lie a little after the file that the process wrote.
_CLOCK_S = 0.5

READY = frozenset({"ready", "training"})

Programs = Mapping[str, ProgramInfo]


class NodeStatus(BaseModel):
    """One node. `since` is unix seconds; `seat` is how an SL's programs start (warm or cold, memory).

    `phase` of an SL is where it is in its training, or how its last one ended, since `phase_since` in unix seconds;
    `round` the one that it works for, `waiting_for` the nodes that it has waited for longer than a second.
    """

    name: str
    kind: str
    state: str
    host: str
    address: str
    spiffe_id: str | None
    seat: Any = None
    pid: int | None = None
    message: str = ""
    since: float | None = None
    phase: str | None = None
    phase_since: float | None = None
    round: int | None = None
    waiting_for: list[str] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)


class TrainingStatus(BaseModel):
    """One training. `metrics` are by node the latest loss and metric of a merged model, at the end of the final one,
    and local_loss and local_metric of the node's own model before the last merge; all on the node's validation data.
    """

    id: str
    state: str
    round: int
    nodes: list[str]
    merge: str
    metrics: dict[str, Any]
    min_peers: int
    sync: int
    adaptive: bool = False
    early_stopping: int = 0
    program: str
    digest: str | None = None
    model: str | None = None
    waiting: dict[str, Any] = Field(default_factory=dict)
    failed: dict[str, str] = Field(default_factory=dict)
    lost: dict[str, Any] = Field(default_factory=dict)
    without: dict[str, str] = Field(default_factory=dict)


class SwarmStatus(BaseModel):
    """A swarm: `state` is the worst of what its nodes say, in one word."""

    swarm: str
    state: str
    nodes: list[NodeStatus]
    trainings: list[TrainingStatus]
    framework: str = ""
    directory: str = ""
    message: str = ""


def status_of(paths: SwarmPaths, facts: SwarmFacts) -> SwarmStatus:
    """Ask and merge; never waits for a node."""
    return status_from(paths, facts, programs_of(paths, facts), fold(read(paths.root)).values())


def programs_of(paths: SwarmPaths, facts: SwarmFacts) -> Programs | None:
    """The supervisor's word on each node's process, None when it does not answer."""
    return LocalNodes(paths, facts).programs()


def status_from(
    paths: SwarmPaths,
    facts: SwarmFacts,
    programs: Programs | None,
    views: Iterable[TrainingView],
    held: Collection[str] = (),
) -> SwarmStatus:
    """The status from what the caller has asked the supervisor and has folded already; reads the nodes' own words.

    Nodes in `held` are stopped and let go on purpose: that they stand still now and then is no word about them.
    """
    nodes = [_node(paths, facts, node, programs, node.name in held) for node in _shown(facts)]
    trainings = [training_status(view) for view in views]
    return SwarmStatus(
        swarm=facts.name,
        state=_swarm_state(nodes, programs is not None),
        nodes=nodes,
        trainings=trainings,
        framework=facts.framework,
        directory=str(paths.root),
        message="" if programs is not None or not any(n.pid for n in nodes) else "its supervisor is gone",
    )


def training_status(view: TrainingView) -> TrainingStatus:
    """A training's view as the answer has it."""
    return TrainingStatus(
        id=view.id,
        state=view.state,
        round=view.round,
        nodes=view.nodes,
        merge=view.merge,
        metrics=latest(view),
        min_peers=view.min_peers,
        sync=view.sync,
        adaptive=view.adaptive,
        early_stopping=view.early_stopping,
        program=view.program,
        digest=view.model_digest,
        model=view.model,
        waiting={} if view.over else view.waiting,
        failed={node: str(said.get("message", "")) for node, said in view.failed.items()},
        lost={} if view.over else view.lost,
        without=view.without,
    )


def last_words(log: Path) -> str:
    """The line of a node's log that says most: its last error, else its last line."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()[-200:]
    except FileNotFoundError:
        return ""
    errors = [found for line in lines if (found := _error_in(line))]
    return (errors or [line for line in lines if line.strip()] or [""])[-1][:500]


def _shown(facts: SwarmFacts) -> list[NodeFacts]:
    order = ("license", "identity", "chain", "sentinel", "sn", "sl")
    return [node for kind in order for node in facts.of_kind(kind)]


def _node(paths: SwarmPaths, facts: SwarmFacts, node: NodeFacts, programs: Programs | None, held: bool) -> NodeStatus:
    pid, process = _process(paths, node.name, programs)
    said = _word(paths.state(node.name), pid, process)
    state, message = _state(said, pid, None if programs is None else programs.get(node.name))
    if process is not None and process.frozen and not held:
        state, message = "degraded", f"frozen: process {pid} is stopped; `kill -CONT {pid}` lets it go on"
    role = ROLES.get(node.kind)
    extra = dict(said.extra) if said is not None else {}
    seat = extra.pop("seat", None)
    phase, since, round_, waiting_for = (
        extra.pop(key, None) for key in ("phase", "phase_since", "round", "waiting_for")
    )
    if node.kind == "sl" and seat is None:
        seat = "cold" if facts.cold else "warm"
    return NodeStatus(
        name=node.name,
        kind=node.kind,
        state=state,
        host=node.host,
        address=node.address or str(facts.run_dir / "workload.sock"),
        spiffe_id=f"spiffe://{facts.trust_domain}/{role}/{node.name}" if role else None,
        seat=seat,
        pid=pid,
        message=message,
        since=said.since if said is not None else None,
        phase=phase,
        phase_since=since,
        round=round_,
        waiting_for=waiting_for or [],
        extra=extra,
    )


def _process(paths: SwarmPaths, name: str, programs: Programs | None) -> tuple[int | None, Look | None]:
    """The pid, by the supervisor or else by the node's record, and the process that runs under it."""
    info = programs.get(name) if programs is not None else None
    if info is not None and info.pid:
        return info.pid, look(info.pid)
    record = read_record(paths.process(name))
    found = None if record is None else look_at(record)
    return (None, None) if found is None else (found.pid, found)


def _word(path: Path, pid: int | None, process: Look | None) -> NodeState | None:
    """What the node says of itself; not what it said before it was started again."""
    try:
        written = path.stat().st_mtime
    except FileNotFoundError:
        return None
    if pid is not None and (process is None or written < process.start_time - _CLOCK_S):
        return None
    return read_state(path)


def _state(said: NodeState | None, pid: int | None, info: ProgramInfo | None) -> tuple[str, str]:
    if pid is None:
        if info is None or info.state == "STOPPED":
            return "stopped", ""
        word = said.message if said is not None and said.state == "failed" else info.said
        return ("failed", word) if info.state == "FATAL" else ("starting", f"is started again: {word}")
    if said is None:
        return "starting", ""
    return said.state, said.message


def _swarm_state(nodes: list[NodeStatus], supervised: bool) -> str:
    states = {node.state for node in nodes}
    if states == {"stopped"}:
        return "stopped"
    if not supervised or states & {"failed", "degraded", "stopped"}:
        return "degraded"
    for state in ("starting", "waiting", "training"):
        if state in states:
            return state
    return "ready"


def _error_in(line: str) -> str | None:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return line if "Error" in line else None
    if isinstance(found, dict) and found.get("level") in ("error", "critical"):
        return str(found.get("message"))
    return None

"""What the server answers and takes, as pydantic models: handlers, the OpenAPI document and the tests use the same."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from swarm_lab.front import options as o
from swarm_lab.front.detail import TrainingInfo
from swarm_lab.front.status import NodeStatus, SwarmStatus

API = 1
Number = float | None


class Answer(BaseModel):
    """What every answer has in common."""

    model_config = ConfigDict(frozen=True)


class Body(BaseModel):
    """What every body has in common: no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class About(Answer):
    """Which server this is. `boot` changes with each start of the server."""

    version: str
    api: int = API
    boot: str
    frameworks: list[str]


class ErrorAction(Answer):
    """A call that does the next step; `path` is relative to the API."""

    label: str
    method: str
    path: str
    body: Any = None


class SwarmError(Answer):
    """A failure: its code, its cause, the next step."""

    code: str
    message: str
    next: str
    action: ErrorAction | None = None


class Failed(Answer):
    """The answer to a call that failed."""

    message: str
    error: SwarmError


class Load(Answer):
    """What a node and its program use. `cpu` is percent of one core, `memory` and `gpu_memory` are bytes."""

    cpu: float
    memory: int
    gpu: Number = None
    gpu_memory: int | None = None


class ActiveFault(Answer):
    """What is being done to a node. Times are unix seconds."""

    kind: Literal["pause", "slow"]
    since: float
    until: Number = None


class NodeInfo(NodeStatus):
    """A node with what the panel shows beside its status. `expires` is of its SVID, in unix seconds."""

    load: Load | None = None
    expires: Number = None
    faults: list[ActiveFault] = Field(default_factory=list)


class SwarmInfo(SwarmStatus):
    """A swarm as the panel shows it. `seq`: the last fact that this holds. `error`: why its folder cannot be read."""

    seq: int = 0
    error: SwarmError | None = None
    nodes: list[NodeInfo]  # type: ignore[assignment]  # each is a NodeStatus
    trainings: list[TrainingInfo]  # type: ignore[assignment]  # each is a TrainingStatus


class GpuInfo(Answer):
    """A GPU. Memory is in bytes, `load` in percent."""

    index: int
    name: str
    memory: int
    memory_used: int
    load: Number = None


class HostInfo(Answer):
    """A machine. `cpu` is percent of all its processors, memory and disk are in bytes."""

    name: str
    cpus: int
    cpu: float
    memory: int
    memory_used: int
    disk_free: int
    gpus: list[GpuInfo]


class Operation(Answer):
    """A call that takes longer: what it does, what it has said, and its answer or failure. Times are unix seconds."""

    id: str
    verb: str
    swarm: str | None
    node: str | None = None
    training: str | None = None
    state: Literal["running", "done", "failed"]
    started: float
    ended: Number = None
    said: list[str]
    answer: Any = None
    error: SwarmError | None = None


class Snapshot(Answer):
    """Everything that the panel shows."""

    boot: str
    time: float
    swarms: list[SwarmInfo]
    operations: list[Operation]
    hosts: list[HostInfo]


class FactsPage(Answer):
    """Facts in their order; `next` is the number of the last one, to ask on from."""

    facts: list[dict[str, Any]]
    next: int


class Problem(Answer):
    """What does not fit in a YAML text: line and column count from 1."""

    line: int
    column: int
    path: str
    message: str


class SpecCheck(Answer):
    """What a YAML text describes, or what does not fit."""

    ok: bool
    spec: dict[str, Any] | None
    problems: list[Problem]


class Identity(Answer):
    """A node's SVID. Times are unix seconds."""

    spiffe_id: str
    issued: Number
    expires: Number
    serial: str


class LeaseInfo(Answer):
    """A node's seat: its number, of how many that the license has, and until when it is leased."""

    seat: int | None
    seats: int | None
    until: Number


class LedgerInfo(Answer):
    """What the ledger has of a node, and the SN by which it reads."""

    block: int | None
    account: str | None
    enrolled: bool | None
    sn: str | None


class LastModel(Answer):
    """The last merged model that a node took part in."""

    training: str
    round: int
    digest: str


class NodeDetail(NodeInfo):
    """Everything that is known of a node."""

    identity: Identity | None = None
    lease: LeaseInfo | None = None
    ledger: LedgerInfo
    last_model: LastModel | None = None
    log_size: int = 0


class LogLine(Answer):
    """A line of a log; `offset` is where it begins, in bytes."""

    offset: int
    time: Number
    level: Literal["debug", "info", "warning", "error"]
    text: str


class LogPage(Answer):
    """Lines of a log between two byte offsets. `matches`: offsets of lines that have the text, newest first.

    `searched_from`: down to which offset was searched; 0 is all of it.
    """

    lines: list[LogLine]
    start: int
    end: int
    size: int
    matches: list[int] | None = None
    searched_from: int | None = None


class ScenarioFile(Answer):
    """What was done to a swarm's nodes, as a file that a test replays."""

    yaml: str
    path: str
    steps: int


class Notebook(Answer):
    """A notebook that does it again."""

    name: str
    content: dict[str, Any]


class YamlBody(Body):
    """A YAML text."""

    yaml: str = Field(max_length=1_000_000)


class FaultBody(Body):
    """What to do to a node: `seconds` how long, `delay_ms` for how long it stands still at a time."""

    kind: Literal["pause", "slow", "kill", "resume"]
    seconds: float | None = Field(default=None, gt=0, le=3600)
    delay_ms: int | None = Field(default=None, ge=10, le=5000)


class DemoBody(Body):
    """Of which framework the demo swarm is; by default the one that is installed."""

    framework: Literal["torch", "keras", "sklearn"] | None = None


def _without(model: type[BaseModel], name: str, *left_out: str) -> type[BaseModel]:
    """A verb's options less those that the path of the call has already."""
    fields: dict[str, Any] = {
        key: (field.annotation, field) for key, field in model.model_fields.items() if key not in left_out
    }
    made: type[BaseModel] = create_model(name, __config__=model.model_config, __doc__=model.__doc__, **fields)
    return made


UpBody = _without(o.UpOptions, "UpBody")
TrainBody = _without(o.TrainOptions, "TrainBody", "name", "detach")
AddBody = _without(o.AddOptions, "AddBody", "name")

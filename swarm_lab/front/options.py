"""What each verb takes and gives: the models from which shell, notebook and panel are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from swarm_lab.front.status import NodeStatus

WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Flag:
    """How a field is written on a command line.

    `short` is its short form. A `bare` field stands without a name, an `either` field may; `metavar` is what help calls
    it. `names` says what completes it.
    """

    short: str = ""
    bare: bool = False
    either: bool = False
    metavar: str = ""
    names: Literal["", "swarm", "node", "training", "file", "folder"] = ""


class Options(BaseModel):
    """What every verb's options have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SwarmName = Annotated[str | None, Flag(names="swarm"), Field(description="the swarm, if there are several")]
BareName = Annotated[str | None, Flag(either=True, names="swarm"), Field(description="the swarm, if there are several")]
Wait = Annotated[float, Field(gt=0, description="seconds to wait until the nodes are ready")]


class UpOptions(Options):
    """Bring a swarm up: a new one, or one that is down with its keys, addresses and ledger."""

    name: Annotated[str | None, Flag(either=True, names="swarm"), Field(description="its name [swarm]")] = None
    sl: Annotated[int | None, Field(ge=1, le=64, description="nodes that learn (seats) [4]")] = None
    sn: Annotated[int | None, Field(ge=1, le=16, description="SN nodes, the sentinel among them [2]")] = None
    framework: Annotated[
        Literal["torch", "keras", "sklearn"] | None, Field(description="ML framework of the swarm [the one installed]")
    ] = None
    file: Annotated[Path | None, Flag("-f", names="file"), Field(description="YAML file that describes the swarm")] = (
        None
    )
    cold: Annotated[bool | None, Field(description="no warm seats: less memory, programs start later")] = None
    wait: Wait = WAIT_S


class StatusOptions(Options):
    """Show a swarm's nodes and trainings."""

    name: BareName = None


class TrainOptions(Options):
    """Train a program on every seat, each with its own data, and follow it until the end."""

    program: Annotated[Path | None, Flag(bare=True, names="file"), Field(description="the program, a Python file")] = (
        None
    )
    data: Annotated[
        Path | None,
        Flag(names="folder"),
        Field(description="folder with DIR/<node name>/, or as many folders as seats, taken in name order"),
    ] = None
    name: SwarmName = None
    sync: Annotated[int, Field(ge=1, description="batches between two rounds")] = 16
    min_peers: Annotated[int | None, Field(ge=1, description="least nodes in a round [more than half]")] = None
    merge: Annotated[Literal["mean", "coordmedian", "geomedian"], Field(description="how models are merged")] = "mean"
    wire: Annotated[
        Literal["float32", "bf16", "fp16"],
        Field(description="how values travel: exactly, or as updates of 16 bits in half the bytes"),
    ] = "float32"
    adaptive: Annotated[bool, Field(description="let --sync follow the validation loss")] = False
    early_stopping: Annotated[
        int, Field(ge=0, lt=2**32, description="end after so many rounds without a better validation loss; 0: never")
    ] = 0
    end_rule: Annotated[
        Literal["all", "min_peers"], Field(description="when it ends: all nodes have finished, or --min-peers of them")
    ] = "all"
    seed: Annotated[int | None, Field(ge=0, description="seed from which each node's is derived")] = None
    env: Annotated[tuple[str, ...], Flag("-e"), Field(description="KEY=VALUE for the program; may be repeated")] = ()
    files: Annotated[tuple[Path, ...], Flag(names="file"), Field(description="files or folders that travel along")] = ()
    requirements: Annotated[
        Path | None, Flag("-r", names="file"), Field(description="requirements.txt to check against the seats")
    ] = None
    nodes: Annotated[str | None, Field(description="seats to use, as sl-1,sl-2 [all]")] = None
    checkpoints: Annotated[int, Field(ge=1, le=1000, description="committed rounds that each node keeps on disk")] = 3
    queue: Annotated[bool, Field(description="wait for busy seats, or refuse")] = True
    resume: Annotated[
        str | None,
        Flag(names="training", metavar="ID"),
        Field(description="let a training that has failed go on after its last round; PROGRAM is then left out"),
    ] = None
    detach: Annotated[bool, Flag("-d"), Field(description="return as soon as it is started")] = False
    args: Annotated[
        tuple[str, ...], Flag(bare=True, metavar="ARGS"), Field(description="after --: for the program")
    ] = ()

    @model_validator(mode="after")
    def _something_to_train(self) -> TrainOptions:
        if self.program is None and self.resume is None:
            raise ValueError("PROGRAM is missing, or --resume ID")
        return self


class AttachOptions(Options):
    """Follow a training, from its beginning, until its end."""

    training: Annotated[str | None, Flag(bare=True, names="training"), Field(description="its id [the last]")] = None
    name: SwarmName = None


class StopOptions(Options):
    """End a training with one closing round, on every node with the same model."""

    training: Annotated[str | None, Flag(bare=True, names="training"), Field(description="its id [the last]")] = None
    name: SwarmName = None
    limit: Annotated[float, Field(gt=0, description="seconds to wait for its end")] = 300.0


class LogsOptions(Options):
    """Show a node's log."""

    node: Annotated[str, Flag(bare=True, names="node"), Field(description="the node")]
    name: SwarmName = None
    follow: Annotated[bool, Flag("-f"), Field(description="go on with what comes")] = False
    lines: Annotated[int, Flag("-n"), Field(ge=0, description="how many of the last lines")] = 100
    limit: Annotated[float, Field(gt=0, description="with --follow: seconds without a line after which it ends")] = (
        3600.0
    )


class AddOptions(Options):
    """Add seats to a running swarm, and to a training that runs if one is named."""

    kind: Annotated[Literal["sl"], Flag(bare=True), Field(description="sl")]
    count: Annotated[int, Flag("-n"), Field(ge=1, le=64, description="how many")] = 1
    name: SwarmName = None
    training: Annotated[
        str | None, Flag(names="training"), Field(description="id of a training that they join; takes --data")
    ] = None
    data: Annotated[
        Path | None,
        Flag(names="folder"),
        Field(description="for --training: folder with DIR/<seat>/, or as many folders as new seats"),
    ] = None
    wait: Wait = WAIT_S


class RemoveOptions(Options):
    """Stop a seat for good."""

    node: Annotated[str, Flag(bare=True, names="node"), Field(description="the seat")]
    name: SwarmName = None


class RestartOptions(Options):
    """Stop a node and start it again."""

    node: Annotated[str, Flag(bare=True, names="node"), Field(description="the node")]
    name: SwarmName = None
    wait: Wait = WAIT_S


class DownOptions(Options):
    """End every process of a swarm; `up` brings it back."""

    name: BareName = None
    purge: Annotated[bool, Field(description="remove its keys, ledger and models as well, for good")] = False


class DoctorOptions(Options):
    """Check what may be wrong with a swarm and collect its logs into one file."""

    name: BareName = None
    bundle: Annotated[bool, Field(description="collect the logs, or only check")] = True


class MetricsOptions(Options):
    """Print the nodes' numbers in Prometheus' text format."""

    name: BareName = None
    node: Annotated[str | None, Flag(names="node"), Field(description="of this node only [all]")] = None


class ListOptions(Options):
    """List the swarms of this user."""


class VerifyOptions(Options):
    """Check a training's models against the ledger and against what its nodes signed."""

    training: Annotated[str | None, Flag(bare=True, names="training"), Field(description="its id [the last]")] = None
    name: SwarmName = None


class DigestOptions(Options):
    """Print the digest of a model file, as the ledger has it."""

    file: Annotated[Path, Flag(bare=True, names="file"), Field(description="a safetensors file")]


class SwarmList(BaseModel):
    """The swarms of this user, each with its state, seats and number of trainings."""

    swarms: list[dict[str, Any]]


class NodeList(BaseModel):
    """The nodes that a verb made or changed."""

    swarm: str
    nodes: list[NodeStatus]


class LogLines(BaseModel):
    """The last lines of a node's log."""

    swarm: str
    node: str
    lines: list[str]


class MetricsPage(BaseModel):
    """The nodes' numbers as text that Prometheus reads (exposition format 0.0.4)."""

    swarm: str
    text: str


class ModelDigest(BaseModel):
    """The digest of a model file and what it is made of."""

    file: str
    digest: str
    tensors: int
    parameters: int


class Record(BaseModel):
    """An answer with fields of its own."""

    model_config = ConfigDict(extra="allow")


class Evidence(BaseModel):
    """One link of the chain: what was compared and whether it holds."""

    what: str
    ok: bool
    message: str


class Verdict(BaseModel):
    """`ok` when every link holds. `digest` is the ledger's, of the training's last committed round."""

    swarm: str
    training: str
    ok: bool
    round: int
    digest: str
    evidence: list[Evidence]

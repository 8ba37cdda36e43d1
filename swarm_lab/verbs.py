"""The verbs: each one model of options, one function and one answer; shell, notebook and panel are made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from swarm_lab.errors import TrainingFailed
from swarm_lab.front import options as o
from swarm_lab.front.doctor import Report
from swarm_lab.front.logs import for_people
from swarm_lab.front.status import SwarmStatus
from swarm_lab.front.training import Training, check
from swarm_lab.licensing import commands as licensing
from swarm_lab.spec import read_env
from swarm_lab.swarm import Swarm


class Out(Protocol):
    """Where a verb says things while it works."""

    def say(self, line: str) -> None:
        """A line of progress for people."""

    def event(self, event: Mapping[str, Any]) -> None:
        """An event of a training as it comes."""

    def line(self, node: str, line: str) -> None:
        """A line of a node's log as it comes."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: its words (`license show` has two), options and function. `run` returns the answer, a pydantic model."""

    words: tuple[str, ...]
    options: type[BaseModel]
    run: Callable[[Any, Out], BaseModel]

    @property
    def name(self) -> str:
        """As it is typed."""
        return " ".join(self.words)

    @property
    def help(self) -> str:
        """What it does, in a line."""
        return (self.options.__doc__ or "").strip().splitlines()[0]


def up(options: o.UpOptions, out: Out) -> SwarmStatus:
    """The status once every node is ready."""
    return Swarm.up(
        options.name,
        sl=options.sl,
        sn=options.sn,
        framework=options.framework,
        file=options.file,
        cold=options.cold,
        wait=options.wait,
        say=out.say,
    ).status()


def status(options: o.StatusOptions, _out: Out) -> SwarmStatus:
    """Nodes and trainings."""
    return Swarm.attach(options.name).status()


def train(options: o.TrainOptions, out: Out) -> o.Record:
    """Start, follow, and return the `finished` event; with `detach` the id alone."""
    training = start(options, out)
    if options.detach:
        return o.Record.model_validate({"event": "detached", "training": training.id})
    return watch(training, out)


def start(options: o.TrainOptions, out: Out) -> Training:
    """Start a training, or resume one, and return its handle at once."""
    if options.resume is not None:
        return _resume(options, out)
    return Swarm.attach(options.name).train(
        options.program,
        data=options.data,
        sync=options.sync,
        min_peers=options.min_peers,
        merge=options.merge,
        wire=options.wire,
        adaptive=options.adaptive,
        early_stopping=options.early_stopping,
        end_rule=options.end_rule,
        seed=options.seed,
        env=read_env(options.env),
        files=options.files,
        requirements=options.requirements,
        nodes=_names(options.nodes),
        checkpoints=options.checkpoints,
        args=options.args,
        queue=options.queue,
        say=out.say,
    )


def _resume(options: o.TrainOptions, out: Out) -> Training:
    """Only what was given is compared with what the training was started with."""
    given = options.model_dump(exclude_unset=True, exclude={"program", "name", "queue", "detach", "resume"})
    if "env" in given:
        given["env"] = read_env(options.env)
    if "nodes" in given:
        given["nodes"] = _names(options.nodes)
    return Swarm.attach(options.name).train(options.program, resume=options.resume, say=out.say, **given)


def _names(nodes: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in nodes.split(",")) if nodes else ()


def watch(training: Training, out: Out) -> o.Record:
    """Pass on a training's events until its end; raises `TrainingFailed` unless every node finished alike."""
    last: Mapping[str, Any] | None = None
    for event in training.events(training.since):
        out.event(event)
        last = event
    if last is None:
        raise TrainingFailed(f"the training {training.id} has said nothing")
    check(last)
    return o.Record.model_validate(dict(last))


def attach(options: o.AttachOptions, out: Out) -> o.Record:
    """As `train`, for a training that was started by another."""
    return watch(Swarm.attach(options.name).training(options.training), out)


def stop(options: o.StopOptions, out: Out) -> o.Record:
    """The `finished` event after one closing round."""
    swarm = Swarm.attach(options.name)
    training = swarm.training(options.training)
    out.say(f"{training.id} ends with one closing round")
    return o.Record.model_validate(dict(swarm.stop(training.id, limit=options.limit)))


def logs(options: o.LogsOptions, out: Out) -> o.LogLines:
    """The last lines; with `follow` each line as it comes."""
    swarm = Swarm.attach(options.name)
    if options.follow:
        for line in swarm.follow(options.node, lines=options.lines, limit=options.limit):
            out.line(options.node, for_people(line))
    lines = [] if options.follow else swarm.logs(options.node, lines=options.lines)
    return o.LogLines(swarm=swarm.name, node=options.node, lines=lines)


def add(options: o.AddOptions, out: Out) -> o.NodeList:
    """The new seats."""
    swarm = Swarm.attach(options.name)
    return o.NodeList(
        swarm=swarm.name,
        nodes=list(
            swarm.add(options.count, training=options.training, data=options.data, wait=options.wait, say=out.say)
        ),
    )


def remove(options: o.RemoveOptions, _out: Out) -> SwarmStatus:
    """The status without the seat."""
    return Swarm.attach(options.name).remove(options.node)


def restart(options: o.RestartOptions, out: Out) -> o.NodeList:
    """The node as it is then."""
    swarm = Swarm.attach(options.name)
    return o.NodeList(swarm=swarm.name, nodes=[swarm.restart(options.node, wait=options.wait, say=out.say)])


def down(options: o.DownOptions, out: Out) -> SwarmStatus:
    """The status of a swarm of which nothing runs."""
    return Swarm.attach(options.name).down(purge=options.purge, say=out.say)


def doctor(options: o.DoctorOptions, _out: Out) -> Report:
    """Every check, and the path of the collected logs."""
    return Swarm.attach(options.name).doctor(bundle=options.bundle)


def metrics(options: o.MetricsOptions, _out: Out) -> o.MetricsPage:
    """Every node's numbers, with the labels `swarm` and `node`."""
    swarm = Swarm.attach(options.name)
    return o.MetricsPage(swarm=swarm.name, text=swarm.metrics(options.node))


def list_swarms(_options: o.ListOptions, _out: Out) -> o.SwarmList:
    """Name, state, seats and trainings of each swarm."""
    return o.SwarmList(
        swarms=[
            {
                "swarm": found.swarm,
                "state": found.state,
                "framework": found.framework,
                "seats": sum(node.kind == "sl" for node in found.nodes),
                "trainings": len(found.trainings),
                "directory": found.directory,
            }
            for found in Swarm.all()
        ]
    )


def verify(options: o.VerifyOptions, _out: Out) -> o.Verdict:
    """What was recomputed and whether it holds."""
    return Swarm.attach(options.name).verify(options.training)


def digest(options: o.DigestOptions, _out: Out) -> o.ModelDigest:
    """The root of the file's layout and contents."""
    from swarm_lab.rounds.layout import root
    from swarm_lab.rounds.model_file import read_model

    layout, buffer = read_model(options.file)
    return o.ModelDigest(
        file=str(options.file),
        digest=root(layout, memoryview(buffer)),
        tensors=len(layout.specs),
        parameters=sum(spec.count for spec in layout.specs),
    )


def _licensing(run: Callable[[Any], dict[str, object]]) -> Callable[[Any, Out], BaseModel]:
    return lambda options, _out: o.Record.model_validate(run(options))


VERBS: tuple[Verb, ...] = (
    Verb(("up",), o.UpOptions, up),
    Verb(("status",), o.StatusOptions, status),
    Verb(("train",), o.TrainOptions, train),
    Verb(("attach",), o.AttachOptions, attach),
    Verb(("stop",), o.StopOptions, stop),
    Verb(("logs",), o.LogsOptions, logs),
    Verb(("add",), o.AddOptions, add),
    Verb(("remove",), o.RemoveOptions, remove),
    Verb(("restart",), o.RestartOptions, restart),
    Verb(("down",), o.DownOptions, down),
    Verb(("doctor",), o.DoctorOptions, doctor),
    Verb(("metrics",), o.MetricsOptions, metrics),
    Verb(("list",), o.ListOptions, list_swarms),
    Verb(("verify",), o.VerifyOptions, verify),
    Verb(("digest",), o.DigestOptions, digest),
    Verb(("license", "issue"), licensing.IssueOptions, _licensing(licensing.issue)),
    Verb(("license", "install"), licensing.InstallOptions, _licensing(licensing.install)),
    Verb(("license", "show"), licensing.ShowOptions, _licensing(licensing.show)),
)


def verb(name: str) -> Verb:
    """The verb of this name; raises `KeyError`."""
    return next(found for found in VERBS if found.name == name)

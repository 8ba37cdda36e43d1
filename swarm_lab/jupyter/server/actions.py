"""The calls that change something: each an operation, as the verbs take longer than an answer may."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from pydantic import BaseModel
from tornado.web import authenticated

from swarm_lab.errors import BadSpec, NoSuchNode, NoSuchSwarm
from swarm_lab.experiments import faults, scenario
from swarm_lab.facts.paths import check_name
from swarm_lab.front import options as o
from swarm_lab.jupyter.server.base import RESOURCE, SwarmHandler
from swarm_lab.jupyter.server.details import node_detail
from swarm_lab.jupyter.server.models import AddBody, DemoBody, FaultBody, TrainBody, UpBody, YamlBody
from swarm_lab.jupyter.server.operations import Out, Run, Target
from swarm_lab.jupyter.server.speccheck import check_spec
from swarm_lab.jupyter.server.watch import SwarmWatch
from swarm_lab.spec import DEFAULT_NAME, read_spec
from swarm_lab.swarm import Swarm
from swarm_lab.verbs import start, verb

DEMO, DEMO_SEATS = "demo", 4


class ActionHandler(SwarmHandler):
    """How an operation begins. No verb is here."""

    def begin(self, target: Target, run: Run) -> None:
        """Start it and answer 202; raises `ServerBusy`."""
        self.give(self.lab.operations.start(target, run, self.who), status=202)

    def run_verb(self, words: str, options: type[BaseModel], **values: Any) -> Run:
        """A verb with checked options; raises `UsageError`."""
        checked = self.checked(options, values)
        return lambda out: verb(words).run(checked, out)

    async def must_be(self, swarm: str, node: str | None = None) -> SwarmWatch:
        """What is acted on exists; raises `GoneMeanwhile` where somebody has just removed it, or `NoSuch...`."""
        try:
            watch = await self.lab.producer.read(self.lab.swarms.watch, swarm)
            if node is not None:
                facts = await self.lab.producer.read(watch.observer.facts)
                if facts.named(node) is None:
                    raise NoSuchNode(f"the swarm {swarm!r} has no node {node!r}")
        except (NoSuchSwarm, NoSuchNode):
            self.lab.operations.check_gone(swarm, node)
            raise
        return watch

    def placed(self, values: dict[str, Any]) -> dict[str, Any]:
        """Paths as the server's files have them."""
        found: dict[str, Any] = {}
        for key, value in values.items():
            if isinstance(value, Path):
                found[key] = self.place(value)
            elif isinstance(value, tuple):
                found[key] = tuple(self.place(part) if isinstance(part, Path) else part for part in value)
            else:
                found[key] = value
        return found


class SwarmsHandler(ActionHandler):
    """The swarms."""

    @authenticated
    @authorized("write", resource=RESOURCE)
    async def post(self) -> None:
        """Bring one up: from YAML, or from options as the form has them."""
        if b'"yaml"' in self.request.body:
            self.begin(*_from_yaml(self.read_body(YamlBody).yaml))
            return
        values = self.placed(self.read_body(UpBody).model_dump(exclude_unset=True))
        name = check_name(values.get("name") or _named_in(values.get("file")))
        self.begin(Target("up", name), self.run_verb("up", o.UpOptions, **values))


class OneSwarmHandler(ActionHandler):
    """A swarm."""

    @authenticated
    @authorized("write", resource=RESOURCE)
    async def delete(self, swarm: str) -> None:
        """Take it down; with `purge` nothing of it stays."""
        purge = self.get_query_argument("purge", "false") == "true"
        watch = await self.must_be(swarm)

        def down(out: Out) -> dict[str, Any]:
            faults.resume_all(watch.paths)
            status = Swarm.attach(swarm).down(purge=purge, say=out.say)
            return {**status.model_dump(mode="json"), "purged": purge}

        self.begin(Target("down", swarm), down)


class NodesHandler(ActionHandler):
    """The nodes of a swarm."""

    @authenticated
    @authorized("write", resource=RESOURCE)
    async def post(self, swarm: str) -> None:
        """Add seats, and to a training if one is named."""
        await self.must_be(swarm)
        values = self.placed(self.read_body(AddBody).model_dump(exclude_unset=True))
        self.begin(Target("add", swarm), self.run_verb("add", o.AddOptions, **values, name=swarm))


class NodeHandler(ActionHandler):
    """A node."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, swarm: str, node: str) -> None:
        """Everything that is known of it."""
        self.give(await self.lab.producer.of(swarm, lambda watch: node_detail(watch, node)))

    @authenticated
    @authorized("write", resource=RESOURCE)
    async def delete(self, swarm: str, node: str) -> None:
        """Stop a seat for good."""
        await self.must_be(swarm, node)
        self.begin(Target("remove", swarm, node), self.run_verb("remove", o.RemoveOptions, node=node, name=swarm))


class RestartHandler(ActionHandler):
    """A node's process."""

    @authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, swarm: str, node: str) -> None:
        """Stop it and start it again."""
        await self.must_be(swarm, node)
        self.begin(Target("restart", swarm, node), self.run_verb("restart", o.RestartOptions, node=node, name=swarm))


class FaultsHandler(ActionHandler):
    """Hurting a node on purpose."""

    @authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, swarm: str, node: str) -> None:
        """Pause, slow or kill it, or end that; it is noted in the swarm's scenario."""
        watch = await self.must_be(swarm, node)
        body = self.read_body(FaultBody)
        self.begin(
            Target("fault", swarm, node),
            lambda _out: scenario.do(watch.paths, node, body.kind, seconds=body.seconds, delay_ms=body.delay_ms),
        )


class TrainingsHandler(ActionHandler):
    """The trainings of a swarm."""

    @authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, swarm: str) -> None:
        """Start one, or let one that has failed go on."""
        await self.must_be(swarm)
        values = self.placed(self.read_body(TrainBody).model_dump(exclude_unset=True))
        options = self.checked(o.TrainOptions, {**values, "name": swarm, "detach": True})
        self.begin(Target("train", swarm), lambda out: {"training": start(options, out).id})


class StopHandler(ActionHandler):
    """A training's end."""

    @authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, swarm: str, training: str) -> None:
        """End it with one closing round."""
        await self.must_be(swarm)
        run = self.run_verb("stop", o.StopOptions, training=training, name=swarm)
        self.begin(Target("stop", swarm, training=training), run)


class VerifyHandler(ActionHandler):
    """A training's evidence."""

    @authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, swarm: str, training: str) -> None:
        """Check its models against the ledger and against what was signed."""
        await self.must_be(swarm)
        run = self.run_verb("verify", o.VerifyOptions, training=training, name=swarm)
        self.begin(Target("verify", swarm, training=training), run)


class DoctorHandler(ActionHandler):
    """What may be wrong with a swarm."""

    @authenticated
    @authorized("execute", resource=RESOURCE)
    async def post(self, swarm: str) -> None:
        """Check it and collect its logs into one file."""
        await self.must_be(swarm)
        self.begin(Target("doctor", swarm), self.run_verb("doctor", o.DoctorOptions, name=swarm))


class DemoHandler(ActionHandler):
    """A swarm to look at."""

    @authenticated
    @authorized("write", resource=RESOURCE)
    async def post(self) -> None:
        """Bring up a swarm of four nodes on this machine."""
        body = self.read_body(DemoBody)
        taken = {info.name for info in await self.lab.producer.read(self.lab.swarms.look)}
        taken |= {found.swarm or "" for found in self.lab.operations.all() if found.state == "running"}
        name = next(name for name in _names() if name not in taken)
        values = {"name": name, "sl": DEMO_SEATS, "sn": 1, "framework": body.framework}
        self.begin(Target("demo", name), self.run_verb("up", o.UpOptions, **values))


def _from_yaml(text: str) -> tuple[Target, Run]:
    """Bring up what a YAML text describes; raises `BadSpec` for the first thing that does not fit."""
    found = check_spec(text)
    if found.spec is None:
        first = found.problems[0]
        raise BadSpec(f"line {first.line}, column {first.column}: {first.path}: {first.message}".replace(": : ", ": "))
    name = str(found.spec["name"])

    def up(out: Out) -> BaseModel:
        with tempfile.TemporaryDirectory(prefix="swarm-lab-") as folder:
            file = Path(folder) / "swarm.yaml"
            file.write_text(text, "utf-8")
            return Swarm.up(file=file, say=out.say).status()

    return Target("up", name), up


def _named_in(file: Path | None) -> str:
    """The name in a YAML file; raises `BadSpec`."""
    return DEFAULT_NAME if file is None else read_spec(file).name


def _names() -> Iterator[str]:
    yield DEMO
    yield from (f"{DEMO}-{number}" for number in itertools.count(2))

"""The calls that only look."""

from __future__ import annotations

from functools import partial

from jupyter_server.auth.decorator import authorized
from pydantic import BaseModel
from tornado.web import authenticated

from swarm_lab.errors import UsageError
from swarm_lab.experiments import scenario
from swarm_lab.front import options as o
from swarm_lab.jupyter.server import logpages, notebook
from swarm_lab.jupyter.server.base import RESOURCE, SwarmHandler
from swarm_lab.jupyter.server.models import AddBody, FactsPage, ScenarioFile, TrainBody, YamlBody
from swarm_lab.jupyter.server.speccheck import check_spec
from swarm_lab.spec import SwarmSpec

SCHEMAS: dict[str, type[BaseModel]] = {"up": o.UpOptions, "train": TrainBody, "add": AddBody, "spec": SwarmSpec}


class AboutHandler(SwarmHandler):
    """Which server this is."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """Version, and what changes when the server is started again."""
        self.give(self.lab.about())


class SnapshotHandler(SwarmHandler):
    """Everything."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """All swarms, operations and hosts as they are now."""
        self.give(await self.lab.producer.snapshot())


class FactsHandler(SwarmHandler):
    """The facts of a swarm."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """Those after a number, so many at a time: what a client missed."""
        name, since = self.argument("swarm"), self.number("since", 0) or 0
        found = await self.lab.producer.of(name, lambda watch: watch.tail.page(since))
        self.give(FactsPage(facts=found, next=found[-1]["seq"] if found else since))


class SchemaHandler(SwarmHandler):
    """The schema of a form."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, form: str) -> None:
        """JSON schema, made from the model that checks what is sent."""
        if form not in SCHEMAS:
            raise UsageError(f"there is no form {form[:40]!r}; there are {', '.join(SCHEMAS)}")
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[form].model_json_schema()}
        self.give(schema)


class SpecCheckHandler(SwarmHandler):
    """A YAML text."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def post(self) -> None:
        """What it describes, or what does not fit and where."""
        self.give(await self.lab.producer.aside(check_spec, self.read_body(YamlBody).yaml))


class LogHandler(SwarmHandler):
    """A node's log."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, swarm: str, node: str) -> None:
        """A page of it from the end or before an offset, and where a text is."""
        path = await self.lab.producer.of(swarm, lambda watch: watch.paths.log(watch.node(node).name))
        page = partial(
            logpages.page,
            path,
            self.number("lines", 500) or 0,
            self.number("before"),
            self.get_query_argument("search", ""),
        )
        self.give(await self.lab.producer.aside(page))


class TrainingHandler(SwarmHandler):
    """A training."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, swarm: str, training: str) -> None:
        """With all its rounds."""
        self.give(await self.lab.producer.of(swarm, lambda watch: watch.training(training)))


class ScenarioHandler(SwarmHandler):
    """What was done to a swarm's nodes."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, swarm: str) -> None:
        """As a file that a test replays."""
        watch = await self.lab.producer.read(self.lab.swarms.watch, swarm)
        found = await self.lab.producer.aside(scenario.of_swarm, watch.paths)
        path = str(scenario.path_of(watch.paths))
        self.give(ScenarioFile(yaml=found.text(), path=path, steps=len(found.steps)))


class SwarmNotebookHandler(SwarmHandler):
    """A swarm as a notebook."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, swarm: str) -> None:
        """One that brings it up and trains again."""
        self.give(await self.lab.producer.of(swarm, notebook.of_swarm))


class TrainingNotebookHandler(SwarmHandler):
    """A training as a notebook."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, swarm: str, training: str) -> None:
        """One that brings its swarm up and trains again."""
        self.give(await self.lab.producer.of(swarm, lambda watch: notebook.of_training(watch, training)))


class QuickstartHandler(SwarmHandler):
    """A notebook to begin with."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """A copy of the one that is shipped."""
        self.give(await self.lab.producer.aside(notebook.to_begin_with))


class OperationHandler(SwarmHandler):
    """An operation."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self, id: str) -> None:
        """How far it is, or what came of it."""
        self.give(self.lab.operations.get(id))


class OpenApiHandler(SwarmHandler):
    """This API's description."""

    @authenticated
    @authorized("read", resource=RESOURCE)
    async def get(self) -> None:
        """OpenAPI 3.1, made from the table of routes."""
        from swarm_lab.jupyter.server.openapi import document

        self.give(document())

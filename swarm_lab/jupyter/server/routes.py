"""The one table of routes: each call with its handler, its body and its answer. The OpenAPI document is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from tornado.web import RequestHandler

from swarm_lab.front.detail import TrainingDetail
from swarm_lab.jupyter.server import actions as act
from swarm_lab.jupyter.server import models as m
from swarm_lab.jupyter.server import reads
from swarm_lab.jupyter.server.live import LiveHandler

Kind = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Call:
    """One verb of a route. `answer` None is an object that no model describes; `query` maps arguments to meanings."""

    answer: Kind | None
    body: tuple[Kind, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Route:
    """A path, relative to the API, with its handler and its calls by HTTP method."""

    path: str
    handler: type[RequestHandler]
    calls: Mapping[str, Call]


def _begins(*body: Kind, **query: str) -> Call:
    return Call(m.Operation, body, query, status=202)


ROUTES: tuple[Route, ...] = (
    Route("about", reads.AboutHandler, {"GET": Call(m.About)}),
    Route("snapshot", reads.SnapshotHandler, {"GET": Call(m.Snapshot)}),
    Route(
        "facts",
        reads.FactsHandler,
        {"GET": Call(m.FactsPage, query={"swarm": "its name", "since": "number of the last fact that is known"})},
    ),
    Route("schemas/{form}", reads.SchemaHandler, {"GET": Call(None)}),
    Route("specs/check", reads.SpecCheckHandler, {"POST": Call(m.SpecCheck, (m.YamlBody,))}),
    Route("swarms", act.SwarmsHandler, {"POST": _begins(m.UpBody, m.YamlBody)}),
    Route("swarms/{swarm}", act.OneSwarmHandler, {"DELETE": _begins(purge="true: nothing of it stays")}),
    Route("swarms/{swarm}/nodes", act.NodesHandler, {"POST": _begins(m.AddBody)}),
    Route("swarms/{swarm}/nodes/{node}", act.NodeHandler, {"GET": Call(m.NodeDetail), "DELETE": _begins()}),
    Route(
        "swarms/{swarm}/nodes/{node}/log",
        reads.LogHandler,
        {
            "GET": Call(
                m.LogPage,
                query={
                    "lines": "how many lines",
                    "before": "byte offset at which the page ends; the end of the log by default",
                    "search": "also tell which lines before that offset have this text",
                },
            )
        },
    ),
    Route("swarms/{swarm}/nodes/{node}/restart", act.RestartHandler, {"POST": _begins()}),
    Route("swarms/{swarm}/nodes/{node}/faults", act.FaultsHandler, {"POST": _begins(m.FaultBody)}),
    Route("swarms/{swarm}/scenario", reads.ScenarioHandler, {"GET": Call(m.ScenarioFile)}),
    Route("quickstart", reads.QuickstartHandler, {"GET": Call(m.Notebook)}),
    Route("swarms/{swarm}/notebook", reads.SwarmNotebookHandler, {"GET": Call(m.Notebook)}),
    Route("swarms/{swarm}/trainings/{training}/notebook", reads.TrainingNotebookHandler, {"GET": Call(m.Notebook)}),
    Route("swarms/{swarm}/trainings", act.TrainingsHandler, {"POST": _begins(m.TrainBody)}),
    Route("swarms/{swarm}/trainings/{training}", reads.TrainingHandler, {"GET": Call(TrainingDetail)}),
    Route("swarms/{swarm}/trainings/{training}/stop", act.StopHandler, {"POST": _begins()}),
    Route("swarms/{swarm}/trainings/{training}/verify", act.VerifyHandler, {"POST": _begins()}),
    Route("swarms/{swarm}/doctor", act.DoctorHandler, {"POST": _begins()}),
    Route("demo", act.DemoHandler, {"POST": _begins(m.DemoBody)}),
    Route("operations/{id}", reads.OperationHandler, {"GET": Call(m.Operation)}),
    Route("openapi.json", reads.OpenApiHandler, {"GET": Call(None)}),
)
LIVE = "live"


def handlers(root: str) -> list[tuple[str, type[RequestHandler]]]:
    """What tornado is given: patterns below `root`."""
    paths: list[tuple[str, Any]] = [(route.path, route.handler) for route in ROUTES]
    return [(f"{root}/{_pattern(path)}", handler) for path, handler in [*paths, (LIVE, LiveHandler)]]


def _pattern(path: str) -> str:
    return re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))

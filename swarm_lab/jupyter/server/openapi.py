"""The OpenAPI 3.1 document, made from the table of routes and the models that the handlers use."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic.json_schema import models_json_schema

from swarm_lab import __version__
from swarm_lab.jupyter.server.models import Failed
from swarm_lab.jupyter.server.routes import LIVE, ROUTES, Call, Kind, Route

_REF = "#/components/schemas/{model}"
_JSON = "application/json"


def document() -> dict[str, Any]:
    """Paths are relative to `swarm-lab/api/` below the server's base URL."""
    schemas = _schemas()
    paths = {
        f"/{route.path}": {method.lower(): _operation(route, method, call) for method, call in route.calls.items()}
        for route in ROUTES
    }
    paths[f"/{LIVE}"] = {"get": _live()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "swarm-lab", "version": __version__},
        "servers": [{"url": "swarm-lab/api"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _kinds() -> list[tuple[Kind, Any]]:
    calls = [call for route in ROUTES for call in route.calls.values()]
    answers: dict[Kind, None] = {call.answer: None for call in calls if call.answer is not None}
    bodies: dict[Kind, None] = {body: None for call in calls for body in call.body}
    answers[Failed] = None
    return [(kind, "serialization") for kind in answers] + [(kind, "validation") for kind in bodies]


def _schemas() -> dict[str, Any]:
    _, made = models_json_schema(_kinds(), ref_template=_REF)
    schemas: dict[str, Any] = made["$defs"]
    return schemas


def _operation(route: Route, method: str, call: Call) -> dict[str, Any]:
    function = getattr(route.handler, method.lower())
    content = {"schema": {"type": "object"} if call.answer is None else _ref(call.answer)}
    found: dict[str, Any] = {
        "operationId": f"{method.lower()}_{re.sub(r'[^a-z]+', '_', route.path).strip('_')}",
        "summary": (inspect.getdoc(function) or "").split("\n")[0],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _TEXT} for name in _names(route.path)),
            *(
                {"name": name, "in": "query", "required": name == "swarm", "description": meaning, "schema": _TEXT}
                for name, meaning in call.query.items()
            ),
        ],
        "responses": {
            str(call.status): {"description": "the answer", "content": {_JSON: content}},
            "default": {"description": "why not, and the next step", "content": {_JSON: {"schema": _ref(Failed)}}},
        },
    }
    if call.body:
        bodies = [_ref(kind) for kind in call.body]
        schema = bodies[0] if len(bodies) == 1 else {"oneOf": bodies}
        found["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return found


_TEXT = {"type": "string"}


def _live() -> dict[str, Any]:
    return {
        "operationId": "live",
        "summary": "The WebSocket: facts, states, logs and operations as they come.",
        "responses": {"101": {"description": "the upgrade"}},
    }


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _ref(kind: Kind) -> dict[str, str]:
    return {"$ref": _REF.format(model=kind.__name__)}

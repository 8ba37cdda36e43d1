"""The table of routes, the handlers and the OpenAPI document say the same, and each verb asks the authorizer itself."""

from __future__ import annotations

import inspect
import re

import jsonschema
import pytest
from jupyter_server.base.handlers import APIHandler

from swarm_lab.jupyter.server import actions, reads
from swarm_lab.jupyter.server.base import SwarmHandler
from swarm_lab.jupyter.server.openapi import document
from swarm_lab.jupyter.server.routes import ROUTES, Route, handlers

VERBS = ("get", "post", "put", "patch", "delete")
# What an OpenAPI 3.1 document must have, as far as ours has it.
OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components"],
    "properties": {
        "openapi": {"pattern": r"^3\.1\.\d$"},
        "info": {"required": ["title", "version"]},
        "paths": {
            "patternProperties": {
                "^/": {
                    "patternProperties": {
                        "^(get|post|delete)$": {
                            "required": ["operationId", "summary", "responses"],
                            "properties": {
                                "parameters": {"items": {"required": ["name", "in", "required", "schema"]}},
                                "responses": {
                                    "minProperties": 1,
                                    "additionalProperties": {"required": ["description"]},
                                },
                            },
                        }
                    },
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        },
    },
}


def leaves() -> list[type[SwarmHandler]]:
    found = [value for module in (actions, reads) for _, value in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in dict.fromkeys(found) if issubclass(kind, SwarmHandler) and own_verbs(kind)]


def own_verbs(kind: type) -> set[str]:
    return {verb for verb in VERBS if verb in vars(kind)}


def test_each_handler_is_in_the_table_and_each_of_its_verbs() -> None:
    assert {route.handler for route in ROUTES} == set(leaves())
    for route in ROUTES:
        assert {method.lower() for method in route.calls} == own_verbs(route.handler), route.path


def test_base_classes_have_no_verb() -> None:
    """A decorated method that two handlers inherit is authorized as the first caller was."""
    for kind in leaves():
        for base in kind.__mro__[1:]:
            if issubclass(base, APIHandler) and base.__module__.startswith("swarm_lab"):
                assert own_verbs(base) == set(), base


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_each_verb_names_its_action_and_resource(route: Route) -> None:
    for verb in own_verbs(route.handler):
        source = inspect.getsource(vars(route.handler)[verb])
        assert re.match(r'\s*@authenticated\n\s*@authorized\("(read|write|execute)", resource=RESOURCE\)\n', source), (
            f"{route.path}: {verb}"
        )
        if verb == "get":
            assert '"read"' in source.splitlines()[1]


def test_paths_of_the_document_are_those_of_the_table_and_of_tornado() -> None:
    paths = document()["paths"]
    assert set(paths) == {f"/{route.path}" for route in ROUTES} | {"/live"}
    for route in ROUTES:
        assert {method.upper() for method in paths[f"/{route.path}"]} == set(route.calls)
    patterns = [re.compile(pattern) for pattern, _ in handlers("/x")]
    for path in paths:
        example = "/x" + re.sub(r"\{\w+\}", "some-1", path)
        assert sum(pattern.fullmatch(example) is not None for pattern in patterns) == 1, example


def test_document_is_valid_and_its_references_lead_somewhere() -> None:
    found = document()
    jsonschema.validate(found, OPENAPI)
    schemas = found["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = set(re.findall(r"#/components/schemas/([\w.-]+)", str(found)))
    assert names <= set(schemas)
    ids = [call["operationId"] for path in found["paths"].values() for call in path.values()]
    assert len(ids) == len(set(ids))

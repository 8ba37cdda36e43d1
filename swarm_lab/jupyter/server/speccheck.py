"""A YAML text against the model of a swarm, with line and column of what does not fit."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.paths import check_name
from swarm_lab.jupyter.server.models import Problem, SpecCheck
from swarm_lab.jupyter.server.words import say
from swarm_lab.spec import SwarmSpec

Place = tuple[str | int, ...]


def check_spec(text: str) -> SpecCheck:
    """The swarm that the text describes, or every problem with its place."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return _bad(Problem(line=line, column=column, path="", message=f"not YAML: {error.problem or error}"))
    except yaml.YAMLError as error:
        return _bad(Problem(line=1, column=1, path="", message=f"not YAML: {str(error).splitlines()[0]}"))
    if not isinstance(values, dict):
        return _bad(Problem(line=1, column=1, path="", message="a swarm is a mapping of fields, as `sl: 4`"))
    marks = dict(_marks(root, (), set()))
    try:
        spec = SwarmSpec.model_validate(values)
        check_name(spec.name)
    except ValidationError as error:
        fields = SwarmSpec.model_json_schema()["properties"]
        return _bad(
            *(
                _problem(tuple(found["loc"]), say(found, fields.get(str(found["loc"][0]))), found["type"], marks)
                for found in error.errors()
            )
        )
    except SwarmLabError as error:
        return _bad(_problem(("name",), f"{error.message}: {error.next_step}", "", marks))
    return SpecCheck(ok=True, spec=spec.model_dump(mode="json", exclude_none=True), problems=[])


def _bad(*problems: Problem) -> SpecCheck:
    return SpecCheck(ok=False, spec=None, problems=list(problems))


def _problem(place: Place, message: str, kind: str, marks: dict[Place, tuple[Any, Any]]) -> Problem:
    """At the value; at the key where the key is what does not fit, at the nearest place above where it is missing."""
    known = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in marks), ())
    key, value = marks.get(known, (None, None))
    mark = key if kind == "extra_forbidden" or value is None else value
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(line=line, column=column, path=".".join(map(str, place)), message=message)


def _marks(node: yaml.Node | None, place: Place, seen: set[int]) -> list[tuple[Place, tuple[Any, Any]]]:
    """Where each key and value begins, by its path; what an alias repeats, or holds itself, is gone through once."""
    if node is None or id(node) in seen:
        return []
    seen.add(id(node))
    found: list[tuple[Place, tuple[Any, Any]]] = [] if place else [((), (None, node.start_mark))]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            found += [(here, (key.start_mark, value.start_mark)), *_marks(value, here, seen)]
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            found += [((*place, number), (item.start_mark, item.start_mark)), *_marks(item, (*place, number), seen)]
    return found

"""The JSON schema of `events.jsonl`, shipped with the package for whoever reads a swarm's facts."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def event_schema() -> dict[str, Any]:
    """The schema of one line (JSON Schema 2020-12)."""
    found: dict[str, Any] = json.loads(files("swarm_lab.facts").joinpath("events.schema.json").read_text("utf-8"))
    return found


def event_names() -> tuple[str, ...]:
    """The events' names, in the order in which the schema and its page have them."""
    return tuple(event_schema()["$defs"])

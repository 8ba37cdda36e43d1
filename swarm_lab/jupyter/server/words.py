"""What is wrong with a value, as people say it; pydantic's own words are for programmers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SAYS = {
    "int_parsing": "Must be a whole number",
    "int_type": "Must be a whole number",
    "int_from_float": "Must be a whole number",
    "float_parsing": "Must be a number",
    "float_type": "Must be a number",
    "bool_parsing": "Must be true or false",
    "bool_type": "Must be true or false",
    "string_type": "Must be text",
    "dict_type": "Must be fields of its own, such as `key: value`",
    "model_type": "Must be fields of its own, such as `key: value`",
    "missing": "Is missing",
    "extra_forbidden": "There is no such field",
    "ip_v4_address": "Must be an address such as 10.0.0.1",
    "literal_error": "Must be {expected}",
    "greater_than": "Must be more than {gt:g}",
    "greater_than_equal": "Must be {ge:g} or more",
    "less_than": "Must be less than {lt:g}",
    "less_than_equal": "Must be {le:g} or less",
}
_NUMBERS = frozenset(kind for kind, says in _SAYS.items() if "number" in says)


def say(error: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> str:
    """One of pydantic's errors in a sentence; with the schema of its field also between which bounds a number lies."""
    says = _SAYS.get(error["type"])
    if says is None:
        return str(error["msg"]).removeprefix("Value error, ")
    text = says.format(**error.get("ctx", {}))
    if error["type"] in _NUMBERS:
        text += _bounds(schema or {})
    return f"{text}."


def _bounds(schema: Mapping[str, Any]) -> str:
    """Of a number, or of one that may be left out."""
    kinds = [schema, *schema.get("anyOf", ())]
    found: Mapping[str, Any] = next((kind for kind in kinds if "minimum" in kind or "maximum" in kind), {})
    least, most = found.get("minimum"), found.get("maximum")
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f", {least} or more" if least is not None else ""

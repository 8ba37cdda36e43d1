"""Writes the pages that are made from the code: `python docs/make_pages.py` (a test says when they are old)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import click

from swarm_lab import errors
from swarm_lab.cli import group
from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.schema import event_schema

AREAS = {
    "1": "Front door",
    "2": "Identity",
    "3": "Ledger and network",
    "4": "License",
    "5": "Rounds and training",
    "6": "Programs and seats",
    "7": "Environment",
}


def every_error() -> list[type[SwarmLabError]]:
    """All errors of the package in the order of their codes; `swarm_lab.errors` makes every one of them."""
    found: list[type[SwarmLabError]] = []
    look: list[type[SwarmLabError]] = [SwarmLabError]
    while look:
        kind = look.pop()
        look += kind.__subclasses__()
        if kind.__module__.startswith(errors.__name__):
            found.append(kind)
    return sorted(found, key=_code)


def errors_page() -> str:
    """The page of all errors: code, what it is, when it comes, what to do."""
    lines = [
        "# Errors",
        "",
        "Made from `swarm_lab/errors.py` by `docs/make_pages.py`. Every failure has a code, one cause and one next",
        'step; with `--json` it is the last object on stdout: `{"error": {"code", "message", "next"}}`. The exit code',
        "is 2 for a wrong call and 1 for the rest.",
    ]
    area = ""
    for kind in every_error():
        title = AREAS.get(_code(kind)[4:5], "Everything else")
        if title != area:
            area = title
            lines += ["", f"## {area}", "", "| Code | What | When | Next step |", "|---|---|---|---|"]
        when = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        cells = (f'<a id="{kind.code.lower()}"></a>`{kind.code}`', kind.title, when, kind.next_step)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def events_page() -> str:
    """The page of all events: when each comes and what it carries."""
    schema = event_schema()
    lines = [
        "# Events",
        "",
        "Made from `swarm_lab/facts/events.schema.json` by `docs/make_pages.py`. `events.jsonl` in a swarm's directory",
        "holds one JSON object a line. " + schema["description"],
        "",
        "Every event has:",
        "",
        *_fields(schema, ()),
    ]
    for name, event in schema["$defs"].items():
        lines += ["", f"## {name}", "", event["description"]]
        fields = _fields(event, ("event",))
        if len(fields) > 2:
            lines += ["", *fields]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """The page of all verbs: usage and options."""
    lines = [
        "# Commands",
        "",
        "Made from the verbs' models by `docs/make_pages.py`. `swarm-lab VERB` in a shell and `%swarm VERB` in a",
        "notebook take the same options. stdout carries the answer, stderr the rest; `--json` makes the answer one",
        "object (`train` and `attach`: one object a line).",
    ]
    for words, command in _commands(group(), ("swarm-lab",)):
        usage = click.Context(command, info_name=" ".join(words), max_content_width=110, terminal_width=110).get_usage()
        lines += ["", f"## {' '.join(words[1:])}", "", command.help or "", "", "```", usage, "```"]
        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        rows = [(option, option.get_help_record(click.Context(command))) for option in options]
        described = [record for option, record in rows if record and option.name not in ("json", "help")]
        if described:
            lines += ["", "| Option | Meaning |", "|---|---|"]
            lines += [f"| `{_cell(name)}` | {_cell(meaning).replace('<', '&lt;')} |" for name, meaning in described]
    return "\n".join(lines) + "\n"


def _commands(parent: click.Group, words: tuple[str, ...]) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in parent.commands.items():
        if isinstance(command, click.Group):
            found += _commands(command, (*words, name))
        else:
            found.append(((*words, name), command))
    return found


def _fields(schema: dict[str, Any], without: tuple[str, ...]) -> list[str]:
    lines = ["| Field | Type | Meaning |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        if name not in without:
            mark = "" if name in schema.get("required", ()) else " (optional)"
            lines.append(f"| `{name}`{mark} | {_type(field)} | {_cell(field.get('description', ''))} |")
    return lines


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kinds = field.get("type", "string")
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(kind: type[SwarmLabError]) -> str:
    return kind.code


def conformance_page() -> str:
    """The page of the existing product's behaviour and the tests that show it here."""
    return _beside("conformance").page()


def _beside(name: str) -> Any:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


PAGES = {
    "errors.md": errors_page,
    "events.md": events_page,
    "commands.md": commands_page,
    "conformance.md": conformance_page,
}


def main() -> None:
    """Write all pages beside this file."""
    for name, page in PAGES.items():
        Path(__file__).with_name(name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()

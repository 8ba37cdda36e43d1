"""A line of `%swarm`, read as the shell's command would be: which verb, with which options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import click
from pydantic import BaseModel, ValidationError

from swarm_lab.cli import group, invalid_options, usage_error
from swarm_lab.errors import UsageError
from swarm_lab.front.command import FlatCommand, read_options
from swarm_lab.front.options import Options, SwarmName
from swarm_lab.verbs import VERBS

PROMPT = "%swarm"
LAST = "last"


class LastOptions(Options):
    """Return the handle of the last training: `run = %swarm last`."""

    name: SwarmName = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was understood. `json` asks for the answer as plain dictionaries and lists."""

    verb: str
    options: BaseModel
    json: bool


@cache
def commands() -> click.Group:
    """The shell's commands, and what only a notebook has."""
    whole = group()
    whole.add_command(FlatCommand.of(LAST, (LastOptions.__doc__ or "").strip(), LastOptions, lambda **_: None))
    return whole


def read_call(words: Sequence[str]) -> Call | None:
    """Understand a line's words; None where help was asked for and printed. Raises `UsageError`."""
    try:
        return _read(list(words))
    except click.exceptions.Exit:
        return None
    except click.ClickException as error:
        raise usage_error(error) from None


def take_target(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Split off `-o NAME`, which is the notebook's: the variable that takes the handle. Raises `UsageError`."""
    left = list(words)
    end = left.index("--") if "--" in left else len(left)
    if "-o" not in left[:end]:
        return left, None
    place = left.index("-o")
    name = left[place + 1] if place + 1 < end else ""
    if not name.isidentifier():
        raise UsageError(f"-o takes the name of a variable, not {name!r}", next_step="write `-o run`, for example")
    return left[:place] + left[place + 2 :], name


def _read(words: list[str]) -> Call | None:
    command: click.Command = commands()
    context = click.Context(command, info_name=PROMPT)
    path: list[str] = []
    while isinstance(command, click.Group):
        if not words or words[0] in ("-h", "--help"):
            click.echo(command.get_help(context))
            return None
        name, found, words = command.resolve_command(context, words)
        if found is None or name is None:
            raise UsageError(f"there is no verb {words[:1]!r}", next_step=f"see `{PROMPT} --help`")
        command = found
        path.append(name)
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    given = command.make_context(path[-1], words, parent=context).params
    verb = " ".join(path)
    try:
        return Call(verb, read_options(options_of(verb), given), bool(given.get("json")))
    except ValidationError as error:
        raise invalid_options(f"{PROMPT} {verb}", error) from error


def options_of(verb: str) -> type[BaseModel]:
    """The model of the options of a verb, given by its words."""
    return LastOptions if verb == LAST else next(found.options for found in VERBS if found.name == verb)

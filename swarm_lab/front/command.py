"""Command lines from models: each field of a verb's options as a click option or argument."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.events import fold, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import read_swarm, swarm_names
from swarm_lab.front.options import Flag

Options = TypeVar("Options", bound=BaseModel)

# The argument form of a field that may stand with or without its name.
_BARE = "{}_bare"


class FlatCommand(click.Command):
    """A command whose options with many values also take them in a row: `--files a b`."""

    many: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, help: str, options: type[BaseModel], run: Callable[..., None]) -> FlatCommand:
        """Make the command of a verb; `run` is called with the values that were given."""
        made = cls(name, help=help, callback=run)
        for field, info in options.model_fields.items():
            made.params += _parameters(field, info)
        # Arguments first, in the order of the fields: click fills them in the order in which it knows them.
        made.params.sort(key=lambda parameter: isinstance(parameter, click.Option))
        made.many = frozenset(p.opts[-1] for p in made.params if isinstance(p, click.Option) and p.multiple)
        json = click.Option(["--json"], is_flag=True, help="Answer with JSON objects, one a line.")
        made.params.append(json)
        return made

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option's name before each of its values, then parse as click does."""
        return super().parse_args(ctx, _spread(args, self.many, self._switches))

    @property
    def _switches(self) -> frozenset[str]:
        flags = (p for p in self.params if isinstance(p, click.Option) and p.is_flag)
        return frozenset(name for p in flags for name in (*p.opts, *p.secondary_opts))


def read_options(model: type[Options], given: dict[str, Any]) -> Options:
    """The model from click's values; what was not given is left to its defaults. Raises `ValidationError`."""
    values = {}
    for field in model.model_fields:
        bare = given.get(_BARE.format(field))
        value = bare if bare is not None else given.get(field)
        if value is not None and value != ():
            values[field] = value
    return model.model_validate(values)


def names_of(kind: str, swarm: str | None) -> list[str]:
    """What completes a word: names of swarms, or of a swarm's nodes or trainings; empty where that cannot be told."""
    try:
        if kind == "swarm":
            return swarm_names()
        paths = [SwarmPaths.of(name) for name in ([swarm] if swarm else swarm_names())]
        if kind == "node":
            return [node.name for path in paths for node in read_swarm(path).nodes]
        if kind == "training":
            return [training for path in paths for training in reversed(fold(read(path.root)))]
    except SwarmLabError:
        return []
    return []


def _spread(args: list[str], many: frozenset[str], switches: frozenset[str]) -> list[str]:
    """`prog.py --files a b` as `prog.py --files a --files b`; only after an argument, which they would swallow else."""
    done: list[str] = []
    current, stood = "", False
    for place, word in enumerate(args):
        if word == "--":
            return done + args[place:]
        before = args[place - 1] if place else ""
        is_value = before.startswith("-") and before not in switches and "=" not in before
        if word.startswith("-"):
            current = word if word in many else ""
        elif current and not is_value and stood:
            done.append(current)
        elif not is_value:
            stood = True
        done.append(word)
    return done


def _parameters(field: str, info: FieldInfo) -> list[click.Parameter]:
    flag = next((found for found in info.metadata if isinstance(found, Flag)), Flag())
    kind, many = _kind(info.annotation)
    complete = _completion(flag)
    parameters: list[click.Parameter] = []
    if flag.bare or flag.either:
        argument = click.Argument(
            [field if flag.bare else _BARE.format(field)],
            type=_click_type(kind),
            required=info.is_required() and not flag.either,
            nargs=-1 if many else 1,
            metavar=flag.metavar or (field.upper() if info.is_required() else f"[{field.upper()}]"),
            shell_complete=complete,
        )
        parameters.append(argument)
    if not flag.bare:
        parameters.append(_option(field, info, flag, kind, many, complete))
    return parameters


def _option(
    field: str, info: FieldInfo, flag: Flag, kind: Any, many: bool, complete: Callable[..., Any] | None
) -> click.Option:
    long = f"--{field.replace('_', '-')}"
    help_text = info.description or ""
    default = info.get_default(call_default_factory=False)
    if isinstance(default, int | float | str) and not isinstance(default, bool):
        help_text += f" [{default}]"
    if kind is bool:
        names = [f"{flag.short}"] if flag.short else []
        both = f"{long}/--no-{field.replace('_', '-')}"
        return click.Option([*names, both, field], default=None, help=help_text)
    names = [flag.short, long, field] if flag.short else [long, field]
    return click.Option(
        names,
        type=_click_type(kind),
        multiple=many,
        default=None,
        required=info.is_required(),
        help=help_text,
        shell_complete=complete,
    )


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type of a field without None, and whether it takes many values."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _kind(next(part for part in get_args(annotation) if part is not type(None)))
    if origin in (tuple, list):
        return get_args(annotation)[0], True
    return annotation, False


def _click_type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice([str(choice) for choice in get_args(kind)])
    if kind is Path:
        return click.Path(path_type=Path)
    return kind if kind in (int, float, str) else str


def _completion(flag: Flag) -> Callable[..., Any] | None:
    if flag.names not in ("swarm", "node", "training"):
        return None

    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = names_of(flag.names, ctx.params.get("name"))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete

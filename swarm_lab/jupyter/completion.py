"""Tab in a line of `%swarm`: verbs, options, choices, and names of swarms, nodes and trainings."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from swarm_lab.front.command import names_of
from swarm_lab.front.options import Flag
from swarm_lab.jupyter.call import commands, options_of

_LINE = re.compile(r"^\s*(?:[\w.,\s]+=\s*)?%{1,2}swarm\s+(?P<rest>.*)$")
_NOTHING: SimpleMatcherResult = {"completions": [], "suppress": False}


@context_matcher()  # type: ignore[untyped-decorator]
def swarm_matcher(context: CompletionContext) -> SimpleMatcherResult:
    """Complete a `%swarm` line; elsewhere, and where a path stands, say nothing and let others answer."""
    line = context.text_until_cursor.rpartition("\n")[2]
    found = _LINE.match(line)
    if found is None:
        return _NOTHING
    *before, word = re.split(r"\s+", found["rest"])
    fitting = [(text, kind) for text, kind in candidates(before) if text.startswith(word)]
    if not fitting:
        return _NOTHING
    return {
        "completions": [SimpleCompletion(text, type=kind) for text, kind in fitting],
        "matched_fragment": word,
        "suppress": True,
        "ordered": True,
    }


def candidates(before: list[str]) -> Iterator[tuple[str, str]]:
    """What may come after the words `before`, each with its kind."""
    command: click.Command = commands()
    path: list[str] = []
    words = list(before)
    while isinstance(command, click.Group):
        if not words:
            yield from ((name, "verb") for name in command.commands)
            return
        found = command.commands.get(words[0])
        if found is None:
            return
        path.append(words.pop(0))
        command = found
    if "--" not in words:
        yield from _arguments(command, " ".join(path), words)


def _arguments(command: click.Command, verb: str, words: list[str]) -> Iterator[tuple[str, str]]:
    taking = _taking(command, words)
    if taking is not None:
        yield from _values(taking, verb, words)
        return
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield from _values(parameter, verb, words)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and (parameter.multiple or not set(_names(parameter)) & set(words)):
            yield from ((name, "option") for name in _names(parameter) if name.startswith("--"))
    if verb in ("train", "attach") and "-o" not in words:
        yield "-o", "option"


def _taking(command: click.Command, words: list[str]) -> click.Option | None:
    """The option whose value comes next."""
    last = words[-1] if words else ""
    options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    return next((option for option in options if last in option.opts and not option.is_flag), None)


def _names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _values(parameter: click.Parameter, verb: str, words: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(parameter.type, click.Choice):
        yield from ((str(choice), "value") for choice in parameter.type.choices)
        return
    kind = _kind_of_name(parameter, verb)
    swarm = next((words[place + 1] for place, word in enumerate(words[:-1]) if word == "--name"), None)
    yield from ((name, kind) for name in names_of(kind, swarm))


def _kind_of_name(parameter: click.Parameter, verb: str) -> str:
    field = (parameter.name or "").removesuffix("_bare")
    info = options_of(verb).model_fields.get(field)
    flag = next((found for found in info.metadata if isinstance(found, Flag)), Flag()) if info else Flag()
    return flag.names

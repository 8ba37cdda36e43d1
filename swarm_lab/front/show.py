"""Answers on a terminal: tables and live progress for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from pydantic import BaseModel
from rich.console import Console

from swarm_lab.errors import SwarmLabError
from swarm_lab.front.live import Board
from swarm_lab.front.tables import table_of

# How often a node says how far it is inside a round is of use to a display only.
_NOT_FOR_PROGRAMS = frozenset({"progress"})
DETACHED = "detached: the training goes on. `swarm-lab attach` shows it, `swarm-lab stop` ends it"


class Output(Protocol):
    """Where a call's answer, events and failures go."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, verb: str) -> None:
        """A verb starts."""

    def say(self, line: str) -> None:
        """A line of progress, to stderr."""

    def event(self, event: Mapping[str, Any]) -> None:
        """An event of a training."""

    def line(self, node: str, line: str) -> None:
        """A line of a log."""

    def answer(self, verb: str, answer: BaseModel) -> None:
        """The verb's answer, to stdout."""

    def fail(self, error: SwarmLabError) -> int:
        """A failure; returns the exit status."""
        ...

    def detached(self) -> None:
        """Ctrl-C."""


class JsonOut:
    """For programs: one object a line on stdout, the rest on stderr."""

    def __init__(self) -> None:
        self._verb = ""
        self._streamed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def begin(self, verb: str) -> None:
        """Remember the verb."""
        self._verb = verb

    def say(self, line: str) -> None:
        """To stderr."""
        print(line, file=sys.stderr, flush=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """One object; the last one is the answer."""
        if event.get("event") not in _NOT_FOR_PROGRAMS:
            self._streamed = True
            self._print(event)

    def line(self, node: str, line: str) -> None:
        """One object."""
        self._streamed = True
        self._print({"event": "log", "node": node, "line": line})

    def answer(self, verb: str, answer: BaseModel) -> None:
        """One object, unless the events have said it already."""
        if not self._streamed:
            self._print(answer.model_dump(mode="json"))

    def fail(self, error: SwarmLabError) -> int:
        """The last object."""
        self._print({"error": error.to_dict()})
        return error.exit_code

    def detached(self) -> None:
        """Say so on stderr."""
        if self._verb in ("train", "attach"):
            print(DETACHED, file=sys.stderr)

    @staticmethod
    def _print(value: Mapping[str, Any]) -> None:
        print(json.dumps(value, default=str), flush=True)


class PeopleOut:
    """For people: tables on stdout; progress, live on a terminal, and failures on stderr."""

    def __init__(self, out: Console | None = None, err: Console | None = None) -> None:
        self._out = out or Console(soft_wrap=True, highlight=False)
        self._err = err or Console(stderr=True, soft_wrap=True, highlight=False)
        self._board: Board | None = None
        self._verb = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.stop()

    def begin(self, verb: str) -> None:
        """Remember the verb."""
        self._verb = verb

    def say(self, line: str) -> None:
        """A dim line."""
        self._err.print(line, style="dim", markup=False)

    def event(self, event: Mapping[str, Any]) -> None:
        """Show it on the training's board."""
        if self._board is None:
            self._board = Board(self._out)
        self._board.show(event)

    def line(self, node: str, line: str) -> None:
        """As it is."""
        self._out.print(line, markup=False)

    def answer(self, verb: str, answer: BaseModel) -> None:
        """A table, or lines."""
        if self._board is not None:
            self._board.stop()
            return
        for part in table_of(verb, answer):
            self._out.print(part)

    def fail(self, error: SwarmLabError) -> int:
        """Code, cause and next step."""
        self._err.print(f"{error.code}: {error.message}", style="bold red", markup=False)
        self._err.print(f"Next: {error.next_step}", markup=False)
        return error.exit_code

    def detached(self) -> None:
        """Say that the training goes on."""
        self._err.print(DETACHED if self._verb in ("train", "attach") else "interrupted", markup=False)

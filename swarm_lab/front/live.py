"""A training as it runs, for people: a live board on a terminal, a line per fact elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from swarm_lab.facts.phases import lasting
from swarm_lab.facts.views import TrainingView, apply

_MOMENT_S = 2.0
_SILENT = frozenset({"progress", "training_started"})


class Board:
    """Shows the events of one training. On a terminal a table of its nodes stays below what was said."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._views: dict[str, TrainingView] = {}
        self._live: Live | None = None
        self._view = TrainingView("")
        self._told: set[tuple[str, str]] = set()

    def show(self, event: Mapping[str, Any]) -> None:
        """Take the next event."""
        view = apply(self._views, event)
        text = self._text(event)
        if text is not None:
            self._console.print(text)
        if view is None or not self._console.is_terminal:
            return
        self._view = view
        if self._live is None:
            self._live = Live(
                console=self._console, refresh_per_second=4, transient=True, get_renderable=lambda: _table(self._view)
            )
            self._live.start()
        if event.get("event") == "finished":
            self.stop()

    def stop(self) -> None:
        """Take the table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _text(self, event: Mapping[str, Any]) -> Text | None:
        name = str(event.get("event"))
        if name in _SILENT:
            return None
        node = str(event.get("node", ""))
        view = self._views.get(str(event.get("training")))
        if name == "node_lost" and view is not None and node not in view.lost:
            return None  # it has ended: nothing is missed
        if name == "waiting" and (node, str(event.get("reason"))) in self._told:
            return None
        if name == "waiting":
            self._told.add((node, str(event.get("reason"))))
        return _LINES.get(name, _other)(event)


def _table(view: TrainingView) -> Table:
    table = Table("node", "phase", "round", "batches", "loss", "metric", "", box=None, title=f"{view.id} {view.state}")
    last = view.rounds[-1].metrics if view.rounds else {}
    for node in view.nodes:
        here = view.progress.get(node, {})
        numbers = last.get(node) or {}
        loss = here.get("loss") if here.get("loss") is not None else numbers.get("loss")
        note = str(view.waiting.get(node, {}).get("reason", ""))
        if node in view.lost:
            note = f"not heard: {view.lost[node].get('reason')}"
        table.add_row(
            node,
            _phase(view, node),
            str(here.get("round") or view.round),
            str(here.get("batches", "")),
            number(loss),
            number(numbers.get("metric")),
            note,
        )
    return table


def _phase(view: TrainingView, node: str) -> str:
    """A phase and for how long, where that is longer than a moment."""
    known = view.phases.get(node)
    if known is None:
        return "WAITING_FOR_PEERS" if view.state == "running" else ""
    if node in view.finished or node in view.failed:
        return known.phase
    seconds = time.time() - known.since
    return known.phase + (f" {lasting(seconds)}" if seconds >= _MOMENT_S else "")


def number(value: Any) -> str:
    """A loss or metric in four digits."""
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def _created(event: Mapping[str, Any]) -> Text:
    nodes = ", ".join(event.get("nodes", []))
    return Text(f"{event['training']}: {event.get('program')} on {nodes}; {_terms(event)}")


def _agreed(event: Mapping[str, Any]) -> Text:
    return Text(f"the program's own arguments hold: {_terms(event)}")


def _terms(event: Mapping[str, Any]) -> str:
    adaptive = " at first, then by the validation loss" if event.get("adaptive") else ""
    patience = event.get("early_stopping")
    ends = f", ends after {patience} rounds without a better loss" if patience else ""
    return (
        f"merge {event.get('merge')}, every {event.get('sync')} batches{adaptive}, "
        f"{event.get('min_peers')} nodes at least{ends}"
    )


def _round(event: Mapping[str, Any]) -> Text:
    parts = []
    for node, numbers in (event.get("metrics") or {}).items():
        metric = number((numbers or {}).get("metric"))
        parts.append(f"{node} {number((numbers or {}).get('loss'))}" + (f"/{metric}" if metric else ""))
    left = "".join(f"; without {node}: {why}" for node, why in (event.get("left_out") or {}).items())
    seconds = event.get("seconds")
    took = f" {seconds:.2f} s" if isinstance(seconds, int | float) else ""
    return Text(f"round {event['round']:>3}{took}  {'  '.join(parts)}{left}")


def _failed(event: Mapping[str, Any]) -> Text:
    where = f", line {event['line']}" if event.get("line") else ""
    trace = f"\n{str(event['traceback']).rstrip()}" if event.get("traceback") else ""
    return Text(f"{event.get('node')} failed{where}: {event.get('message')}{trace}", style="red")


def _finished(event: Mapping[str, Any]) -> Text:
    state = str(event.get("state", "finished"))
    digest = str(event.get("digest") or "")[:16]
    text = f"{event['training']} {state} after {event.get('rounds')} rounds"
    without = "; ".join(f"{node} ({why})" for node, why in (event.get("without") or {}).items())
    text += f", the last one without {without}" if without else ""
    return Text(text + (f"; model {event.get('model')} digest {digest}" if event.get("model") else ""), style="bold")


def _other(event: Mapping[str, Any]) -> Text:
    hidden = ("v", "seq", "time", "event", "training", "key", "node")
    fields = ", ".join(f"{key} {value}" for key, value in event.items() if key not in hidden and value is not None)
    return Text(" ".join(part for part in (str(event.get("node", "")), str(event["event"]), fields) if part))


_LINES: dict[str, Callable[[Mapping[str, Any]], Text]] = {
    "training_created": _created,
    "training_agreed": _agreed,
    "round": _round,
    "node_failed": _failed,
    "finished": _finished,
    "output": lambda event: Text(f"{event.get('node')}| {event.get('text')}", style="dim"),
    "waiting": lambda event: Text(f"{event.get('node')} waits: {event.get('reason')}", style="yellow"),
    "node_finished": lambda event: Text(f"{event.get('node')} finished"),
    "training_resumed": lambda event: Text(f"goes on after round {event['round']} on {', '.join(event['nodes'])}"),
    "program_restarted": lambda event: Text(
        f"{event.get('node')} starts its program again, start {event.get('start')}: {event.get('reason')}",
        style="yellow",
    ),
    "node_lost": lambda event: Text(
        f"{event.get('node')} is not heard: {event.get('reason')} (says {event.get('by')})", style="yellow"
    ),
    "coordinator": lambda event: Text(
        f"{event.get('node')} coordinates round {event.get('round')} ({event.get('after')}: {event.get('reason')})"
    ),
    "repeated": lambda event: Text(f"{event.get('node')}: {event.get('reason')}", style="yellow"),
    "node_joined": lambda event: Text(f"{event.get('node')} joins"),
    "training_stopped": lambda event: Text("stopping with one closing round"),
}

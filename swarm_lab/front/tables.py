"""Answers as people read them: a table or a few lines for each verb."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from rich.table import Column, Table
from rich.text import Text

from swarm_lab.facts.causes import Cause
from swarm_lab.facts.phases import lasting
from swarm_lab.front.doctor import Report
from swarm_lab.front.logs import for_people
from swarm_lab.front.options import LogLines, MetricsPage, ModelDigest, NodeList, SwarmList, Verdict
from swarm_lab.front.status import NodeStatus, SwarmStatus

_COLOURS = {
    "ready": "green",
    "training": "cyan",
    "running": "cyan",
    "finished": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "queued": "yellow",
    "degraded": "magenta",
    "failed": "red",
}


def table_of(verb: str, answer: BaseModel) -> Iterator[Any]:
    """What rich prints for an answer."""
    if isinstance(answer, SwarmStatus):
        yield from _status(answer)
    elif isinstance(answer, NodeList):
        yield _nodes(answer.nodes)
    elif isinstance(answer, SwarmList):
        yield from _list(answer)
    elif isinstance(answer, LogLines):
        yield Text("\n".join(for_people(line) for line in answer.lines))
    elif isinstance(answer, MetricsPage):
        yield Text(answer.text.rstrip("\n"))
    elif isinstance(answer, ModelDigest):
        yield Text(answer.digest)
    elif isinstance(answer, Report):
        if answer.cause is not None:
            yield from _cause(answer.cause)
        yield _checks([(check.check, check.ok, check.message, check.next) for check in answer.checks])
        if answer.bundle:
            yield Text(f"logs collected in {answer.bundle}")
    elif isinstance(answer, Verdict):
        yield _checks([(link.what, link.ok, link.message, "") for link in answer.evidence])
        yield Text(f"{answer.training}: " + ("holds" if answer.ok else "does not hold"))
    else:
        yield from _fields(answer)


def word(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=_COLOURS.get(state, ""))


def _status(answer: SwarmStatus) -> Iterator[Any]:
    yield Text.assemble(f"{answer.swarm} ", word(answer.state), f"  {answer.framework}  {answer.directory}")
    if answer.message:
        yield Text(answer.message, style="magenta")
    yield _nodes(answer.nodes)
    if answer.trainings:
        table = Table("training", "state", "round", "nodes", "merge", "program", "note", box=None)
        for training in answer.trainings:
            note = "; ".join(f"{n}: {m}" for n, m in training.failed.items())
            note = note or "; ".join(f"{n} waits: {w.get('reason')}" for n, w in training.waiting.items())
            note = note or "; ".join(f"{n} is not heard: {w.get('reason')}" for n, w in training.lost.items())
            note = note or "; ".join(f"last round without {n}: {why}" for n, why in training.without.items())
            nodes = ", ".join(training.nodes)
            program = training.program.rpartition("/")[2]
            table.add_row(
                training.id, word(training.state), str(training.round), nodes, training.merge, program, Text(note)
            )
        yield table


def _nodes(nodes: list[NodeStatus]) -> Table:
    widest = max((len(str(node.phase)) + 1 for node in nodes if node.phase), default=5)  # a phase is not cut off
    table = Table("node", "kind", "state", Column("phase", min_width=widest), "address", "pid", "note", box=None)
    for node in nodes:
        pid = str(node.pid or "")
        table.add_row(node.name, node.kind, word(node.state), _phase(node), node.address, pid, Text(node.message))
    return table


def _phase(node: NodeStatus) -> str:
    """Where it is in its training, in which round, and for how long."""
    if node.phase is None:
        return ""
    where = f", round {node.round}" if node.round and node.state == "training" else ""
    since = f" for {lasting(time.time() - node.phase_since)}" if node.phase_since else ""
    return f"{node.phase}{where}{since}"


def _cause(cause: Cause) -> Iterator[Text]:
    """First what made the training fail, and what to do."""
    where = " ".join(part for part in (f"on {cause.node}:" if cause.node else "", cause.code) if part)
    yield Text(f"{cause.training} failed {where} {cause.message}".replace("  ", " "), style="bold red")
    if cause.after:
        yield Text(f"because of that also {', '.join(cause.after)}")
    if cause.next:
        yield Text(f"Next: {cause.next}")


def _list(answer: SwarmList) -> Iterator[Any]:
    if not answer.swarms:
        yield Text("no swarms: `swarm-lab up` makes one")
        return
    table = Table("swarm", "state", "framework", "seats", "trainings", box=None)
    for swarm in answer.swarms:
        row = (swarm["swarm"], word(swarm["state"]), swarm["framework"], str(swarm["seats"]), str(swarm["trainings"]))
        table.add_row(*row)
    yield table


def _checks(rows: list[tuple[str, bool, str, str]]) -> Table:
    table = Table("", "check", "", "next", box=None)
    for name, ok, message, next_step in rows:
        table.add_row(Text("ok" if ok else "!!", style="green" if ok else "red"), name, Text(message), Text(next_step))
    return table


def _fields(answer: BaseModel) -> Iterator[Text]:
    for key, value in answer.model_dump(mode="json").items():
        yield Text(f"{key}: {value}")

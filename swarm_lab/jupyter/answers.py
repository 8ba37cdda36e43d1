"""Answers of verbs as a notebook shows them: HTML in the look of the training's card, plain text as in a shell."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from swarm_lab.errors import SwarmLabError
from swarm_lab.front.doctor import Report
from swarm_lab.front.options import LogLines, ModelDigest, NodeList, Record, SwarmList, Verdict
from swarm_lab.front.status import NodeStatus, SwarmStatus, TrainingStatus
from swarm_lab.front.tables import table_of
from swarm_lab.jupyter.card import style
from swarm_lab.jupyter.icons import icon, state_html

ANSWERS = (SwarmStatus, NodeList, SwarmList, Verdict, Report, LogLines, ModelDigest, Record)
"""The types of the verbs' answers."""

_WIDTH = 120


def html_of(answer: BaseModel) -> str | None:
    """The answer as HTML, or None for one that reads best as text."""
    if isinstance(answer, SwarmStatus):
        return _status(answer)
    if isinstance(answer, NodeList):
        return _card(f"Nodes of {answer.swarm}", "", _nodes(answer.nodes))
    if isinstance(answer, SwarmList):
        return _swarms(answer)
    if isinstance(answer, Verdict):
        state = "finished" if answer.ok else "failed"
        head = f"{_mark(answer.ok)}<b>{escape(answer.training)} {'holds' if answer.ok else 'does not hold'}</b>"
        return _card(f"Evidence of {state}", head, _checks([(e.what, e.ok, e.message, "") for e in answer.evidence]))
    if isinstance(answer, Report):
        head = f"{_mark(answer.ok)}<b>{escape(answer.swarm)}</b>"
        foot = f'<div class="swl-Foot">logs collected in {escape(answer.bundle)}</div>' if answer.bundle else ""
        rows = [(check.check, check.ok, check.message, check.next) for check in answer.checks]
        return _card("Checks", head, _checks(rows) + foot)
    return None


def text_of(answer: BaseModel) -> str:
    """The answer as a shell prints it."""
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, highlight=False, force_terminal=False, force_jupyter=False)
    for part in table_of("", answer):
        console.print(part)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def error_block(error: SwarmLabError) -> list[str]:
    """What stands in place of a traceback: code and title, cause, next step."""
    red, bold, plain = "\x1b[31m", "\x1b[1m", "\x1b[0m"
    return [
        f"{red}{bold}{error.code}{plain} {bold}{error.title}{plain}",
        f"Cause  {error.message}",
        f"Next   {error.next_step}",
    ]


def _status(answer: SwarmStatus) -> str:
    note = f'<span class="swl-2">{escape(answer.message)}</span>' if answer.message else ""
    head = (
        f'{state_html(answer.state)} <b>{escape(answer.swarm)}</b> <span class="swl-2">{escape(answer.framework)}, '
        f"{sum(node.kind == 'sl' for node in answer.nodes)} seats</span>{note}"
    )
    trainings = _trainings(answer.trainings) if answer.trainings else ""
    return _card(f"Swarm {answer.swarm}", head, _nodes(answer.nodes) + trainings)


def _nodes(nodes: Iterable[NodeStatus]) -> str:
    rows = [
        (
            f'<span class="swl-Name">{icon(node.kind)}{escape(node.name)}</span>',
            state_html(node.state),
            escape(node.address) or "–",
            _pid(node),
            escape(node.message),
        )
        for node in nodes
    ]
    return _table(("Node", "State", "Address", "Process", "Note"), rows, right={3})


def _trainings(trainings: Iterable[TrainingStatus]) -> str:
    rows = [
        (
            f"<b>{escape(one.id)}</b>",
            state_html(one.state),
            str(one.round),
            escape(", ".join(one.nodes)),
            escape(_training_note(one)),
        )
        for one in trainings
    ]
    return _table(("Training", "State", "Round", "Nodes", "Note"), rows, right={2})


def _training_note(one: TrainingStatus) -> str:
    failed = "; ".join(f"{node}: {message}" for node, message in one.failed.items())
    waiting = "; ".join(f"{node} waits: {said.get('reason')}" for node, said in one.waiting.items())
    pace = f"every {one.sync} batches{', adaptive' if one.adaptive else ''}"
    return failed or waiting or f"{one.program.rpartition('/')[2]}, merge {one.merge}, {pace}"


def _swarms(answer: SwarmList) -> str:
    rows = [
        (
            f"<b>{escape(str(one['swarm']))}</b>",
            state_html(str(one["state"])),
            escape(str(one["framework"])),
            str(one["seats"]),
            str(one["trainings"]),
            "",
        )
        for one in answer.swarms
    ]
    empty = "" if rows else '<div class="swl-Foot">No swarm yet: <code>%swarm up</code> makes one.</div>'
    body = _table(("Swarm", "State", "Framework", "Seats", "Trainings", ""), rows, right={3, 4}) if rows else empty
    return _card("Swarms", "<b>Swarms</b>", body)


def _checks(rows: Iterable[tuple[str, bool, str, str]]) -> str:
    cells = [
        (f'<span class="swl-Name">{_mark(ok)}{escape(what)}</span>', escape(message), escape(next_step))
        for what, ok, message, next_step in rows
    ]
    return _table(("Check", "Seen", "Next"), cells)


def _mark(ok: bool) -> str:
    return icon("ready", "ok") if ok else icon("failed", "bad")


def _pid(node: NodeStatus) -> str:
    return str(node.pid) if node.pid else "–"


def _card(label: str, head: str, body: str) -> str:
    top = f'<div class="swl-Head">{head}</div>' if head else ""
    return f'{style()}<section class="swl-Output" aria-label="{escape(label)}">{top}{body}</section>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
    last = len(head) - 1
    classes = [" class=r" if place in right else ' class="note"' if place == last else "" for place in range(len(head))]
    top = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(classes, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="swl-Scroll"><table class="swl-Table"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def plain_dict(answer: BaseModel) -> dict[str, Any]:
    """The answer as `--json` has it."""
    return answer.model_dump(mode="json")

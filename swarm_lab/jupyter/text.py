"""A training as plain text: what terminals, logs and papermill show, and what a screen reader may read."""

from __future__ import annotations

from swarm_lab.facts.phases import lasting
from swarm_lab.jupyter.card import duration, number
from swarm_lab.jupyter.icons import look
from swarm_lab.jupyter.picture import Failure, Picture, Row


def plain(shot: Picture) -> str:
    """The same facts as the card, a line a node."""
    word = look(shot.state).word.lower()
    lines = [
        f"Training {shot.training} on {shot.swarm}: {word}, round {shot.round}, "
        f"{shot.active} of {len(shot.rows)} nodes, {duration(shot.seconds)}"
    ]
    width = max((len(row.node) for row in shot.rows), default=0)
    lines += [
        f"  {row.node:<{width}}  {_state(row):<16}  loss {number(row.loss):>7}  "
        f"metric {number(row.metric):>6}  {row.note}".rstrip()
        for row in shot.rows
    ]
    for failure in shot.failures:
        lines += ["", headline(failure), failure.traceback or failure.message]
    if shot.note:
        lines += ["", shot.note]
    return "\n".join(lines)


def _state(row: Row) -> str:
    word = look(row.state).word.lower()
    return word if row.seconds is None else f"{word} {lasting(row.seconds)}"


def headline(failure: Failure) -> str:
    """Who failed, where, with which code."""
    place = f" ({failure.place})" if failure.place else ""
    code = f" {failure.code}" if failure.code else ""
    return f"The program failed on {', '.join(failure.nodes)}{place}{code}"

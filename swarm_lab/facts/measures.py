"""What nodes measured on their own validation data, round by round: of their own model before a merge, and after it.

A check-in tells the loss of the model that its interval started from. So the loss of the model that round r made stands
in round r + 1, that of the last model in what a node says when it has finished; here it stands with round r again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from swarm_lab.facts.views import MEASURES, TrainingView, number

Name = Literal["loss", "metric", "local_loss", "local_metric"]
_MERGED: tuple[Name, Name] = ("loss", "metric")


@dataclass(frozen=True, slots=True)
class Measured:
    """One node in one round; None where it is not known. `local_loss` and `local_metric` are of the node's own model,
    before the merge; `loss` and `metric` of the merged model, known once the node has judged it."""

    round: int
    node: str
    loss: float | None
    metric: float | None
    local_loss: float | None
    local_metric: float | None


def measured(view: TrainingView) -> list[Measured]:
    """One for each committed round and node that took part, in the order of rounds."""
    # Written out: a training may have thousands of rounds and a hundred nodes.
    judged = {done.round - 1: done.metrics for done in view.rounds}
    ends = {(node, int(end.get("round") or view.round)): end.get("metrics") for node, end in view.finished.items()}
    found = []
    for done in view.rounds:
        at, after = done.round, judged.get(done.round, {})
        for node in done.nodes:
            own, next_, end = done.metrics.get(node) or {}, after.get(node) or {}, ends.get((node, at)) or {}
            loss, metric = number(end.get("loss")), number(end.get("metric"))
            found.append(
                Measured(
                    at,
                    node,
                    number(next_.get("loss")) if loss is None else loss,
                    number(next_.get("metric")) if metric is None else metric,
                    number(own.get("local_loss")),
                    number(own.get("local_metric")),
                )
            )
    return found


def curves(view: TrainingView, name: Name) -> dict[str, list[tuple[float, float]]]:
    """By node the known values as (round, value); also of nodes that judged a model they had no part in."""
    found: dict[str, list[tuple[float, float]]] = {}
    for node, at, value in _merged(view, name) if name in _MERGED else _local(view, name):
        found.setdefault(node, []).append((float(at), value))
    return found


def latest(view: TrainingView) -> dict[str, dict[str, float | None]]:
    """By node the last known value of each kind, the final ones where it has finished; {} for one that told none."""
    found: dict[tuple[str, str], float] = {}
    for node, end in view.finished.items():
        _note(found, node, end.get("metrics"), _MERGED)
    for done in reversed(view.rounds):
        # A training may have thousands of rounds: those that tell nothing newer are not looked at.
        if len(found) >= len(view.measured):
            break
        for node, said in done.metrics.items():
            _note(found, node, said, MEASURES)
    nodes = dict.fromkeys(node for node, _ in found)
    return {node: {name: found.get((node, name)) for name in MEASURES} for node in nodes}


def _note(found: dict[tuple[str, str], float], node: str, said: Any, names: Iterable[str]) -> None:
    """The values that are not known yet: what is newer was noted before."""
    for name in names:
        if (node, name) not in found and (value := number((said or {}).get(name))) is not None:
            found[node, name] = value


def _merged(view: TrainingView, name: str) -> Iterator[tuple[str, int, float]]:
    for done in view.rounds:
        for node, said in done.metrics.items():
            if (value := number((said or {}).get(name))) is not None:
                yield node, done.round - 1, value
    for node, end in view.finished.items():
        if (value := number((end.get("metrics") or {}).get(name))) is not None:
            # Of a training that was resumed, it may have finished before the others.
            yield node, int(end.get("round") or view.round), value


def _local(view: TrainingView, name: str) -> Iterator[tuple[str, int, float]]:
    for done in view.rounds:
        for node, said in done.metrics.items():
            if (value := number((said or {}).get(name))) is not None:
                yield node, done.round, value

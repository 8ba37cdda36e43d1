"""A training in full, as a browser gets it: status, rounds with who did what, measures, and what a fold goes on from.

`extension/src/training.ts` folds further facts onto it; `tests/unit/frontdoor/test_training_detail.py` compares both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from pydantic import BaseModel, Field

from swarm_lab.facts.measures import Measured, latest, measured
from swarm_lab.facts.views import RoundTimes, RoundView, TrainingView
from swarm_lab.front.status import TrainingStatus, training_status

_ROUNDS_FOR_PACE = 5


class TrainingInfo(TrainingStatus):
    """A training in a list. `loss` and `metric`: mean over the nodes of the latest merged model; `round_seconds`: mean
    of the last rounds. A program decides itself how many rounds it takes: where it does not tell, none is planned.
    """

    created: float = 0.0
    ended: float | None = None
    rounds_planned: int | None = None
    eta_s: float | None = None
    round_seconds: float | None = None
    loss: float | None = None
    metric: float | None = None


class Times(BaseModel):
    """Seconds of one node in one round."""

    training: float
    waiting: float
    exchanging: float


class Told(BaseModel):
    """What nodes told of a round that is not committed yet."""

    coordinator: str | None
    times: dict[str, Times]


class Round(Told):
    """A committed round; `times` of the nodes that told them."""

    round: int
    time: float
    seconds: float | None
    nodes: list[str]
    left_out: dict[str, str]
    digest: str
    tx: str | None
    path: str | None
    interval: int | None


class NodePhase(BaseModel):
    """Where a node is, and for whom it waits and why."""

    phase: str
    since: float
    waiting_for: list[str]
    reason: str


class Progress(BaseModel):
    """How far a node's program is."""

    round: int | None
    batches: int
    loss: float | None


class Failure(BaseModel):
    """Why a node takes part no more."""

    code: str | None
    message: str
    next: str | None
    traceback: str | None
    line: int | None


class Judged(BaseModel):
    """A node's judgement of a merged model."""

    loss: float | None = None
    metric: float | None = None


class TrainingDetail(TrainingInfo):
    """A training in full. `finished` has nodes with the final model and what their rounds had told before it;
    `seq` is the last fact that all this holds; `told` are times of rounds that are not committed."""

    swarm: str
    seq: int
    stopping: bool
    rounds: list[Round]
    measures: list[Measured]
    now: dict[str, NodePhase]
    progress: dict[str, Progress]
    merged_batches: dict[str, int]
    finished: dict[str, Judged]
    failures: dict[str, Failure]
    told: dict[int, Told] = Field(default_factory=dict)


def training_info(view: TrainingView) -> TrainingInfo:
    """A training's view as lists show it."""
    status = training_status(view)
    paces = [done.seconds for done in view.rounds[-_ROUNDS_FOR_PACE:] if done.seconds is not None]
    return TrainingInfo(
        **status.model_dump(),
        created=view.created,
        ended=view.ended,
        round_seconds=fmean(paces) if paces else None,
        loss=_mean(status.metrics, "loss"),
        metric=_mean(status.metrics, "metric"),
    )


def training_detail(view: TrainingView, *, swarm: str, seq: int) -> TrainingDetail:
    """A training's view in full, folded from the facts up to `seq`."""
    return TrainingDetail(
        **training_info(view).model_dump(),
        swarm=swarm,
        seq=seq,
        stopping=view.stop_asked,
        rounds=[_round(done) for done in view.rounds],
        measures=measured(view),
        now={node: _now(view, node) for node in view.phases},
        progress={
            node: Progress(**said | {"batches": said.get("batches") or 0}) for node, said in view.progress.items()
        },
        merged_batches=_merged_batches(view),
        finished=_finished(view),
        failures={node: _failure(said) for node, said in view.failed.items()},
        told={round_: _told(times) for round_, times in view.times.items()},
    )


def _mean(metrics: Mapping[str, Mapping[str, float | None]], name: str) -> float | None:
    known = [value for found in metrics.values() if (value := found.get(name)) is not None]
    return fmean(known) if known else None


def _told(times: RoundTimes) -> Told:
    return Told(coordinator=times.coordinator, times={node: Times(**spent) for node, spent in times.nodes.items()})


def _round(done: RoundView) -> Round:
    return Round(
        **_told(done.times).model_dump(),
        round=done.round,
        time=done.time,
        seconds=done.seconds,
        nodes=done.nodes,
        left_out=done.left_out,
        digest=done.digest,
        tx=done.tx,
        path=done.path,
        interval=done.interval,
    )


def _now(view: TrainingView, node: str) -> NodePhase:
    waits: Mapping[str, Any] = {} if view.over else view.waiting.get(node, {})
    phase = view.phases[node]
    return NodePhase(
        phase=phase.phase,
        since=phase.since,
        waiting_for=waits.get("nodes") or [],
        reason=str(waits.get("reason") or ""),
    )


def _finished(view: TrainingView) -> dict[str, Judged]:
    """A training that is resumed holds for these again what it held before they finished."""
    before = latest(replace(view, finished={}))
    return {
        node: Judged(**{name: before.get(node, {}).get(name) for name in Judged.model_fields}) for node in view.finished
    }


def _failure(said: Mapping[str, Any]) -> Failure:
    return Failure(
        message=str(said.get("message") or ""), **{key: said.get(key) for key in ("code", "next", "traceback", "line")}
    )


def _merged_batches(view: TrainingView) -> dict[str, int]:
    found: dict[str, int] = {}
    for done in view.rounds:
        for node, said in done.metrics.items():
            found[node] = found.get(node, 0) + int((said or {}).get("batches") or 0)
    return found

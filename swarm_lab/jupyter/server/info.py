"""A swarm as the panel shows it, made from its status, its views and what its processes use."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from swarm_lab.facts.measures import measured
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.status import NodeStatus, SwarmStatus, TrainingStatus
from swarm_lab.jupyter.server.models import (
    ActiveFault,
    Load,
    Measure,
    NodeInfo,
    PhaseNow,
    PhaseTimes,
    Round,
    SwarmInfo,
    TrainingDetail,
    TrainingInfo,
)

_PACE_ROUNDS = 5


def swarm_info(
    status: SwarmStatus,
    views: Mapping[str, TrainingView],
    loads: Mapping[str, Load],
    faults: Mapping[str, list[ActiveFault]],
    seq: int,
) -> SwarmInfo:
    """`loads` and `faults` are by node."""
    trainings = [training_info(found, views) for found in status.trainings]
    nodes = [node_info(node, loads.get(node.name), faults.get(node.name, [])) for node in status.nodes]
    return SwarmInfo(**{**dict(status), "nodes": nodes, "trainings": trainings}, seq=seq)


def node_info(node: NodeStatus, load: Load | None, faults: list[ActiveFault]) -> NodeInfo:
    """The end of a node's identity is among the facts that it tells of itself."""
    expires = node.extra.get("expires", node.extra.get("authority_expires"))
    return NodeInfo(**dict(node), load=load, expires=expires, faults=faults)


def training_info(status: TrainingStatus, views: Mapping[str, TrainingView]) -> TrainingInfo:
    """With its pace: how long its last rounds took, and what that means for the rest."""
    view = views[status.id]
    took = [done.seconds for done in view.rounds[-_PACE_ROUNDS:] if done.seconds]
    pace = statistics.median(took) if took else None
    planned = _planned(view, views)
    running = pace is not None and planned is not None and view.state == "running"
    return TrainingInfo(
        **dict(status),
        created=view.created,
        ended=view.ended,
        rounds_planned=planned,
        round_seconds=pace,
        eta_s=max(planned - view.round, 0) * pace if running and planned and pace else None,
        loss=_mean(view, "loss"),
        metric=_mean(view, "metric"),
    )


def training_detail(swarm: str, status: TrainingStatus, views: Mapping[str, TrainingView]) -> TrainingDetail:
    """With every round."""
    view = views[status.id]
    return TrainingDetail(
        **dict(training_info(status, views)),
        swarm=swarm,
        rounds=[
            Round(
                round=done.round,
                time=done.time,
                seconds=done.seconds,
                nodes=done.nodes,
                left_out=done.left_out,
                digest=done.digest,
                tx=done.tx,
                path=done.path,
                coordinator=done.coordinator,
                times={node: PhaseTimes(**spent) for node, spent in done.times.items()},
            )
            for done in view.rounds
        ],
        measures=[
            Measure(
                round=one.round,
                node=one.node,
                loss=one.loss,
                metric=one.metric,
                local_loss=one.local_loss,
                local_metric=one.local_metric,
            )
            for one in measured(view)
        ],
        now={node: _now(view, node) for node in view.phases},
    )


def _now(view: TrainingView, node: str) -> PhaseNow:
    waiting = view.waiting.get(node, {})
    found = view.phases[node]
    return PhaseNow(
        phase=found.phase,
        since=found.since,
        waiting_for=waiting.get("nodes") or [],
        reason=str(waiting.get("reason") or ""),
    )


def _planned(view: TrainingView, views: Mapping[str, TrainingView]) -> int | None:
    """Nobody tells beforehand how many rounds a program makes; its last finished run on as many nodes is the guess."""
    if view.over:
        return view.round
    alike = [
        other.round
        for other in views.values()
        if other.state == "finished"
        and (other.digest, other.sync, len(other.nodes)) == (view.digest, view.sync, len(view.nodes))
    ]
    return max(alike[-1], view.round) if alike else None


def _mean(view: TrainingView, name: str) -> float | None:
    known = [values[name] for values in view.measured.values() if name in values]
    return statistics.fmean(known) if known else None

"""A swarm as the panel shows it, made from its status, its views and what its processes use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar

from swarm_lab.experiments.faults import Fault
from swarm_lab.facts.views import TrainingView
from swarm_lab.front import detail
from swarm_lab.front.detail import TrainingDetail, TrainingInfo
from swarm_lab.front.status import NodeStatus, SwarmStatus
from swarm_lab.jupyter.server.models import ActiveFault, Load, NodeInfo, SwarmError, SwarmInfo

Info = TypeVar("Info", bound=TrainingInfo)
Views = Mapping[str, TrainingView]


def swarm_info(
    status: SwarmStatus, nodes: list[NodeInfo], views: Views, seq: int, error: SwarmError | None
) -> SwarmInfo:
    """`status` has no trainings; nodes are given as they are shown."""
    trainings = [_planned(detail.training_info(view), views) for view in views.values()]
    said = {**dict(status), "nodes": nodes, "trainings": [] if error else trainings}
    return SwarmInfo(**said, seq=seq, error=error)


def node_info(node: NodeStatus, load: Load | None, fault: Fault | None) -> NodeInfo:
    """The end of a node's identity is among the facts that it tells of itself; a fault is what its state comes from."""
    expires = node.extra.get("expires", node.extra.get("authority_expires"))
    said: dict[str, Any] = dict(node)
    if fault is None:
        return NodeInfo(**said, load=load, expires=expires)
    if fault.kind == "pause":
        until = time.strftime("%H:%M:%S", time.localtime(fault.until))
        said |= {"state": "degraded", "message": f"paused on purpose until {until}"}
    told = ActiveFault(kind=fault.kind, since=fault.since, until=fault.until)
    return NodeInfo(**said, load=load, expires=expires, faults=[told])


def training_detail(swarm: str, view: TrainingView, views: Views, seq: int) -> TrainingDetail:
    """With every round."""
    return _planned(detail.training_detail(view, swarm=swarm, seq=seq), views)


def _planned(info: Info, views: Views) -> Info:
    """Nobody tells beforehand how many rounds a program makes; its last finished run on as many nodes is the guess."""
    view = views[info.id]
    if view.over:
        return info
    alike = [other.round for other in views.values() if other.state == "finished" and _alike(other, view)]
    if not alike or alike[-1] < view.round:
        return info
    left = alike[-1] - view.round
    eta = None if info.round_seconds is None else left * info.round_seconds
    return info.model_copy(update={"rounds_planned": alike[-1], "eta_s": eta})


def _alike(one: TrainingView, other: TrainingView) -> bool:
    return (one.digest, one.sync, len(one.nodes)) == (other.digest, other.sync, len(other.nodes))

"""Changing a running swarm: seats added and removed, nodes started again."""

from __future__ import annotations

import time

from swarm_lab.errors import NotReady, UsageError
from swarm_lab.facts.events import EventLog, conclude, fold, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts, read_swarm
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.launch import Say, alone, check_seats_of, complaint, room
from swarm_lab.front.status import READY, NodeStatus, status_of
from swarm_lab.provision.local import LocalNodes
from swarm_lab.provision.plan import more_seats

_LOOK_S = 0.15


def add_seats(paths: SwarmPaths, count: int, wait_s: float, say: Say) -> list[NodeStatus]:
    """Add `count` seats and wait for them; raises `NoSeat` before any starts, `NotReady` after they were removed."""
    if count < 1:
        raise UsageError(f"{count} seats cannot be added")
    with alone(paths), room(paths):
        facts = read_swarm(paths)
        new = more_seats(facts, count)
        grown = facts.model_copy(update={"nodes": (*facts.nodes, *new)})
        check_seats_of(paths, grown)
        nodes = LocalNodes(paths, grown)
        names = [node.name for node in new]
        grown.write(paths)
        try:
            for node in new:
                nodes.add(node)
            return await_ready(paths, grown, names, wait_s, say)
        except BaseException:  # also Ctrl-C: what did not become ready is not left behind
            _drop(paths, grown, names)
            raise


def remove_seat(paths: SwarmPaths, name: str) -> None:
    """Stop a seat for good; trainings that it was in are told so."""
    with alone(paths):
        facts = read_swarm(paths)
        if facts.seats == [name]:
            raise UsageError(f"{name} is the last seat", next_step="use `swarm-lab down`")
        _drop(paths, facts, [name])
    for view in fold(read(paths.root)).values():
        if not view.over and name in view.nodes and name not in view.finished:
            give_up(paths, view.id, name, "the node was removed from the swarm")


def restart_node(paths: SwarmPaths, facts: SwarmFacts, name: str, wait_s: float, say: Say) -> NodeStatus:
    """Stop a node, start it again and wait until it is ready."""
    with alone(paths):
        LocalNodes(paths, facts).restart(name)
    shown = [name] if name != "seats" else []
    found = await_ready(paths, facts, shown, wait_s, say)
    return (
        found[0] if found else NodeStatus(name=name, kind=name, state="ready", host="local", address="", spiffe_id=None)
    )


def await_ready(paths: SwarmPaths, facts: SwarmFacts, names: list[str], wait_s: float, say: Say) -> list[NodeStatus]:
    """Wait for some nodes; raises `NotReady` naming who is missing and what it says."""
    until = time.monotonic() + wait_s
    told = ""
    while True:
        nodes = [node for node in status_of(paths, facts).nodes if node.name in names]
        missing = [node for node in nodes if node.state not in READY]
        if not missing:
            return nodes
        if time.monotonic() > until:
            raise NotReady(complaint(paths, missing, wait_s, given_up=False))
        news = f"waiting for {', '.join(node.name for node in missing)}: {missing[0].message}"
        if news != told:
            told = news
            say(news)
        time.sleep(_LOOK_S)


def give_up(paths: SwarmPaths, training: str, node: str, why: str) -> None:
    """Note for a node that cannot do so itself that it is out of a training."""
    view = fold(read(paths.root)).get(training) or TrainingView(training)
    EventLog(paths.root).append_once(
        view.key(f"lost/{node}"), "node_failed", training=training, node=node, code="SWL-118", message=why
    )
    conclude(paths.root, training)


def _drop(paths: SwarmPaths, facts: SwarmFacts, names: list[str]) -> None:
    nodes = LocalNodes(paths, facts)
    known = nodes.programs() or {}
    for name in names:
        if name in known:
            nodes.remove(name)
        paths.state(name).unlink(missing_ok=True)
    left = tuple(node for node in facts.nodes if node.name not in names)
    facts.model_copy(update={"nodes": left}).write(paths)

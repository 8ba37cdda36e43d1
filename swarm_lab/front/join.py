"""Seats that join a training while it runs: they start from its last merged model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from swarm_lab.errors import NothingToJoin, SwarmLabError, UsageError
from swarm_lab.facts.events import EventLog, conclude
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.front.data import assign
from swarm_lab.front.operator import Operator
from swarm_lab.front.training import Training
from swarm_lab.nodes.staging import Stage, StageRequest
from swarm_lab.provision.plan import more_seats


def prepare_join(training: Training, count: int, data: Path) -> Callable[[SwarmFacts], None]:
    """Check what can be checked before `count` further seats start; what it gives has them join, with the new facts.

    Raises `NothingToJoin`, and `BadData` when there is no folder for one of them.
    """
    _check(training)
    folders = assign(data, [node.name for node in more_seats(training.facts, count)])

    def join(facts: SwarmFacts) -> None:
        join_training(Training(training.paths, facts, training.id), folders)

    return join


def _check(training: Training) -> None:
    view = training.view
    if view.over:
        raise NothingToJoin(f"{training.id} is {view.state}")


def join_training(training: Training, data: Mapping[str, Path]) -> None:
    """Give a running training to more seats, each with its data folder.

    They get the program as the others have it, and everything that it was started with. Raises `NothingToJoin`,
    `UsageError` for a seat that has it already, and `Refused` in a seat's own words; then none of them takes part.
    """
    _check(training)
    double = [node for node in data if node in training.view.nodes]
    if double:
        raise UsageError(f"{', '.join(double)} trains {training.id} already")
    request, payload = _given(training)
    requests = {
        node: request.model_copy(update={"data_dir": str(folder), "joins": True}) for node, folder in data.items()
    }
    log = EventLog(training.paths.root)
    with Operator(training.paths, training.facts) as operator:
        operator.stage(requests, payload)
        for node in data:
            log.append("node_joined", training=training.id, node=node)
            try:
                operator.assign(training.id, node)
            except SwarmLabError as error:
                message = f"it could not join: {error.message}"
                log.append("node_failed", training=training.id, node=node, code=error.code, message=message)
                conclude(training.paths.root, training.id)
                raise


def _given(training: Training) -> tuple[StageRequest, bytes]:
    """What a seat of the training was given: its request, and the files' bytes in their order."""
    for node in training.view.nodes:
        stage = Stage(training.paths.node(node) / "trainings")
        request = stage.request(training.id)
        if request is not None:
            stage.check(request)
            folder = stage.folder(training.id) / "program"
            return request, b"".join((folder / file.path).read_bytes() for file in request.files)
    raise NothingToJoin(f"no seat of {training.id} has its program on this machine")

"""Starting a training: everything that can be wrong is found first, then the ledger is told, then the seats."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm_lab import __version__
from swarm_lab.errors import NoSuchNode, NoSuchTraining, SeatsBusy, SwarmLabError, UsageError
from swarm_lab.facts.events import EventLog, conclude, fold, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.data import assign
from swarm_lab.front.launch import Say, room
from swarm_lab.front.operator import Operator
from swarm_lab.front.program import Bundle, gather
from swarm_lab.front.requirements import check_requirements
from swarm_lab.front.training import Training
from swarm_lab.nodes.staging import PROTOCOL, StagedFile, StageRequest, TrainingRules
from swarm_lab.spec import TrainingSpec


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training that has passed every check: what goes on the ledger and what goes to which seat."""

    id: str
    rules: TrainingRules
    bundle: Bundle
    data: Mapping[str, Path]
    spec: TrainingSpec

    def request(self, node: str) -> StageRequest:
        """What one seat is sent before the files."""
        files = sorted(self.bundle.files.items())
        return StageRequest(
            protocol=PROTOCOL,
            package=__version__,
            training=self.id,
            rules=self.rules,
            program=self.bundle.main,
            files=tuple(StagedFile(path=path, size=len(content)) for path, content in files),
            data_dir=str(self.data.get(node, "")),
            arguments=self.spec.args,
            environment=self.spec.env,
            checkpoints=self.spec.checkpoints,
        )

    @property
    def payload(self) -> bytes:
        """The files' bytes, in the order of the request."""
        return b"".join(content for _, content in sorted(self.bundle.files.items()))


def start_training(paths: SwarmPaths, facts: SwarmFacts, spec: TrainingSpec, *, queue: bool, say: Say) -> Training:
    """Check, create on the ledger, stage at each seat; returns the handle while the training runs or waits its turn."""
    prepared = prepare(facts, spec)
    _check_busy(paths, prepared, queue)
    log = EventLog(paths.root)
    with room(paths), Operator(paths, facts) as operator:
        operator.create(prepared.id, prepared.rules)
        log.append(
            "training_created",
            training=prepared.id,
            nodes=list(prepared.rules.nodes),
            program=str(spec.program),
            digest=prepared.bundle.digest,
            merge=prepared.rules.merge,
            min_peers=prepared.rules.min_peers,
            sync=prepared.rules.sync_frequency,
            seed=prepared.rules.seed,
            adaptive=prepared.rules.adaptive_sync,
            early_stopping=prepared.rules.early_stopping,
        )
        say(f"training {prepared.id} on {', '.join(prepared.rules.nodes)}")
        try:
            requests = {node: prepared.request(node) for node in prepared.rules.nodes}
            operator.stage(requests, prepared.payload)
        except SwarmLabError as error:
            _withdraw(paths, operator, prepared, error)
            raise
    return Training(paths, facts, prepared.id)


def stop_training(paths: SwarmPaths, facts: SwarmFacts, view: TrainingView) -> None:
    """Ask each node of a training for one closing round and the end."""
    if not view.nodes:
        raise NoSuchTraining(f"nothing is known of the training {view.id}")
    if view.over:
        return
    EventLog(paths.root).append_once(view.key("stop"), "training_stopped", training=view.id)
    with Operator(paths, facts) as operator:
        open_nodes = [node for node in view.nodes if node not in view.finished and node not in view.failed]
        operator.stop(view.id, open_nodes)


def prepare(facts: SwarmFacts, spec: TrainingSpec) -> Prepared:
    """Every check that needs no node. Raises usage errors, each with what to do."""
    seats = _seats(facts, spec)
    min_peers = spec.peers(len(seats))
    merge = spec.check_merge()
    bundle = gather(spec.program, spec.files)
    if spec.requirements is not None:
        check_requirements(spec.requirements)
    data = assign(spec.data, seats) if spec.data is not None else {}
    rules = TrainingRules.model_validate(
        {
            "nodes": seats,
            "sync_frequency": spec.sync,
            "min_peers": min_peers,
            "merge": merge,
            "wire": spec.wire,
            "adaptive_sync": spec.adaptive,
            "early_stopping": spec.early_stopping,
            "end_rule": spec.end_rule,
            "seed": secrets.randbits(32) if spec.seed is None else spec.seed,
            "platform": facts.framework,
            "program": bundle.digest,
        }
    )
    return Prepared(f"t-{secrets.token_hex(3)}", rules, bundle, data, spec)


def _seats(facts: SwarmFacts, spec: TrainingSpec) -> list[str]:
    if not spec.nodes:
        return facts.seats
    unknown = [node for node in spec.nodes if node not in facts.seats]
    if unknown:
        raise NoSuchNode(f"{', '.join(unknown)} cannot train in {facts.name!r}: its seats are {', '.join(facts.seats)}")
    if len(set(spec.nodes)) != len(spec.nodes):
        raise UsageError("a seat is named twice in --nodes")
    return [node for node in facts.seats if node in spec.nodes]


def _check_busy(paths: SwarmPaths, prepared: Prepared, queue: bool) -> None:
    if queue:
        return
    for view in fold(read(paths.root)).values():
        busy = sorted(set(view.nodes) & set(prepared.rules.nodes) - view.finished.keys() - view.failed.keys())
        if not view.over and busy:
            raise SeatsBusy(f"{', '.join(busy)} {'is' if len(busy) == 1 else 'are'} busy with {view.id}")


def _withdraw(paths: SwarmPaths, operator: Operator, prepared: Prepared, error: SwarmLabError) -> None:
    """A training that not every seat could be given is none: the queue must not wait for it."""
    log = EventLog(paths.root)
    for node in prepared.rules.nodes:
        log.append_once(
            f"{prepared.id}/lost/{node}",
            "node_failed",
            training=prepared.id,
            node=node,
            code=error.code,
            message=f"not started: {error.message}",
        )
    conclude(paths.root, prepared.id)
    operator.cancel(prepared.id, list(prepared.rules.nodes))

"""Everything that is known of a node: its identity, its seat, what the ledger has of it, its last model."""

from __future__ import annotations

from swarm_lab.facts.metrics import read_number
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.views import TrainingView
from swarm_lab.jupyter.server.models import (
    Identity,
    LastModel,
    LeaseInfo,
    LedgerInfo,
    NodeDetail,
    NodeInfo,
)
from swarm_lab.jupyter.server.watch import SwarmWatch

_SEATS = {"sl": "sl", "sn": "sn", "sentinel": "sn"}


def node_detail(watch: SwarmWatch, name: str) -> NodeDetail:
    """Raises `NoSuchNode`."""
    node = watch.node(name)
    log = watch.paths.log(name)
    return NodeDetail(
        **dict(node),
        identity=_identity(node),
        lease=_lease(watch, node),
        ledger=_ledger(watch.paths, node),
        last_model=_last_model(list(watch.views.values()), name),
        log_size=log.stat().st_size if log.exists() else 0,
    )


def _identity(node: NodeInfo) -> Identity | None:
    if node.spiffe_id is None:
        return None
    return Identity(
        spiffe_id=node.spiffe_id,
        issued=node.extra.get("issued"),
        expires=node.expires,
        serial=str(node.extra.get("serial", "")),
    )


def _lease(watch: SwarmWatch, node: NodeInfo) -> LeaseInfo | None:
    """The license counts seats of a kind; a node's number is its place among those of its kind."""
    kind = _SEATS.get(node.kind)
    if kind is None:
        return None
    nodes = watch.info().nodes
    license_ = next((other.extra.get("license_file") for other in nodes if other.kind == "license"), None) or {}
    same = [other.name for other in nodes if _SEATS.get(other.kind) == kind]
    held = node.extra.get("license") in ("ok", "grace")
    return LeaseInfo(
        seat=same.index(node.name) + 1 if held or node.kind != "sl" else None,
        seats=license_.get("seats", {}).get(kind, {}).get("limit"),
        until=node.extra.get("license_until"),
    )


def _ledger(paths: SwarmPaths, node: NodeInfo) -> LedgerInfo:
    account = node.extra.get("account")
    height = read_number(paths.node(node.name), "swarm_lab_ledger_height")
    return LedgerInfo(
        block=None if height is None else int(height),
        account=account,
        enrolled=(account is not None) if node.kind == "sl" else None,
        sn=node.extra.get("sn"),
    )


def _last_model(views: list[TrainingView], node: str) -> LastModel | None:
    for view in reversed(views):
        for done in reversed(view.rounds):
            if node in done.nodes:
                return LastModel(training=view.id, round=done.round, digest=done.digest)
    return None

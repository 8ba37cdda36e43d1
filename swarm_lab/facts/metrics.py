"""Numbers of a node for Prometheus, and the one page on which an SN serves those of a whole swarm.

A process is one node, so the metrics are this module's: `metrics.round_seconds.observe(0.4)`. `nodes.run` writes them
to `metrics.prom` in the node's directory every few seconds; `exposition` joins the files of a swarm's nodes. Nodes open
no port for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

log = logging.getLogger(__name__)

FILE = "metrics.prom"
WRITE_S = 5.0
# A node that has written nothing for so long does not run: its last numbers would look like the present.
STALE_S = 60.0
MAX_BYTES = 4_000_000
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

current_round = Gauge("swarm_lab_round", "Last committed round", ["training"], registry=REGISTRY)
rounds = Counter("swarm_lab_rounds", "Committed rounds that the node took part in", registry=REGISTRY)
round_seconds = Histogram(
    "swarm_lab_round_seconds", "From one committed round to the next", buckets=_SECONDS, registry=REGISTRY
)
phase_seconds = Histogram(
    "swarm_lab_phase_seconds", "Time that the node was in a phase", ["phase"], buckets=_SECONDS, registry=REGISTRY
)
commit_seconds = Histogram(
    "swarm_lab_ledger_commit_seconds",
    "From sending the commit of a round until the ledger had it",
    buckets=_SECONDS,
    registry=REGISTRY,
)
merge_seconds = Histogram("swarm_lab_merge_seconds", "Merging models", buckets=_SECONDS, registry=REGISTRY)
batches = Counter("swarm_lab_batches", "Batches that the node's programs trained", registry=REGISTRY)
lost_batches = Counter("swarm_lab_lost_batches", "Batches that no committed model holds", registry=REGISTRY)
sent_bytes = Counter("swarm_lab_sent_bytes", "Sent to a peer, as far as it took them", ["peer"], registry=REGISTRY)
received_bytes = Counter("swarm_lab_received_bytes", "Received from a peer", ["peer"], registry=REGISTRY)
waits = Counter("swarm_lab_waits", "Times that the node began to wait", ["phase"], registry=REGISTRY)
wait_seconds = Counter("swarm_lab_wait_seconds", "Time spent waiting", ["phase"], registry=REGISTRY)
license_ok = Gauge("swarm_lab_license_ok", "1: lease held, 0.5: grace, 0: none", registry=REGISTRY)
license_grace_seconds = Gauge("swarm_lab_license_grace_seconds", "Grace that is left", registry=REGISTRY)
ledger_height = Gauge("swarm_lab_ledger_height", "Number of the newest block read", registry=REGISTRY)
ledger_read_time = Gauge(
    "swarm_lab_ledger_read_timestamp_seconds", "When the ledger was last read (unix time)", registry=REGISTRY
)


def write(directory: Path, registry: CollectorRegistry = REGISTRY) -> None:
    """Replace a node's `metrics.prom` in one step."""
    part = directory / f".{FILE}.{os.getpid()}"
    part.write_bytes(generate_latest(registry))
    os.replace(part, directory / FILE)


async def keep_writing(directory: Path, every_s: float = WRITE_S) -> None:
    """Write a node's numbers every few seconds until cancelled; a full disk is logged, once until it is better."""
    told = False
    while True:
        try:
            await asyncio.to_thread(write, directory)
            told = False
        except OSError as error:
            if not told:
                log.warning("metrics cannot be written: %s", error)
            told = True
        await asyncio.sleep(every_s)


def exposition(swarm_dir: Path, now: float | None = None, *, only: str | None = None) -> str:
    """All nodes' numbers, or one's, in Prometheus' text format (version 0.0.4), with the labels `swarm` and `node`.

    `swarm_lab_node_metrics_age_seconds` tells how old each node's are; those older than a minute are left out.
    """
    registry = CollectorRegistry()
    registry.register(_Nodes(swarm_dir, time.time() if now is None else now, only))
    return generate_latest(registry).decode()


class _Nodes:
    """Collects what the nodes of a swarm have written."""

    def __init__(self, swarm_dir: Path, now: float, only: str | None) -> None:
        self._which = only or "*"
        self._swarm_dir = swarm_dir
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """The families of all nodes, each once."""
        age = Metric("swarm_lab_node_metrics_age_seconds", "Since the node last wrote its numbers", "gauge")
        found: dict[str, Metric] = {age.name: age}
        for path in sorted(self._swarm_dir.glob(f"nodes/{self._which}/{FILE}")):
            labels = {"swarm": self._swarm_dir.name, "node": path.parent.name}
            try:
                old = max(self._now - path.stat().st_mtime, 0.0)
                text = path.read_bytes()[:MAX_BYTES].decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                log.warning("metrics of %s cannot be read: %s", path.parent.name, error)
                continue
            age.add_sample(age.name, labels, old)
            if old <= STALE_S:
                for family in _families(text, path.parent.name):
                    whole = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                    for sample in family.samples:
                        whole.add_sample(sample.name, {**sample.labels, **labels}, sample.value)
        return found.values()


def _families(text: str, node: str) -> Iterator[Metric]:
    try:
        yield from text_string_to_metric_families(text)
    except ValueError as error:
        log.warning("metrics of %s are malformed: %s", node, error)


def read_number(directory: Path, name: str) -> float | None:
    """One number of a node without labels, as it was written last; None where there is none."""
    try:
        text = (directory / FILE).read_bytes()[:MAX_BYTES].decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    lines = (line.split() for line in text.splitlines())
    return next((float(parts[1]) for parts in lines if len(parts) == 2 and parts[0] == name), None)

"""A swarm that is only files: what a panel reads, without a process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from swarm_lab.facts.events import EventLog
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.state import StateFile
from swarm_lab.facts.swarm import NodeFacts, SwarmFacts
from swarm_lab.spec import SwarmSpec

SERVICES = (("license", "license"), ("identity", "identity"), ("chain", "chain"), ("sentinel", "sentinel"))


class Paper:
    """Files of a swarm called `name` below the user's data directory."""

    def __init__(self, name: str, seats: int = 2, **spec: Any) -> None:
        self.paths = SwarmPaths.of(name)
        self.paths.root.mkdir(parents=True)
        SwarmSpec(name=name, sl=min(seats, 64), **spec).write(self.paths.spec)
        self.seats = [f"sl-{number + 1}" for number in range(seats)]
        nodes = [*SERVICES, *((seat, "sl") for seat in self.seats)]
        self.facts = SwarmFacts(
            name=name,
            trust_domain=f"{name}.swarm",
            run_dir=self.paths.root / "run",
            framework="torch",
            created=time.time(),
            nodes=tuple(NodeFacts.model_validate({"name": node, "kind": kind}) for node, kind in nodes),
        )
        self.facts.write(self.paths)
        self.log = EventLog(self.paths.root)
        self.log.append("swarm_up", nodes=[node for node, _ in nodes])

    def says(self, node: str, state: Any = "ready", message: str = "", **extra: Any) -> None:
        """A node's own word."""
        self.paths.node(node).mkdir(parents=True, exist_ok=True)
        StateFile(self.paths.state(node)).update(state, message, **extra)

    def trains(self, id: str = "t-1", rounds: int = 3, *, ends: bool = False, digest: str = "ab" * 32) -> None:
        """A training with some rounds."""
        nodes = self.seats
        terms = {"program": "/p/a.py", "digest": digest, "merge": "mean", "min_peers": 1, "sync": 16}
        self.log.append("training_created", training=id, nodes=nodes, **terms)
        for node in nodes:
            self.log.append("training_started", training=id, node=node)
        for number in range(1, rounds + 1):
            self.round(id, number)
        if ends:
            for node in nodes:
                self.log.append("node_finished", training=id, node=node, digest="cd" * 32, model="/m", metrics={})
            self.log.append("finished", training=id, state="finished", rounds=rounds, model="/m", digest="cd" * 32,
                            metrics={})  # fmt: skip

    def round(self, id: str, number: int) -> None:
        """One more."""
        metrics = {node: {"loss": 1 / number, "metric": 0.5, "batches": 16} for node in self.seats}
        self.log.append(
            "round", training=id, round=number, nodes=self.seats, digest="cd" * 32, metrics=metrics, seconds=2.0
        )


def big_log(path: Path, size: int, *lines: bytes) -> None:
    """A log of `size` bytes that take no room on the disk, with some lines at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b'{"message": "the first line"}\n')
        file.seek(size)
        file.write(b"\n" + b"".join(line + b"\n" for line in lines))

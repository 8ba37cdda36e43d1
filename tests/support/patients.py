"""A running swarm that a test may hurt, and what it needs for that."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from swarm_lab.facts import process
from swarm_lab.swarm import Swarm

PROGRAM = Path(__file__).parent / "programs" / "plain.py"


class Patient:
    """A running swarm, its data folders, and ways to train on it and to hurt it."""

    def __init__(self, swarm: Swarm, data: Path) -> None:
        self.swarm = swarm
        self.data = data

    def train(self, victim: str = "", deed: str = "", **options: Any) -> Any:
        """Start the program on all seats; `victim` does `deed` in its second epoch."""
        environment = {"VICTIM": victim, "DEED": deed} | options.pop("env", {})
        return self.swarm.train(PROGRAM, data=self.data, env=environment, **{"sync": 8, "seed": 1} | options)

    def pid(self, node: str) -> int:
        found = self.swarm.node(node)
        status = next(n for n in self.swarm.status().nodes if n.name == found.name)
        assert status.pid is not None, status
        return status.pid

    def program(self, training: Any, node: str) -> int:
        """The pid of the node's program."""
        found = self.record(training, node)
        assert found is not None, f"{node} has no program"
        return found.pid

    def record(self, training: Any, node: str) -> process.ProcessRecord | None:
        """What is known of the node's program; None before it starts and once it has ended."""
        return process.read_record(self.swarm.paths.node(node) / "trainings" / training.id / "process.json")

    def kill(self, node: str) -> None:
        os.kill(self.pid(node), signal.SIGKILL)

    def until_round(self, training: Any, number: int, limit: float = 60.0) -> None:
        """Wait until a round is committed."""
        deadline = time.monotonic() + limit
        while training.status.round < number:
            assert time.monotonic() < deadline, training.view
            assert not training.view.over, training.view
            time.sleep(0.05)

    def until_ready(self, limit: float = 60.0) -> None:
        """Wait until every node says that it is ready."""
        deadline = time.monotonic() + limit
        while any(n.state not in ("ready", "training") for n in self.swarm.status().nodes):
            assert time.monotonic() < deadline, self.swarm.status()
            time.sleep(0.1)


def finished(training: Any, limit: float = 90.0) -> dict[str, Any]:
    """The training's last event, once it is over, whatever its outcome."""
    last: dict[str, Any] = {}
    for last in training.events(limit=limit):  # noqa: B007 - the last one is the answer
        pass
    return last

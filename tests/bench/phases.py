"""Where the time of a round goes: how long each node was in each phase, from the nodes' own logs."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from swarm_lab.facts import metrics


def per_round(root: Path, seats: list[str], window: tuple[float, float], rounds: int) -> dict[str, float]:
    """Mean seconds of a node in each phase per round, between two instants (unix seconds); {} without rounds."""
    begun, ended = window
    if rounds < 1 or ended <= begun:
        return {}
    whole: dict[str, float] = defaultdict(float)
    for seat in seats:
        for phase, seconds in _spent(_phases(root / "nodes" / seat), begun, ended).items():
            whole[phase] += seconds / len(seats) / rounds
    return {phase: round(seconds, 4) for phase, seconds in sorted(whole.items(), key=lambda one: -one[1])}


def _spent(changes: list[tuple[float, str]], begun: float, ended: float) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for (at, phase), (left, _) in zip(changes, [*changes[1:], (ended, "")], strict=False):
        inside = min(left, ended) - max(at, begun)
        if inside > 0:
            found[phase] += inside
    return found


def _phases(node: Path) -> list[tuple[float, str]]:
    """When the node came to which phase."""
    found = []
    for path in sorted(node.glob("log.jsonl*"), reverse=True):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            if '"kind": "phase"' in line:
                said = json.loads(line)
                found.append((datetime.fromisoformat(said["time"]).timestamp(), str(said["message"])))
    return sorted(found)


def numbers(root: Path) -> str:
    """The nodes' own numbers as they are now, in Prometheus' text format."""
    return metrics.exposition(root)

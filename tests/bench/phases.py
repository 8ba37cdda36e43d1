"""Where the time of a round goes: how long each node was in each phase, from the nodes' own logs."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from swarm_lab.facts import metrics

# What is done once or a few times a round, by the nodes' metrics: name here, name there.
_WORK = {"merge": "swarm_lab_merge_seconds", "ledger commit": "swarm_lab_ledger_commit_seconds"}


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


def work(root: Path) -> tuple[dict[str, float], int | None]:
    """Mean seconds of one merge and of one commit, and bytes that a node sent to its peers per round.

    From the nodes' metrics, which they write every few seconds: {} and None where they have not yet.
    """
    sums: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(metrics.exposition(root)):
        for sample in family.samples:
            sums[sample.name] += sample.value
    means = {
        name: round(sums[f"{metric}_sum"] / sums[f"{metric}_count"], 4)
        for name, metric in _WORK.items()
        if sums[f"{metric}_count"]
    }
    rounds = sums["swarm_lab_rounds_total"]  # of all nodes, as the bytes are
    return means, round(sums["swarm_lab_sent_bytes_total"] / rounds) if rounds else None

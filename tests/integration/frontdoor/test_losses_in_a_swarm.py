"""Adaptive sync, early stopping, the end by min_peers, and what nodes measured: on a real swarm, by the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm_lab.facts import process

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

# Own argument of each node; what its validation measures is given by the environment, so that rounds can be foretold.
PROGRAM = """
import json, os, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from swarm_lab import SwarmCallback

node = os.path.basename(os.environ["DATA_DIR"])
losses = [float(word) for word in os.environ.get("LOSSES", "").split()]
given = json.loads(os.environ.get("GIVEN", "{}")).get(node, {})
slower = 1 + int(node == "sl-3") * int(os.environ.get("SLOW", "0"))

class Told(nn.Module):
    def forward(self, out, target):
        return out.sum() * 0 + (losses.pop(0) if len(losses) > 1 else losses[0]) * len(target)

nn.Told = Told
model = nn.Linear(4, 1)
rows = DataLoader(TensorDataset(torch.randn(8, 4), torch.randn(8, 1)), batch_size=8)
judged = {"val_data": rows, "loss_function": "Told"} if losses else {}
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
swarm = SwarmCallback(model=model, **judged, **given)
swarm.on_train_begin()
for number in range(int(os.environ.get("BATCHES", "48")) * slower):
    optimizer.zero_grad()
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
    time.sleep(0.01)
    swarm.on_batch_end()
    if swarm.stop_training:
        break
swarm.on_train_end()
print(node, "did", number + 1, "batches", flush=True)
"""


class Swarm:
    """Calls `swarm-lab ... --json` in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "XDG_DATA_HOME": str(home / "data")}

    def __call__(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        call = subprocess.run(
            [sys.executable, "-m", "swarm_lab.cli", arguments[0], "--json", *arguments[1:]],
            env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return call.returncode, [json.loads(line) for line in call.stdout.splitlines()]

    def train(self, *more: str, **environment: object) -> tuple[int, list[dict[str, Any]]]:
        variables = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
        return self("train", "prog.py", "--data", "parts", "--sync", "4", "--min-peers", "2", *more, *variables)

    def rounds(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [event for event in events if event.get("event") == "round"]

    def done(self, events: list[dict[str, Any]]) -> dict[str, int]:
        """Batches of each node's program, as it printed them."""
        lines = [event["text"].split() for event in events if event.get("event") == "output"]
        return {words[0]: int(words[2]) for words in lines if words[1:2] == ["did"]}


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    home = tmp_path_factory.mktemp("losses")
    (home / "prog.py").write_text(PROGRAM)
    for seat in ("sl-1", "sl-2", "sl-3"):
        (home / "parts" / seat).mkdir(parents=True)
    made = Swarm(home)
    try:
        status, answers = made("up", "--name", "losses", "--sl", "3")
        assert status == 0, answers
        yield made
        assert made("down", "losses")[0] == 0
    finally:
        process.end(process.all_of(home / "data" / "swarm-lab" / "swarms" / "losses"))


@pytest.mark.conformance("CB-13", "CB-62", "CB-14")
def test_the_interval_follows_the_loss(swarm: Swarm) -> None:
    status, events = swarm.train("--adaptive", LOSSES="3 2 1 0.5 0.25 0.125", BATCHES=60)
    assert status == 0, events[-3:]
    rounds = swarm.rounds(events)
    assert [done["interval"] for done in rounds[:3]] == [4, 4, 8]
    assert max(done["interval"] for done in rounds) in (16, 32) and len(rounds) < 12
    measured = rounds[2]["metrics"]["sl-1"]
    assert measured["loss"] is not None and measured["local_loss"] is not None and measured["metric"] is None
    status, answers = swarm("verify")
    assert status == 0, answers
    told = {link["what"]: link["message"] for link in answers[-1]["evidence"]}
    assert "4 to" in told["intervals"] and "losses and metrics as on the ledger" in told["measures"]
    (training,) = [one for one in swarm("status")[1][-1]["trainings"] if one["id"] == events[-1]["training"]]
    assert {"loss", "metric", "local_loss", "local_metric"} <= training["metrics"]["sl-2"].keys()
    assert training["metrics"]["sl-2"]["local_loss"] is not None


@pytest.mark.conformance("CB-70")
def test_all_stop_early_with_one_model(swarm: Swarm) -> None:
    status, events = swarm.train("--early-stopping", "2", LOSSES="1", BATCHES=2000)
    assert status == 0, events[-3:]
    finished = {event["digest"] for event in events if event.get("event") == "node_finished"}
    assert len(finished) == 1 and len(swarm.rounds(events)) <= 8
    batches = swarm.done(events)
    assert len(batches) == 3 and max(batches.values()) < 100


@pytest.mark.conformance("CB-68", "CB-70", "LC-43", "LC-44")
def test_min_peers_end_it_for_the_slower_ones_too(swarm: Swarm) -> None:
    status, events = swarm.train("--end-rule", "min_peers", BATCHES=24, SLOW=50)
    assert status == 0, events[-3:]
    finished = [event for event in events if event.get("event") == "node_finished"]
    assert len(finished) == 3 and len({event["digest"] for event in finished}) == 1
    batches = swarm.done(events)
    assert batches["sl-1"] == batches["sl-2"] == 24 and 24 <= batches["sl-3"] < 400


@pytest.mark.conformance("CB-13")
def test_nodes_that_disagree_are_refused(swarm: Swarm) -> None:
    given = {"sl-2": {"useAdaptiveSync": True, "early_stopping": 5}}
    status, events = swarm.train(LOSSES="1", GIVEN=json.dumps(given))
    assert status == 1
    failed = {event["node"]: event["message"] for event in events if event.get("event") == "node_failed"}
    # Whoever registered first is not refused: it fails later, for want of peers.
    refused = [message for message in failed.values() if "use_adaptive_sync is" in message]
    assert refused and all("sl-2" in message for message in refused), failed


def test_without_validation_data_it_says_so_and_the_interval_stays(swarm: Swarm) -> None:
    status, events = swarm.train("--adaptive", BATCHES=16)
    assert status == 0, events[-3:]
    assert {done["interval"] for done in swarm.rounds(events)} == {4}
    status, answers = swarm("logs", "sl-1", "-n", "400")
    assert status == 0
    lines = [line for line in answers[-1]["lines"] if "no validation loss on this node" in line]
    assert len(lines) == 1 and '"warning"' in lines[0].lower()

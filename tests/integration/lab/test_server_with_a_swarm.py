"""A real swarm through the server: up, train, hurt, a server that is started anew, the same hurt again, stop, down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from support.lab_server import LabServer

from swarm_lab.experiments import scenario
from swarm_lab.swarm import Swarm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Of scikit-learn, which starts in a fraction of the time of the others.
PROGRAM = """
import time
import numpy as np
from sklearn.linear_model import SGDClassifier
from swarm_lab import SwarmCallback

x = np.random.default_rng(0).normal(size=(64, 3))
y = (x.sum(1) > 0).astype(int)
model = SGDClassifier(loss="log_loss")
swarm = SwarmCallback(model=model, init_data=(x[:1], y[:1]), classes=[0, 1], val_data=(x, y), loss_function="log_loss")
swarm.on_train_begin()
for number in swarm.batches(range(100_000)):
    model.partial_fit(x, y)
    time.sleep(0.05)
    swarm.on_batch_end()
swarm.on_train_end()
""".lstrip()
SPEC = {"name": "ward", "sl": 2, "sn": 1, "framework": "sklearn", "cold": True}
TERMS = {"program": "learn.py", "data": "data", "sync": 4, "min_peers": 1}


class Ward:
    """The swarm as a browser sees it."""

    def __init__(self, server: LabServer) -> None:
        self.server = server
        (server.root / "learn.py").write_text(PROGRAM)
        for seat in ("sl-1", "sl-2"):
            (server.root / "data" / seat).mkdir(parents=True, exist_ok=True)

    def train(self) -> str:
        found = self.server.does("POST", "swarms/ward/trainings", TERMS)
        assert found["state"] == "done", found
        training: str = found["answer"]["training"]
        return training

    def hurt(self, node: str, **how: Any) -> None:
        found = self.server.does("POST", f"swarms/ward/nodes/{node}/faults", how)
        assert found["state"] == "done", found

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get(f"swarms/ward/nodes/{name}")[1]
        return found

    def detail(self, training: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.get(f"swarms/ward/trainings/{training}")[1]
        return found

    def reaches(self, training: str, round_: int) -> None:
        until_true(lambda: self.detail(training)["round"] >= round_)


def until_true(look: Callable[[], bool], limit: float = 100.0) -> None:
    until = time.monotonic() + limit
    while not look():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_swarm_from_its_start_to_its_end(server: LabServer) -> None:
    ward = Ward(server)
    up = server.does("POST", "swarms", {"yaml": yaml.safe_dump(SPEC)})
    assert (up["state"], up["answer"]["state"]) == ("done", "ready"), up
    try:
        first = ward.train()
        see_it_learn(ward, first)
        hurt_it(ward, first)
        server.stop()
        server.start()
        assert ward.detail(first)["state"] == "running"
        ward.reaches(first, ward.detail(first)["round"] + 2)
        stop_in_two_tabs(ward, first)
        assert server.does("POST", f"swarms/ward/trainings/{first}/verify")["answer"]["ok"] is True
        cells = server.get(f"swarms/ward/trainings/{first}/notebook")[1]["content"]["cells"]
        assert any(cell["source"].startswith("%%swarm train") and PROGRAM.strip() in cell["source"] for cell in cells)
        replay_it(ward)
    finally:
        down = server.does("DELETE", "swarms/ward?purge=true")
    assert down["answer"]["purged"] is True
    status, said = server.call("DELETE", "swarms/ward")
    assert (status, said["error"]["code"]) == (409, "SWL-133") and "ward was already removed" in said["message"]


def see_it_learn(ward: Ward, training: str) -> None:
    """Rounds come as facts, loads and losses with the status, times of phases with the rounds."""
    live = ward.server.live()
    live.ask(type="watch", swarm="ward", facts=True)
    seen: list[str] = []
    until_true(
        lambda: bool(seen.extend(f["event"] for f in live.next("facts", limit=100)["facts"]) or seen.count("round") > 2)
    )
    until_true(lambda: all(n["load"] for n in live.next("status")["swarm"]["nodes"] if n["kind"] == "sl"))
    live.close()
    detail = ward.detail(training)
    assert sorted(detail["rounds"][0]["nodes"]) == ["sl-1", "sl-2"] and detail["loss"] > 0
    told = [done for done in detail["rounds"] if done["times"]]
    assert told and told[0]["coordinator"] in ("sl-1", "sl-2")
    assert ward.node("sl-1")["last_model"]["training"] == training


def hurt_it(ward: Ward, training: str) -> None:
    """A node that is paused says so and goes on; one that is killed comes back."""
    ward.hurt("sl-2", kind="pause", seconds=60)
    paused = ward.node("sl-2")
    assert (paused["state"], paused["faults"][0]["kind"]) == ("degraded", "pause")
    ward.hurt("sl-2", kind="resume")
    assert ward.node("sl-2")["faults"] == []
    before = ward.node("sl-2")["pid"]
    ward.hurt("sl-2", kind="kill")
    until_true(lambda: (node := ward.node("sl-2"))["pid"] not in (None, before) and node["state"] == "training")
    ward.reaches(training, ward.detail(training)["round"] + 2)


def stop_in_two_tabs(ward: Ward, training: str) -> None:
    """Both are told the same end."""
    path, found = f"swarms/ward/trainings/{training}/stop", []
    tabs = [threading.Thread(target=lambda: found.append(ward.server.does("POST", path))) for _ in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(120)
    assert [one["state"] for one in found] == ["done", "done"]
    assert {one["answer"]["state"] for one in found} == {"stopped"}


def replay_it(ward: Ward) -> None:
    """What was done from the panel is done again to another training, after as many rounds."""
    kept = ward.server.get("swarms/ward/scenario")[1]
    path = ward.server.root / "scenario.yaml"
    path.write_text(kept["yaml"])
    done = scenario.read(path)
    assert [(step.node, step.do) for step in done.steps] == [("sl-2", "pause"), ("sl-2", "resume"), ("sl-2", "kill")]
    assert kept["steps"] == 3 and done.steps[0].round >= 3
    before = ward.node("sl-2")["pid"]
    swarm = Swarm.attach("ward")
    training = swarm.train(ward.server.root / "learn.py", data=ward.server.root / "data", sync=4, min_peers=1)
    done.replay(training, limit=120)
    assert training.view.round >= done.steps[-1].round
    until_true(lambda: (node := ward.node("sl-2"))["pid"] not in (None, before) and node["state"] == "training")

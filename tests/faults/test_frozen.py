"""A node that is frozen: the others say whom they miss, since when and why; thawed, it goes on with them."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from support.patients import Patient, finished


def told(patient: Patient, training: Any, name: str, **fields: Any) -> dict[str, Any]:
    """The first such event of the training, waited for."""
    deadline = time.monotonic() + 15.0
    while True:
        for event in patient.swarm.events():
            if (event["event"], event.get("training")) == (name, training.id) and fields.items() <= event.items():
                return event
        assert time.monotonic() < deadline, f"no {name} with {fields}"
        time.sleep(0.05)


def test_a_frozen_node_is_named_with_the_reason_and_goes_on_thawed(patient: Patient) -> None:
    victim = "sl-2"
    patient.until_ready()
    training = patient.train(min_peers=4, env={"EPOCHS": "4", "PAUSE": "0.02"})
    patient.until_round(training, 1)
    pid = patient.pid(victim)
    os.kill(pid, signal.SIGSTOP)
    try:
        waits = told(patient, training, "waiting", node="sl-1", phase="WAITING_FOR_PEERS")
        lost = told(patient, training, "node_lost", node=victim)
        nodes = {node.name: node for node in patient.swarm.status().nodes}
    finally:
        os.kill(pid, signal.SIGCONT)
    assert waits["nodes"] == [victim]
    assert f"{victim} (not heard since" in waits["reason"] and "nothing heard for" in waits["reason"]
    assert "0x" not in waits["reason"]
    assert waits["time"] - waits["since"] >= 1.0
    assert lost["by"] != victim and lost["reason"].startswith("nothing heard for")
    here, frozen = nodes["sl-1"], nodes[victim]
    assert (here.phase, here.waiting_for) == ("WAITING_FOR_PEERS", [victim])
    assert here.phase_since is not None and 1.0 <= time.time() - here.phase_since < 30.0
    assert frozen.state == "degraded" and "frozen" in frozen.message
    last = finished(training)
    assert last["state"] == "finished" and last["without"] == {}
    assert {node.phase for node in patient.swarm.status().nodes if node.kind == "sl"} == {"FINISHED"}

"""A notebook as users run it: a real kernel, the magics, a real swarm of two nodes."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PROGRAM = """
import os, sys, time
import torch
from swarm_lab import SwarmCallback
from helper import BATCHES

pause = float(os.environ.get("PAUSE", "0"))
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(16, 3), torch.randint(2, (16,))
swarm = SwarmCallback(model=model, val_data=(x, y), loss_function="CrossEntropyLoss")
swarm.on_train_begin()
for number in swarm.batches(range(int(os.environ.get("COUNT", BATCHES)))):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    time.sleep(pause)
    if number == 2 and os.environ.get("BREAK") and "sl-2" in os.environ["DATA_DIR"]:
        raise ValueError("three channels, not one")
    swarm.on_batch_end()
swarm.on_train_end()
print("done on", os.environ["DATA_DIR"][-4:])
""".lstrip()


@dataclass
class Result:
    """What a cell gave: its outputs as a notebook would keep them, updates applied."""

    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    error: list[str] = field(default_factory=list)

    def text(self, kind: str = "text/plain") -> str:
        return "\n".join(data.get(kind, "") for data in self.outputs.values())


class Notebook:
    """A kernel and its cells."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, limit: float = 90, seen: Callable[[Result], None] = lambda result: None) -> Result:
        result, request = Result(), self.client.execute(code)
        until = time.monotonic() + limit
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.1, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{code[:60]!r} ran longer than {limit:.0f} s: {result}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return result
            self._take(result, kind, content)
            seen(result)

    @staticmethod
    def _take(result: Result, kind: str, content: dict[str, Any]) -> None:
        if kind in ("display_data", "update_display_data", "execute_result"):
            key = content.get("transient", {}).get("display_id") or f"output {len(result.outputs)}"
            result.outputs[key] = content["data"]
        elif kind == "stream":
            result.outputs[f"output {len(result.outputs)}"] = {"text/plain": content["text"]}
        elif kind == "error":
            result.error = content["traceback"]

    def value(self, expression: str) -> Any:
        result = self.run(f"print({expression})")
        assert not result.error, result.error
        return result.text().strip()


@pytest.fixture(scope="module")
def notebook(need: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    need("python:torch", "python:ipykernel", "anvil")
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "helper.py").write_text("BATCHES = 12\n")
    for node in ("sl-1", "sl-2"):
        (folder / "parts" / node).mkdir(parents=True)
        np.save(folder / "parts" / node / "x.npy", np.zeros(3))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=_environment(folder))
    made = Notebook(manager, client)
    try:
        made.run("%load_ext swarm_lab")
        up = made.run("%swarm up --name nb --sl 2 --sn 1", limit=150)
        assert not up.error, up.error
        yield made
    finally:
        down = made.run("%swarm down nb", limit=60)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        assert not down.error, down.error


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_DATA_HOME": str(folder / "data")}


def train(options: str = "") -> str:
    return f"%%swarm train --data parts --sync 4 --min-peers 2 -o run {options}\n{PROGRAM}"


def test_a_cell_trains_on_every_node(notebook: Notebook) -> None:
    result = notebook.run(train())
    assert not result.error, result.error
    (card,) = [shown for shown in result.outputs.values() if shown["text/plain"]]  # the widget leaves nothing
    assert "finished" in card["text/plain"] and "2 of 2 nodes" in card["text/plain"]
    assert "done on sl-1" in card["text/html"] and "done on sl-2" in card["text/html"]
    assert notebook.value("run.nodes") == "['sl-1', 'sl-2']"
    assert notebook.value("run.model['weight'].shape") == "(2, 3)"
    assert int(notebook.value("run.history['round'].max()")) >= 3
    notebook.run("last = %swarm last")
    assert notebook.value("last.id == run.id") == "True"
    assert "image/png" in str(notebook.run("run.plot();").outputs)


def test_a_failing_program_is_told_once_with_node_and_line(notebook: Notebook) -> None:
    result = notebook.run(train("-e BREAK=1"))
    line = PROGRAM.splitlines().index('        raise ValueError("three channels, not one")') + 2
    (card,) = [shown for shown in result.outputs.values() if shown["text/plain"]]  # the widget leaves nothing
    assert card["text/plain"].count("Traceback") == 1
    assert "The program failed on sl-2 (cell " in card["text/plain"]
    assert f", line {line})" in card["text/plain"]
    assert "SWL-" in result.error[0] and "sl-2" in result.error[1]
    assert not any("Traceback" in part for part in result.error)


def test_an_interrupt_detaches_and_the_training_goes_on(notebook: Notebook) -> None:
    interrupted = []

    def interrupt(result: Result) -> None:
        if not interrupted and "training" in result.text() and "round 0" not in result.text():
            interrupted.append(True)
            notebook.manager.interrupt_kernel()

    result = notebook.run(train("-e PAUSE=0.05 -e COUNT=100000"), seen=interrupt)
    assert interrupted and not result.error
    assert "Detached." in result.text() and "goes on" in result.text()
    before = int(notebook.value("run.status.round"))
    notebook.run("import time; time.sleep(2)")
    assert notebook.value("run.status.state") == "running"
    assert int(notebook.value("run.status.round")) > before
    stopped = notebook.run("%swarm stop", limit=60)
    assert not stopped.error, stopped.error
    assert notebook.value("run.status.state") == "stopped"
    again = notebook.run("%swarm attach {run.id}")
    assert not again.error and "stopped" in again.text()


def test_status_verify_and_completion(notebook: Notebook) -> None:
    status = notebook.run("%swarm status")
    assert "sl-2" in status.text() and "<table" in status.text("text/html")
    notebook.run("status = %swarm status")
    verdict = notebook.run("%swarm verify {status.trainings[0].id}")
    assert not verdict.error and "holds" in verdict.text()
    reply = notebook.client.complete("%swarm logs s", 13, reply=True, timeout=20)
    assert {"sl-1", "sl-2", "sentinel"} <= set(reply["content"]["matches"])

"""The contract of the front door on a real swarm: every answer as a script gets it from `swarm-lab ... --json`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from swarm_lab.errors import DoesNotHold, SwarmRuns
from swarm_lab.facts import process
from swarm_lab.swarm import Swarm

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

PROGRAM = """
import os, sys, time
import torch
from torch import nn
from swarm_lab import SwarmCallback
from helper import batches, target

assert os.environ["WORD"] == "a=b" and sys.argv[1:] == ["--pause", "0.01"], (sys.argv, os.environ["WORD"])
torch.manual_seed(int(os.environ["SWARM_SEED"]) % 2**32)
own = float(open(os.path.join(os.environ["DATA_DIR"], "own.txt")).read())
x = torch.randn(64, 4)
y = target(x) + own
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
swarm = SwarmCallback(model=model)
swarm.on_train_begin()
for number in range(batches(os.environ)):
    optimizer.zero_grad()
    nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
    time.sleep(float(sys.argv[2]))
    swarm.on_batch_end()
    if swarm.stop_training:
        break
swarm.on_train_end()
"""
HELPER = """
def batches(environment): return int(environment.get("BATCHES", "24"))
def target(x): return x[:, :1] * 2
"""


class Shell:
    """Calls `swarm-lab ... --json` in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "XDG_DATA_HOME": str(home / "data")}

    def __call__(self, *arguments: str, limit: float = 120.0) -> tuple[int, list[dict[str, Any]]]:
        call = subprocess.run(
            [sys.executable, "-m", "swarm_lab.cli", arguments[0], "--json", *arguments[1:]],
            env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=limit, check=False,
        )  # fmt: skip
        return call.returncode, [json.loads(line) for line in call.stdout.splitlines()]

    def ok(self, *arguments: str) -> dict[str, Any]:
        status, answers = self(*arguments)
        assert status == 0, answers
        return answers[-1]

    def train(self, *more: str, batches: int = 24) -> tuple[int, list[dict[str, Any]]]:
        given = ["prog.py", "--data", "parts", "--sync", "8", "-e", "WORD=a=b", "-e", f"BATCHES={batches}", *more]
        return self("train", *given, "--", "--pause", "0.01")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A swarm of two seats, brought up by one process and used by others."""
    home = tmp_path_factory.mktemp("swarm")
    (home / "prog.py").write_text(PROGRAM)
    (home / "helper.py").write_text(HELPER)
    for seat, own in (("sl-1", "1"), ("sl-2", "-1")):
        (home / "parts" / seat).mkdir(parents=True)
        (home / "parts" / seat / "own.txt").write_text(own)
    made = Shell(home)
    before, os.environ["XDG_DATA_HOME"] = os.environ.get("XDG_DATA_HOME"), str(home / "data")
    try:
        status = made.ok("up", "--name", "whole", "--sl", "2")
        assert status["state"] == "ready"
        yield made
        assert made("down", "whole")[0] == 0
        assert process.all_of(home / "data" / "swarm-lab" / "swarms" / "whole") == []
    finally:
        process.end(process.all_of(home / "data" / "swarm-lab" / "swarms" / "whole"))
        if before is None:
            del os.environ["XDG_DATA_HOME"]
        else:
            os.environ["XDG_DATA_HOME"] = before


def until(what: Callable[[], Any], limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "not within the limit"
        time.sleep(0.2)


def running(training: str, least: int = 1) -> bool:
    found = Swarm.attach("whole").training(training).status
    return found.state == "running" and found.round >= least


def test_status_has_the_fields_of_the_contract(shell: Shell) -> None:
    status = shell.ok("status")
    assert status["swarm"] == "whole"
    assert {node["kind"] for node in status["nodes"]} == {"license", "identity", "sentinel", "sn", "sl", "chain"}
    for node in status["nodes"]:
        assert {"name", "kind", "state", "host", "address", "spiffe_id", "seat", "pid"} <= node.keys()
        assert psutil.pid_exists(node["pid"])
    assert shell.ok("list")["swarms"][0]["seats"] == 2
    with pytest.raises(SwarmRuns):
        Swarm.up("whole")


def test_train_verify_and_everything_that_reads_it(shell: Shell) -> None:
    status, events = shell.train("--seed", "3")
    assert status == 0, events[-3:]
    rounds = [event for event in events if event["event"] == "round"]
    assert [event["round"] for event in rounds] == list(range(1, len(rounds) + 1))
    assert all({"nodes", "digest", "metrics"} <= event.keys() for event in rounds)
    last = events[-1]
    assert last["event"] == "finished"
    assert (last["state"], last["rounds"]) == ("finished", rounds[-1]["round"])
    assert last["digest"] == rounds[-1]["digest"] == shell.ok("digest", last["model"])["digest"]
    assert shell.ok("attach", last["training"])["digest"] == last["digest"]

    verdict = shell.ok("verify")
    assert verdict["ok"]
    assert verdict["digest"] == last["digest"]

    training = Swarm.attach().training(last["training"])
    assert training.nodes == ["sl-1", "sl-2"]
    history = training.history
    assert set(history["node"]) == {"sl-1", "sl-2"}
    assert history["round"].max() == last["rounds"]
    model = training.model
    assert {name: array.shape for name, array in model.items()} == {"weight": (1, 4), "bias": (1,)}
    assert model["weight"].dtype == np.float32
    assert not list(Path(last["model"]).parent.glob("program/parts"))


def test_spoiled_model_is_found_by_verify(shell: Shell) -> None:
    training = Swarm.attach().training()
    path = Swarm.attach().paths.model("sl-2", training.id)
    good = path.read_bytes()
    try:
        path.write_bytes(good[:-4] + bytes(4))
        status, answers = shell("verify", training.id)
        assert status == 1
        assert not answers[0]["ok"]
        assert answers[-1]["error"]["code"] == DoesNotHold.code
        assert "model of sl-2" in answers[-1]["error"]["message"]
    finally:
        path.write_bytes(good)


def test_queue_no_queue_and_stop(shell: Shell) -> None:
    first = shell.train("--detach", batches=3000)[1][-1]["training"]
    until(lambda: running(first))
    status, answers = shell.train("--no-queue")
    assert (status, answers[-1]["error"]["code"]) == (1, "SWL-117")
    second = shell.train("--detach")[1][-1]["training"]
    states = {t["id"]: t["state"] for t in shell.ok("status")["trainings"]}
    assert (states[first], states[second]) == ("running", "queued")
    stopped = shell.ok("stop", first)
    assert (stopped["event"], stopped["state"]) == ("finished", "stopped")
    assert shell.ok("verify", first)["ok"]
    assert shell.ok("attach", second)["state"] == "finished"


def test_ctrl_c_detaches(shell: Shell) -> None:
    command = [sys.executable, "-m", "swarm_lab.cli", "train", "--json", "prog.py", "--data", "parts", "--sync", "8"]
    command += ["-e", "WORD=a=b", "-e", "BATCHES=1500", "--", "--pause", "0.01"]
    with subprocess.Popen(
        command, env=shell.environment, cwd=shell.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as call:
        assert call.stdout is not None
        assert call.stderr is not None
        line = next(line for line in call.stdout if '"round"' in line)
        call.send_signal(signal.SIGINT)
        said = call.stderr.read()
        assert call.wait(20) == 130
    training = json.loads(line)["training"]
    assert "goes on" in said
    assert running(training)
    assert shell.ok("stop", training)["state"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "status", "code", "said"),
    [
        (["bad.py", "--data", "parts"], 2, "SWL-114", "bad.py, line 2"),
        (["prog.py", "--data", "short"], 2, "SWL-115", "no folder for sl-2"),
        (["prog.py", "--data", "parts", "--min-peers", "3"], 2, "SWL-101", "more than the 2 seats"),
        (["prog.py", "--data", "parts", "--merge", "median"], 2, "SWL-101", "median"),
        (["prog.py", "--data", "parts", "-r", "needs.txt"], 1, "SWL-116", "nothing-like-this"),
        (["prog.py", "--data", "parts", "--nodes", "sl-7"], 2, "SWL-112", "sl-7"),
    ],
)
def test_bad_trainings_start_nothing(shell: Shell, arguments: list[str], status: int, code: str, said: str) -> None:
    (shell.home / "bad.py").write_text("import os\ndef\n")
    (shell.home / "short" / "sl-1").mkdir(parents=True, exist_ok=True)
    (shell.home / "needs.txt").write_text("nothing-like-this==1\n")
    before = len(Swarm.attach().trainings())
    found, answers = shell("train", *arguments)
    error = answers[-1]["error"]
    assert (found, error["code"]) == (status, code)
    assert said in error["message"]
    assert len(Swarm.attach().trainings()) == before


def test_failing_program_is_told_once_with_node_and_line(shell: Shell) -> None:
    (shell.home / "raises.py").write_text("import os\nraise ValueError('no good')\n")
    status, events = shell("train", "raises.py", "--data", "parts")
    assert status == 1
    failed = [event for event in events if event.get("event") == "node_failed"]
    assert sorted(event["node"] for event in failed) == ["sl-1", "sl-2"]
    assert all("no good" in event["traceback"] and event["line"] == 2 for event in failed)
    assert events[-1]["error"]["code"] == "SWL-118"


def test_killed_supervisor_down_and_up_lose_nothing(shell: Shell) -> None:
    swarm = Swarm.attach()
    training = shell.train("--detach", batches=3000)[1][-1]["training"]
    until(lambda: running(training, 3))
    addresses = swarm.facts.ports
    record = process.read_record(swarm.paths.root / "supervisor.json")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    until(lambda: not record.alive)
    assert shell.ok("status")["state"] == "degraded"
    assert shell.ok("down", "whole")["state"] == "stopped"
    assert process.all_of(swarm.paths.root) == []
    status, answers = shell("train", "prog.py")
    assert (status, answers[-1]["error"]["code"]) == (1, "SWL-106")
    done = swarm.training(training).view.round

    assert shell.ok("up", "whole")["state"] in ("ready", "training")
    assert Swarm.attach().facts.ports == addresses
    until(lambda: running(training, done + 2))
    assert shell.ok("stop", training)["state"] == "stopped"
    assert shell.ok("verify", training)["ok"]


async def test_handles_in_a_kernel_whose_loop_runs(shell: Shell) -> None:
    swarm = Swarm.attach()
    options = {"data": shell.home / "parts", "env": {"WORD": "a=b"}, "args": ("--pause", "0.01"), "sync": 8}
    for _ in range(2):
        training = swarm.train(shell.home / "prog.py", **options)
        assert training.wait(limit=60)["state"] == "finished"
        assert swarm.verify(training.id).ok
    left = swarm.train(shell.home / "prog.py", **{**options, "env": {"WORD": "a=b", "BATCHES": "5000"}})
    until(lambda: left.status.round > 1)  # the fixture's `down` comes during its rounds

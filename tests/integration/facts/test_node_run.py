"""A node's main program as a process: its record, its end by a signal, and what it leaves when it fails."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swarm_lab.nodes.config import NodeConfig

MAIN = """
import asyncio, sys, time
from pathlib import Path
from swarm_lab.errors import UsageError
from swarm_lab.nodes import run
from swarm_lab.nodes.config import NodeConfig
run.END_LIMIT_S = 0.5

async def serve(config):
    (config.directory / "up").touch()
    try:
        %s
    finally:
        (config.directory / "tidy").touch()

run.run(NodeConfig.read(Path(sys.argv[1])), serve)
"""


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    found = NodeConfig(
        swarm="demo", name="license", kind="license", trust_domain="demo.swarm",
        directory=tmp_path / "license", swarm_dir=tmp_path, run_dir=tmp_path,
    )  # fmt: skip
    found.write()
    return found


def start(config: NodeConfig, body: str) -> subprocess.Popen[str]:
    code = MAIN % body
    return subprocess.Popen(
        [sys.executable, "-c", code, str(config.directory / "config.json")], stderr=subprocess.PIPE, text=True
    )


def until(path: Path, limit: float = 30.0) -> None:
    end = time.monotonic() + limit
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


def state(config: NodeConfig) -> dict:
    return json.loads((config.directory / "state.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_tidily(config, number):
    node = start(config, "await asyncio.Event().wait()")
    until(config.directory / "up")
    assert json.loads((config.directory / "process.json").read_text())["pid"] == node.pid
    node.send_signal(number)
    _, err = node.communicate(timeout=10)
    assert node.returncode == 0
    assert (config.directory / "tidy").exists()
    assert state(config)["state"] == "stopped"
    assert "process_cpu_seconds" in (config.directory / "metrics.prom").read_text()
    assert {json.loads(line)["node"] for line in err.splitlines()} == {"license"}


def test_blocked_node_ends_all_the_same(config):
    node = start(config, "await asyncio.to_thread(time.sleep, 60)")
    until(config.directory / "up")
    node.terminate()
    node.communicate(timeout=10)
    assert node.returncode == 1


def test_failure_is_logged_and_written(config):
    node = start(config, "raise UsageError('no such thing', next_step='try again')")
    _, err = node.communicate(timeout=30)
    assert node.returncode == 1
    assert state(config)["message"] == "SWL-101: no such thing"
    last = json.loads(err.splitlines()[-1])
    assert (last["code"], last["next"]) == ("SWL-101", "try again")


def test_crash_leaves_its_traceback_in_the_log(config):
    node = start(config, "1 / 0")
    _, err = node.communicate(timeout=30)
    assert node.returncode == 1
    assert state(config)["state"] == "failed"
    assert "ZeroDivisionError" in json.loads(err.splitlines()[-1])["traceback"]

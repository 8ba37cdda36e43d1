"""A real supervisor, a real identity node, and processes that may or may not have an identity."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarm_lab.errors import NotAttested
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.source import SvidSource
from swarm_lab.nodes.config import NodeConfig

LIMIT = 20.0

# A node that says who it is, then what its child is told on each of the sockets; a line on stdin asks once more.
NODE = """
import json, pathlib, subprocess, sys, time
from swarm_lab.errors import SwarmLabError
from swarm_lab.identity import source
source.REFUSAL_GRACE = 0.2
root, sockets, asker = pathlib.Path(sys.argv[1]), sys.argv[2:4], sys.argv[4] if len(sys.argv) > 4 else "node"
def ask(path):
    try:
        with source.SvidSource.open(pathlib.Path(path), timeout=15) as found:
            return str(found.spiffe_id)
    except SwarmLabError as error:
        return error.code
def say(name, value):
    (root / "part").write_text(json.dumps(value))
    (root / "part").rename(root / name)
if asker == "child":
    say("child.json", [ask(path) for path in sockets])
else:
    say("node.json", ask(sockets[0]))
    subprocess.run([sys.executable, *sys.argv, "child"], timeout=20)
    while not (root / "again").exists():
        time.sleep(0.05)
    say("again.json", ask(sockets[0]))
"""


class Swarm:
    """A supervisor with the identity node and one SL node, all in one short directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.identity = self._config("identity", "identity")
        self._config("sl-1", "sl")
        self.sockets = [str(self.identity.workload_socket), str(self.identity.operator_socket)]
        self.supervisor: subprocess.Popen[bytes] | None = None

    def _config(self, name: str, kind: Any) -> NodeConfig:
        config = NodeConfig(
            swarm="demo",
            name=name,
            kind=kind,
            trust_domain="demo.swarm",
            directory=self.root / "nodes" / name,
            swarm_dir=self.root,
            run_dir=self.root,
        )
        config.write()
        return config

    def start(self) -> None:
        script = self.root / "node.py"
        script.write_text(NODE)
        commands = {
            "identity": f"{sys.executable} -m swarm_lab.nodes {self.root}/nodes/identity/config.json",
            "sl-1": f"{sys.executable} {script} {self.root} {' '.join(self.sockets)}",
        }
        text = f"""
            [unix_http_server]
            file = {self.root}/supervisor.sock
            [supervisord]
            nodaemon = true
            logfile = {self.root}/supervisord.log
            pidfile = {self.root}/supervisord.pid
            [rpcinterface:supervisor]
            supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
            """
        for name, command in commands.items():
            text += f"""
            [program:{name}]
            command = {command}
            autorestart = false
            redirect_stderr = true
            stdout_logfile = {self.root}/{name}.log
            """
        (self.root / "supervisord.conf").write_text(textwrap.dedent(text))
        self.supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.root / "supervisord.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )

    def kill_supervisor(self) -> list[psutil.Process]:
        """SIGKILL to the supervisor alone; returns what it leaves behind."""
        assert self.supervisor is not None
        left = psutil.Process(self.supervisor.pid).children(recursive=True)
        self.supervisor.kill()
        self.supervisor.wait(timeout=5)
        return left

    def answer(self, name: str) -> Any:
        """What the node or its child wrote."""
        end = time.monotonic() + LIMIT
        while not (self.root / name).exists():
            if time.monotonic() > end:
                logs = [path.read_text() for path in self.root.glob("*.log")]
                raise AssertionError(f"no {name}: {logs}")
            time.sleep(0.02)
        return json.loads((self.root / name).read_text())


@pytest.fixture
def swarm() -> Iterator[Swarm]:
    root = Path(tempfile.mkdtemp(prefix="swl-"))
    made = Swarm(root)
    made.start()
    assert made.supervisor is not None
    left: list[psutil.Process] = []
    try:
        yield made
    finally:
        if made.supervisor.poll() is None:
            left = made.kill_supervisor()
        pid = root / "nodes" / "identity" / "process.json"
        if pid.exists():
            left.append(psutil.Process(json.loads(pid.read_text())["pid"]))
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=5)
        shutil.rmtree(root)


def test_only_what_the_supervisor_runs_is_a_node(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm_lab.identity.source.REFUSAL_GRACE", 0.2)
    assert swarm.answer("node.json") == "spiffe://demo.swarm/sl/sl-1"
    assert swarm.answer("child.json") == ["SWL-202", "SWL-202"]
    with pytest.raises(NotAttested):
        SvidSource.open(swarm.identity.workload_socket, timeout=10)
    operator = SpiffeId("demo.swarm", "swci", "operator")
    with SvidSource.open(swarm.identity.operator_socket, operator, timeout=10) as source:
        bundle = source.bundle("demo.swarm")
    assert bundle == (swarm.root / "nodes" / "identity" / "ca.pem").read_bytes()

    swarm.kill_supervisor()
    (swarm.root / "again").touch()
    assert swarm.answer("again.json") == "spiffe://demo.swarm/sl/sl-1"

    refusals = [
        line["reason"]
        for line in map(json.loads, (swarm.root / "identity.log").read_text().splitlines())
        if line.get("event") == "refused"
    ]
    assert any("runs no such process" in reason for reason in refusals)
    assert any("belongs to sl-1" in reason for reason in refusals)

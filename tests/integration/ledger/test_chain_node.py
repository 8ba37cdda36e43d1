"""The chain as a node of the swarm: becomes anvil under its own pid, ends on SIGTERM, says when its port is taken."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.facts.state import read_state
from swarm_lab.ledger.transport import HttpTransport
from swarm_lab.nodes.config import NodeConfig


def config(home: Path, port: int) -> NodeConfig:
    return NodeConfig(
        swarm="demo",
        name="chain",
        kind="chain",
        trust_domain="demo.swarm",
        directory=home / "chain",
        swarm_dir=home,
        run_dir=home,
        address=f"127.0.0.1:{port}",
    )


def start(made: NodeConfig) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "swarm_lab.nodes", str(made.write())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


async def test_it_becomes_anvil_and_listens_here_only(tmp_path: Path, need: Callable[..., None]) -> None:
    need("anvil")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(config(tmp_path, port))
    transport = HttpTransport(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    found = await transport.batch([("eth_accounts", []), ("eth_chainId", [])])
                    break
                except LedgerUnreachable:
                    await asyncio.sleep(0.05)
        assert found == [[], hex(77431)]
        record = json.loads((tmp_path / "chain" / "process.json").read_text())
        assert record["pid"] == process.pid
        state = read_state(tmp_path / "chain" / "state.json")
        assert state is not None and state.state == "ready"
        listens = {c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"}
        assert listens == {"127.0.0.1"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(3)
        await transport.close()


def test_a_taken_port_is_named(tmp_path: Path, need: Callable[..., None]) -> None:
    need("anvil")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(config(tmp_path, port))
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    state = read_state(tmp_path / "chain" / "state.json")
    assert state is not None and state.state == "failed" and str(port) in state.message
    assert str(port).encode() in said

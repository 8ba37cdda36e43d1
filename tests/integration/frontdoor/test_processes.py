"""A swarm's processes under a real supervisor: start, restart, orphans, and that nothing runs on."""

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from swarm_lab.errors import NotReady, PortTaken, SwarmRuns
from swarm_lab.facts import process
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.state import read_state
from swarm_lab.front import launch, seats
from swarm_lab.front.launch import Wanted, bring_down, bring_up
from swarm_lab.front.status import READY, status_of
from swarm_lab.provision import local, ports
from swarm_lab.provision.local import LocalNodes
from swarm_lab.spec import SwarmSpec
from swarm_lab.swarm import Swarm

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> SwarmPaths:
    """A swarm whose nodes are dummies; no license and no chain are needed."""
    monkeypatch.setattr(local, "NODES", "dummy_nodes")
    monkeypatch.setattr(launch, "_place_anvil", lambda say: None)
    # Ports of its own: a swarm that comes back needs those it had, and other swarms may come up meanwhile.
    start = random.randrange(12_000, 29_000)
    monkeypatch.setattr(ports, "_OTHERS", range(start, start + 300))
    monkeypatch.setattr(ports, "DEFAULTS", dict.fromkeys(ports.DEFAULTS, start))
    return SwarmPaths.of("demo")


def up(paths: SwarmPaths, wait: float = 30.0, **told: str) -> Swarm:
    spec = SwarmSpec(name=paths.name, sl=2, framework="torch", options=told)
    bring_up(paths, spec, Wanted(), wait, lambda line: None)
    return Swarm(paths)


def until(what: Callable[[], bool], limit: float = 20.0) -> None:
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "not within the limit"
        time.sleep(0.05)


def test_up_status_down(paths: SwarmPaths) -> None:
    swarm = up(paths)
    status = swarm.status()
    assert status.state == "ready"
    kinds = [node.kind for node in status.nodes]
    assert kinds == ["license", "identity", "chain", "sentinel", "sn", "sl", "sl"]
    for node in status.nodes:
        assert node.state in READY
        assert node.pid is not None
        assert psutil.pid_exists(node.pid)
    assert status.nodes[5].spiffe_id == "spiffe://demo.swarm/sl/sl-1"
    assert "sl-1 says hello" in swarm.logs("sl-1")
    with pytest.raises(SwarmRuns):
        up(paths)
    assert Swarm.attach().name == "demo"
    addresses = swarm.facts.ports
    assert swarm.down().state == "stopped"
    assert process.all_of(paths.root) == []
    again = up(paths)
    assert again.facts.ports == addresses
    assert [e["event"] for e in again.events()] == ["swarm_up", "swarm_down", "swarm_up"]
    again.down(purge=True)
    assert not paths.root.exists()


def test_killed_node_comes_back(paths: SwarmPaths) -> None:
    swarm = up(paths)
    before = next(node.pid for node in swarm.status().nodes if node.name == "sl-1")
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: swarm.status().nodes[5].pid not in (before, None) and swarm.status().state == "ready")


def test_killed_supervisor_leaves_orphans_that_up_ends(paths: SwarmPaths) -> None:
    swarm = up(paths, **{"sl-2": "parent"})
    record = process.read_record(paths.root / "supervisor.json")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    until(lambda: not record.alive)
    nodes = LocalNodes(paths, swarm.facts)
    orphans = {found.pid for found in nodes.orphans()}
    assert len(orphans) == 9, "eight nodes, and the child of sl-2"
    status = swarm.status()
    assert (status.state, status.message) == ("degraded", "its supervisor is gone")
    assert all(node.pid in orphans for node in status.nodes)
    assert not swarm.doctor(bundle=False).ok
    again = up(paths)
    assert not any(psutil.pid_exists(pid) for pid in orphans)
    assert again.status().state == "ready"


def test_machine_switched_off(paths: SwarmPaths) -> None:
    swarm = up(paths)
    for found in process.all_of(paths.root):
        found.kill()
    until(lambda: process.all_of(paths.root) == [])
    shutil.rmtree(swarm.facts.run_dir)
    with (paths.root / "events.jsonl").open("a") as file:
        file.write('{"v":1,"seq":2,"eve')
    assert swarm.status().state == "stopped"
    assert up(paths).facts == swarm.facts
    assert [event["seq"] for event in swarm.events()] == [1, 2]


def test_killed_supervisor_and_down(paths: SwarmPaths) -> None:
    swarm = up(paths, **{"sl-1": "parent"})
    record = process.read_record(paths.root / "supervisor.json")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    assert swarm.down().state == "stopped"
    assert process.all_of(paths.root) == []


def test_down_ends_what_does_not_listen(paths: SwarmPaths) -> None:
    swarm = up(paths, **{"sl-1": "deaf"})
    began = time.monotonic()
    swarm.down()
    assert process.all_of(paths.root) == []
    assert time.monotonic() - began < 40


def test_node_that_ends_at_once_is_named_and_nothing_runs_on(paths: SwarmPaths) -> None:
    with pytest.raises(NotReady, match=r"sl-2 is .*told to crash"):
        up(paths, wait=6.0, **{"sl-2": "crash"})
    assert process.all_of(paths.root) == []


def test_node_that_waits_is_named_with_what_it_says(paths: SwarmPaths) -> None:
    with pytest.raises(NotReady, match=r"after 12 s: sl-1 is waiting \(told to be mute\)"):
        up(paths, wait=12.0, **{"sl-1": "mute"})
    assert process.all_of(paths.root) == []


def test_taken_port_of_a_stopped_swarm(paths: SwarmPaths) -> None:
    swarm = up(paths)
    swarm.down()
    host, _, port = swarm.facts.ports["sl-1"].rpartition(":")
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, int(port)))
        held.listen()
        with pytest.raises(PortTaken, match=rf"port {port} of sl-1 is held by"):
            up(paths)
    assert process.all_of(paths.root) == []


def test_seats_come_and_go(paths: SwarmPaths) -> None:
    swarm = up(paths)
    assert [node.name for node in swarm.add(2, wait=30)] == ["sl-3", "sl-4"]
    status = swarm.remove("sl-2")
    assert [node.name for node in status.nodes if node.kind == "sl"] == ["sl-1", "sl-3", "sl-4"]
    before = read_state(paths.state("sl-1"))
    found = swarm.restart("sl-1", wait=30)
    assert found.state == "ready"
    assert before != read_state(paths.state("sl-1"))
    swarm.down()
    assert up(paths).seats == ["sl-1", "sl-3", "sl-4"]


def test_seat_that_does_not_start_is_taken_away_again(paths: SwarmPaths) -> None:
    swarm = up(paths, **{"sl-3": "mute"})
    with pytest.raises(NotReady, match="sl-3"):
        seats.add_seats(paths, 1, 4.0, lambda line: None)
    assert status_of(paths, Swarm(paths).facts).state == "ready"
    assert swarm.status().nodes[-1].name == "sl-2"


def test_two_swarms_side_by_side(paths: SwarmPaths) -> None:
    first, second = up(paths), up(SwarmPaths.of("two"))
    assert not set(first.facts.ports.values()) & set(second.facts.ports.values())
    assert [found.state for found in Swarm.all()] == ["ready", "ready"]
    bring_down(paths, first.facts, lambda line: None)
    assert Swarm.attach().name == "two"
    assert second.status().state == "ready"


def test_doctor_collects_no_key(paths: SwarmPaths) -> None:
    import tarfile

    swarm = up(paths)
    (paths.node("sl-1") / "ledger.key").write_text("secret")
    report = swarm.doctor()
    assert report.bundle is not None
    with tarfile.open(report.bundle) as archive:
        names = archive.getnames()
    assert "nodes/sl-1/log.jsonl" in names
    assert not any("key" in name for name in names)

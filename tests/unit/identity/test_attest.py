"""Who gets which identity: nodes by what the launcher runs, the owner by uid, and nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping

import psutil
import pytest

from swarm_lab.identity.attest import NodeAttestor, OwnerAttestor, RefusedError
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.launches import LauncherSilentError, Launches, SupervisorLauncher
from swarm_lab.identity.peercred import Caller, caller_of

OWNER = 1000
NODE = SpiffeId("demo.swarm", "sl", "sl-1")


class FakeLauncher:
    def __init__(self, running: Mapping[int, str]) -> None:
        self.processes = dict(running)
        self.silent = False
        self.asked = 0

    def running(self) -> Mapping[int, str]:
        self.asked += 1
        if self.silent:
            raise LauncherSilentError("supervisor does not answer")
        return self.processes


class FakeProcesses:
    """Processes by pid; one that is replaced stays another one."""

    def __init__(self) -> None:
        self.alive: dict[int, object] = {}

    def start(self, pid: int) -> None:
        self.alive[pid] = object()

    def look(self, pid: int) -> FakeProcess:
        if pid not in self.alive:
            raise psutil.NoSuchProcess(pid)
        return FakeProcess(self, pid, self.alive[pid])


class FakeProcess:
    def __init__(self, table: FakeProcesses, pid: int, mark: object) -> None:
        self._table, self._pid, self._mark = table, pid, mark

    def is_running(self) -> bool:
        return self._table.alive.get(self._pid) is self._mark


class World:
    """A launcher with one node, sl-1 as pid 10, and the seats as pid 20."""

    def __init__(self) -> None:
        self.launcher = FakeLauncher({10: "sl-1", 20: "seats"})
        self.processes = FakeProcesses()
        for pid in (10, 20, 30):
            self.processes.start(pid)
        self.launches = Launches(self.launcher, self.processes.look)
        self.nodes = NodeAttestor(OWNER, self.launches, self.entry)
        self.parents: dict[int, list[int]] = {}
        self.operator = OwnerAttestor(OWNER, self.launches, "demo.swarm", lambda pid: self.parents.get(pid, []))

    def entry(self, name: str) -> SpiffeId:
        if name != "sl-1":
            raise RefusedError("no identity for that kind")
        return NODE


@pytest.fixture
def world() -> World:
    return World()


def test_a_launched_node_gets_its_identity(world: World) -> None:
    assert world.nodes.attest(Caller(10, OWNER)) == NODE


def test_another_process_of_the_owner_gets_none(world: World) -> None:
    with pytest.raises(RefusedError, match="runs no such process"):
        world.nodes.attest(Caller(30, OWNER))


def test_a_launched_process_without_entry_gets_none(world: World) -> None:
    with pytest.raises(RefusedError, match="no identity"):
        world.nodes.attest(Caller(20, OWNER))


def test_another_user_gets_none(world: World) -> None:
    for attestor in (world.nodes, world.operator):
        with pytest.raises(RefusedError, match="uid 1001"):
            attestor.attest(Caller(10, 1001))
    assert world.launcher.asked == 0


def test_a_known_process_is_known_without_the_launcher(world: World) -> None:
    world.nodes.attest(Caller(10, OWNER))
    world.launcher.silent = True
    assert world.nodes.attest(Caller(10, OWNER)) == NODE
    with pytest.raises(RefusedError, match="does not answer"):
        world.nodes.attest(Caller(30, OWNER))


def test_a_later_process_with_the_same_pid_is_another_one(world: World) -> None:
    world.nodes.attest(Caller(10, OWNER))
    world.processes.start(10)
    world.launcher.processes = {20: "seats"}
    with pytest.raises(RefusedError, match="runs no such process"):
        world.nodes.attest(Caller(10, OWNER))


def test_a_process_that_ends_while_it_is_asked_for_is_passed_over(world: World) -> None:
    world.launcher.processes = {10: "sl-1", 99: "sl-2"}
    assert world.nodes.attest(Caller(10, OWNER)) == NODE
    with pytest.raises(RefusedError):
        world.nodes.attest(Caller(99, OWNER))


def test_the_owner_is_operator_also_without_the_launcher(world: World) -> None:
    operator = SpiffeId("demo.swarm", "swci", "operator")
    assert world.operator.attest(Caller(30, OWNER)) == operator
    world.launcher.silent = True
    assert world.operator.attest(Caller(30, OWNER)) == operator


def test_a_node_or_what_it_started_is_no_operator(world: World) -> None:
    with pytest.raises(RefusedError, match="sl-1"):
        world.operator.attest(Caller(10, OWNER))
    world.parents[31] = [30, 20, 1]
    with pytest.raises(RefusedError, match="seats"):
        world.operator.attest(Caller(31, OWNER))
    world.launcher.silent = True
    with pytest.raises(RefusedError, match="seats"):
        world.operator.attest(Caller(31, OWNER))


def test_an_operator_process_that_has_ended_is_refused() -> None:
    launches = Launches(FakeLauncher({}))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=10)
    with pytest.raises(RefusedError, match="ended"):
        OwnerAttestor(os.getuid(), launches, "demo.swarm").attest(Caller(ended.pid, os.getuid()))


def test_a_supervisor_without_a_socket_is_silent(tmp_path: object) -> None:
    with pytest.raises(LauncherSilentError):
        SupervisorLauncher(tmp_path / "none.sock").running()  # type: ignore[operator]


def test_the_kernel_names_the_process_at_the_other_end() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert caller_of(here) == Caller(os.getpid(), os.getuid())

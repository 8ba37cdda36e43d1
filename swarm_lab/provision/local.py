"""A swarm's nodes as processes of this machine, under one supervisor that outlives whoever started it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from swarm_lab.errors import NotStopped, SupervisorFailed
from swarm_lab.facts import process
from swarm_lab.facts.paths import SwarmPaths, make_private
from swarm_lab.facts.swarm import LOCAL, NodeFacts, SwarmFacts
from swarm_lab.provision.plan import config_of, stale_sockets
from swarm_lab.provision.ports import check_free
from swarm_lab.provision.supervisor import Program, ProgramInfo, Supervisor

# Started in this order; the seats import a framework for seconds, so they begin early.
_PRIORITY = {"identity": 10, "chain": 20, "license": 30, "seats": 35, "sentinel": 40, "sn": 50, "sl": 60}
_DAEMON_END_S = 20.0
NODES = "swarm_lab.nodes"

Say = Callable[[str], None]


class LocalNodes:
    """The processes of one swarm: start, look, add, remove, restart, stop."""

    def __init__(self, paths: SwarmPaths, facts: SwarmFacts) -> None:
        self.paths = paths
        self.facts = facts
        self.supervisor = Supervisor(paths.root, facts.run_dir)

    @property
    def running(self) -> bool:
        """Whether the supervisor answers."""
        return self.supervisor.answers()

    def programs(self) -> dict[str, ProgramInfo] | None:
        """The supervisor's word on each process, None when it does not answer."""
        try:
            return self.supervisor.programs()
        except SupervisorFailed:
            return None

    def orphans(self) -> list[psutil.Process]:
        """Whatever runs of this swarm although its supervisor is gone."""
        return [] if self.running else process.all_of(self.paths.root)

    def start(self, say: Say) -> None:
        """Start every node. Raises `PortTaken` before any process starts, `SupervisorFailed` after none has."""
        left = self.orphans()
        if left:
            say(f"ending {len(left)} processes that a killed supervisor left behind")
            self._end(left)
        check_free({node.name: node.address for node in self.facts.nodes if node.address and node.host == LOCAL})
        make_private(self.facts.run_dir)
        for path in stale_sockets(self.facts.run_dir):
            path.unlink(missing_ok=True)
        self.supervisor.write_daemon(self.facts.name)
        for node in self.facts.nodes:
            self.supervisor.write(self._program(node))
        self.supervisor.start()

    def add(self, node: NodeFacts) -> None:
        """Start one more node, which `facts` has already."""
        self.supervisor.add(self._program(node))

    def remove(self, name: str) -> None:
        """Stop a node for good; its directory stays."""
        self.supervisor.remove(name)

    def restart(self, name: str) -> None:
        """Stop a node and start it again."""
        self._forget_state(name)
        self.supervisor.restart(name)

    def stop(self, say: Say) -> None:
        """End every process of the swarm and make sure of it; raises `NotStopped` naming what would not end."""
        daemon = process.read_record(self.paths.root / "supervisor.json")
        if self.running:
            try:
                self._ask()
            except SupervisorFailed as error:
                say(f"{error.message}: ending its processes one by one")
            found = daemon.process() if daemon else None
            if found is not None:
                psutil.wait_procs([found], timeout=_DAEMON_END_S)
        self._end(process.all_of(self.paths.root))
        for path in self.facts.run_dir.glob("*.sock"):
            path.unlink(missing_ok=True)

    def _ask(self) -> None:
        """Seats first, while the nodes that they say goodbye to still answer; then the rest at once."""
        learning = [n.name for n in self.facts.of_kind("sl", "seats")]
        others = [n.name for n in self.facts.nodes if n.name not in learning]
        known = self.supervisor.programs()
        self.supervisor.stop([name for name in learning if name in known])
        self.supervisor.stop([name for name in others if name in known])
        self.supervisor.shutdown()

    def _end(self, processes: list[psutil.Process]) -> None:
        left = process.end(processes)
        # A supervisor that is told to end may have started a process just before.
        left += process.end(process.all_of(self.paths.root))
        if left:
            named = ", ".join(f"{p.pid} ({p.name()})" for p in left)
            raise NotStopped(f"processes of {self.facts.name} do not end: {named}")

    def _program(self, node: NodeFacts) -> Program:
        config: Path = config_of(self.facts, node, self.paths).write()
        self._forget_state(node.name)
        return Program(
            name=node.name,
            command=(*_entering(node), sys.executable, "-m", NODES, str(config)),
            directory=self.paths.node(node.name),
            log=self.paths.log(node.name),
            priority=_PRIORITY[node.kind],
        )

    def _forget_state(self, name: str) -> None:
        """What a node said of itself in its last life must not be taken for its word in this one."""
        self.paths.state(name).unlink(missing_ok=True)


def _entering(node: NodeFacts) -> tuple[str, ...]:
    """What goes before the command of a node in a network namespace; the process stays the one that was started."""
    return () if node.host == LOCAL else ("nsenter", f"--net=/run/netns/{node.host}", "--")

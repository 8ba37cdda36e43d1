"""A patient whose seats may have hosts of their own: ways to hurt it, and to have it well again."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from support.hosts import Network, run
from support.patients import Patient

from swarm_lab.facts import process
from swarm_lab.facts.swarm import LOCAL
from swarm_lab.provision.local import NODES, LocalNodes
from swarm_lab.provision.supervisor import Program
from swarm_lab.swarm import Swarm

PROGRAM = Path(__file__).parent / "programs" / "until_told.py"
PARAMS = 1_000_000  # float32: a model of 4 MB
PAUSE_S = 0.3  # of a batch, and each batch is a round's interval
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


@contextlib.contextmanager
def ward(name: str, data: Path, seats: int, network: bool) -> Iterator[Ward]:
    """A swarm of two SNs; with `network` each seat is alone on a host of it. All is gone afterwards."""
    hosts = [f"sl-{number + 1}" for number in range(seats)]
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(contextlib.closing(Network(hosts))) if network else None
        spec: dict[str, Any] = {"name": name, "sl": seats, "sn": 2, "framework": "torch"}
        if net is not None:
            spec["hosts"] = {host: {"address": net.address(host), "netns": net.netns(host)} for host in hosts}
            spec["hosts"] |= {node: {"address": net.center} for node in ("license", "sentinel", "sn-2")}
        data.mkdir(parents=True, exist_ok=True)
        (data / "swarm.yaml").write_text(yaml.safe_dump(spec))
        for host in hosts:
            (data / host).mkdir(exist_ok=True)
        swarm = Swarm.up(file=data / "swarm.yaml")
        stack.callback(swarm.down)
        made = Ward(swarm, data, net)
        stack.callback(made.cure)
        yield made


class Ward(Patient):
    """See `patients.Patient`. `net` is there where the seats have hosts of their own."""

    def __init__(self, swarm: Swarm, data: Path, network: Network | None = None) -> None:
        super().__init__(swarm, data)
        self.network = network
        self._frozen: list[int] = []
        self._faked: set[str] = set()
        self._disks: list[Path] = []

    @property
    def net(self) -> Network:
        """The hosts' network."""
        assert self.network is not None, "this swarm has no hosts of its own"
        return self.network

    def begin(self, least: int, **env: str) -> Any:
        """Start a training on all seats that ends once `enough` is there."""
        self.enough.unlink(missing_ok=True)
        variables = {"COUNT": str(PARAMS), "PAUSE": str(PAUSE_S), "ENOUGH": str(self.enough)} | env
        return self.swarm.train(PROGRAM, data=self.data, env=variables, sync=1, min_peers=least, seed=1)

    @property
    def enough(self) -> Path:
        """The programs end once it is there."""
        return self.data / "enough"

    def pause(self, node: str, seconds: float | None) -> None:
        """How long a batch of the node's program takes from now on; None is as long as everybody's."""
        own = self.data / node / "pause"
        if seconds is None:
            own.unlink(missing_ok=True)
        else:
            part = own.with_name("pause.part")
            part.write_text(str(seconds))
            part.replace(own)

    def supervisor(self) -> int:
        """The pid of the supervisor."""
        found = process.read_record(self.swarm.paths.root / "supervisor.json")
        assert found is not None
        return found.pid

    def freeze(self, node: str) -> None:
        """SIGSTOP."""
        pid = self.supervisor() if node == "supervisor" else self.pid(node)
        os.kill(pid, signal.SIGSTOP)
        self._frozen.append(pid)

    def thaw(self) -> None:
        """SIGCONT to all that are frozen."""
        while self._frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._frozen.pop(), signal.SIGCONT)

    def faked(self, node: str) -> None:
        """Start a node again with a wall clock that `skew` can move; its monotonic clock stays the machine's."""
        self.skew(node, 0)
        faked = {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock(node)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self._again(node, ("env", *(f"{key}={value}" for key, value in faked.items())))
        self._faked.add(node)
        self.until_ready()

    def skew(self, node: str, seconds: float) -> None:
        """Move the wall clock of a node that is `faked`; its monotonic clock goes on."""
        part = self._clock(node).with_name("clock.part")
        part.write_text(f"{seconds:+f}")
        part.replace(self._clock(node))

    @property
    def clocks_differ(self) -> bool:
        """Whether some node's clock is not the machine's."""
        return bool(self._faked)

    def small_disk(self, node: str) -> None:
        """A disk of its own, of 64 MB, for the node's trainings from now on."""
        place = self._own(node) / "trainings"
        run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "swarm-lab-test", str(place)])
        self._disks.append(place)

    @contextlib.contextmanager
    def filled(self) -> Iterator[None]:
        """No room is left on the small disk."""
        filler = self._disks[-1] / "fill"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(64 * 1024)):
                pass
        try:
            yield
        finally:
            filler.unlink()

    def cure(self) -> None:
        """Undo whatever was done, but for what is dead: the supervisor brings that back, and `revive` a supervisor."""
        self.thaw()
        if self.network is not None:
            self.network.heal()
        for seat in self.swarm.seats:
            self.pause(seat, None)
        while self._disks:
            run(["umount", "-l", str(self._disks.pop())])
        while self._faked:
            self._again(self._faked.pop(), ())

    def revive(self) -> None:
        """Everything down and up again."""
        self.swarm.down()
        self.swarm = Swarm.up(self.swarm.name)

    def _again(self, node: str, before: tuple[str, ...]) -> None:
        nodes = LocalNodes(self.swarm.paths, self.swarm.facts)
        host = self.swarm.node(node).host
        inside = () if host == LOCAL else ("nsenter", f"--net=/run/netns/{host}", "--")
        paths = self.swarm.paths
        command = (*inside, *before, sys.executable, "-m", NODES, str(paths.config(node)))
        nodes.supervisor.remove(node)
        paths.state(node).unlink(missing_ok=True)
        nodes.supervisor.add(Program(node, command, paths.node(node), paths.log(node), 60))

    def _clock(self, node: str) -> Path:
        return self.data / f"{node}.clock"

    def _own(self, node: str) -> Path:
        return self.swarm.paths.root / "nodes" / node

"""All swarms of this user, each watched; found from disk, so that a server that was started again knows as much."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from swarm_lab.errors import NoSuchSwarm, SwarmLabError
from swarm_lab.facts.paths import SwarmPaths, check_name, is_name, swarms_root
from swarm_lab.front.status import programs_of
from swarm_lab.jupyter.server.gpus import Gpus
from swarm_lab.jupyter.server.loads import Loads
from swarm_lab.jupyter.server.models import HostInfo, SwarmInfo
from swarm_lab.jupyter.server.watch import SwarmWatch

# A folder without `swarm.json` is one that is being made or removed, until nothing has moved in it for so long.
_SETTLED_S = 2.0
_PARTS = ("spec.yaml", "events.jsonl", "nodes")


class Swarms:
    """What is known of the swarms. One thread uses it; another one `observe` and `sample`."""

    def __init__(self, gpus: Gpus | None = None) -> None:
        self.gpus = gpus or Gpus()
        self._loads = Loads(self.gpus)
        self._watches: dict[str, SwarmWatch] = {}

    def look(self) -> list[SwarmWatch]:
        """The swarms that there are now, in name order."""
        known = self._watches
        self._watches = {name: known.get(name) or SwarmWatch(SwarmPaths.of(name)) for name in _names(swarms_root())}
        return list(self._watches.values())

    def known(self) -> list[SwarmWatch]:
        """Those that were there at the last look."""
        return list(self._watches.values())

    def watch(self, name: str) -> SwarmWatch:
        """One swarm; raises `NoSuchSwarm` and `BadName`."""
        check_name(name)
        if name not in self._watches:
            self.look()
        found = self._watches.get(name)
        if found is None or not found.paths.root.exists():
            raise NoSuchSwarm(f"there is no swarm {name!r}")
        return found

    def fresh(self) -> list[SwarmInfo]:
        """Every swarm as it is now."""
        found = self.look()
        for watch in found:
            watch.poll()
        return [watch.info() for watch in found]

    def observe(self) -> None:
        """Look at all nodes; in the observers' thread."""
        for watch in self.known():
            if watch.observer.asked:
                watch.observer.look()

    def sample(self) -> HostInfo:
        """Take loads of all nodes; returns the host's. In the observers' thread."""
        watches = self.known()
        roots = {
            (watch.name, node): records
            for watch in watches
            for node, records in watch.observer.processes(watch.running).items()
        }
        loads = self._loads.sample(roots)
        for watch in watches:
            watch.observer.loads = {node: load for (swarm, node), load in loads.items() if swarm == watch.name}
        return self._loads.host(swarms_root())

    def forget_loads(self) -> None:
        """Show none. In the observers' thread."""
        for watch in self.known():
            if watch.observer.loads:
                watch.observer.loads = {}

    def host(self) -> HostInfo:
        """This machine."""
        return self._loads.host(swarms_root())

    @property
    def trains(self) -> bool:
        """Whether any swarm trains."""
        return any(watch.trains for watch in self._watches.values())


def ask(watch: SwarmWatch) -> None:
    """Ask a swarm's supervisor for its processes; may take seconds where the supervisor hangs."""
    try:
        watch.observer.programs = programs_of(watch.paths, watch.observer.facts())
    except (SwarmLabError, OSError):
        watch.observer.programs = None  # `look` says why
    watch.observer.asked = True


def _names(root: Path) -> Iterator[str]:
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if is_name(folder.name) and ((folder / "swarm.json").exists() or _was_a_swarm(folder)):
            yield folder.name


def _was_a_swarm(folder: Path) -> bool:
    return any((folder / part).exists() for part in _PARTS) and time.time() - _changed(folder) > _SETTLED_S


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()

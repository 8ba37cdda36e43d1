"""The nodes of a swarm as their files and processes show them; looked at again only when one of these has changed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm_lab.errors import SwarmLabError, SwarmUnreadable
from swarm_lab.experiments import faults
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import ProcessRecord, read_record
from swarm_lab.facts.swarm import SwarmFacts, read_swarm
from swarm_lab.front.status import Programs, SwarmStatus, status_from
from swarm_lab.jupyter.server.failures import told
from swarm_lab.jupyter.server.info import node_info
from swarm_lab.jupyter.server.models import Load, NodeInfo, SwarmError

# Also what leaves no trace in a file is seen by then: a process that was frozen, say.
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Observed:
    """The nodes at one moment; `error` says why they cannot be read."""

    status: SwarmStatus
    nodes: list[NodeInfo]
    error: SwarmError | None = None


class Observer:
    """Looks at the nodes of one swarm, in one thread; `now` may be read in any.

    `programs` is put in by whoever asks the supervisor, `loads` by whoever samples them.
    """

    def __init__(self, paths: SwarmPaths) -> None:
        self.paths = paths
        self.programs: Programs | None = None
        self.asked = False
        self.loads: Mapping[str, Load] = {}
        self.now: Observed | None = None
        self._seen_of: object = None
        self._seen_at = 0.0

    def facts(self) -> SwarmFacts:
        """The nodes as they were placed; raises `SwarmUnreadable` and `OtherVersion`."""
        try:
            return read_swarm(self.paths)
        except OSError as error:
            raise SwarmUnreadable(f"{error.filename} cannot be read: {error.strerror}") from error
        except SwarmLabError as error:
            if self.paths.swarm.exists():
                raise
            raise SwarmUnreadable(f"{self.paths.swarm} is missing") from error

    def look(self) -> Observed:
        """The nodes as they are now."""
        at = time.monotonic()
        seen_of = self._traces()
        if self.now is None or seen_of != self._seen_of or at - self._seen_at > _LOOK_AGAIN_S:
            self._seen_of, self._seen_at = seen_of, at
            found = self._look()
            if found != self.now:
                self.now = found
        assert self.now is not None
        return self.now

    def processes(self, trainings: Iterable[str]) -> dict[str, list[ProcessRecord]]:
        """The processes of each node that is there, those of its programs among them."""
        found = {}
        for node in self.now.nodes if self.now is not None else ():
            own = self.paths.node(node.name)
            paths = [own / "process.json", *(own / "trainings" / id / "process.json" for id in trainings)]
            found[node.name] = [record for path in paths if (record := read_record(path)) is not None]
        return found

    def _look(self) -> Observed:
        try:
            hurt = faults.hurt_nodes(self.paths)
            status = status_from(self.paths, self.facts(), self.programs, (), hurt)
        except (SwarmLabError, OSError, ValueError) as error:
            known = error if isinstance(error, SwarmLabError) else SwarmUnreadable(f"{self.paths.root}: {error}")
            return Observed(self._failed(known), [], told(known))
        return Observed(
            status, [node_info(node, self.loads.get(node.name), hurt.get(node.name)) for node in status.nodes]
        )

    def _failed(self, error: SwarmLabError) -> SwarmStatus:
        return SwarmStatus(
            swarm=self.paths.name,
            state="failed",
            nodes=[],
            trainings=[],
            directory=str(self.paths.root),
            message=error.message,
        )

    def _traces(self) -> object:
        """What changes when a node does: times of files, the supervisor's word, loads."""
        names = [] if self.now is None else [node.name for node in self.now.nodes]
        own = (self.paths.swarm, self.paths.root / "faults")
        stamps = [_stamp(path) for path in (*own, *map(self.paths.state, names))]
        supervised = self.programs and [(name, p.state, p.pid) for name, p in self.programs.items()]
        return stamps, supervised, id(self.loads)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

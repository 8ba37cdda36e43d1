"""One swarm, watched: what the panel shows of it is made anew only when something it is made of has changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from swarm_lab.errors import NoSuchNode, NoSuchTraining, SwarmLabError, SwarmUnreadable
from swarm_lab.experiments import faults
from swarm_lab.facts.events import Event
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import ProcessRecord, read_record
from swarm_lab.facts.swarm import SwarmFacts, read_swarm
from swarm_lab.facts.views import TrainingView, apply
from swarm_lab.front.detail import TrainingDetail
from swarm_lab.front.status import Programs, status_from
from swarm_lab.jupyter.server.failures import told
from swarm_lab.jupyter.server.info import swarm_info, training_detail
from swarm_lab.jupyter.server.models import Load, NodeInfo, SwarmInfo
from swarm_lab.jupyter.server.tail import FactTail

# Also what leaves no trace in a file is seen by then: a process that was frozen, say.
_LOOK_AGAIN_S = 1.0


class SwarmWatch:
    """Reads what is new of one swarm. One thread uses it; `programs` is put in by whoever asks the supervisor."""

    def __init__(self, paths: SwarmPaths) -> None:
        self.paths = paths
        self.tail = FactTail(paths.events)
        self.views: dict[str, TrainingView] = {}
        self.programs: Programs | None = None
        self.asked = False
        self.loads: Mapping[str, Load] = {}
        self._untold: list[Event] = []
        self._rewound = 0
        self._made: SwarmInfo | None = None
        self._made_of: object = None
        self._made_at = 0.0

    @property
    def name(self) -> str:
        """The swarm's name."""
        return self.paths.name

    def facts(self) -> SwarmFacts:
        """Its nodes as they were placed; raises `SwarmUnreadable` and `OtherVersion`."""
        try:
            return read_swarm(self.paths)
        except OSError as error:
            raise SwarmUnreadable(f"{error.filename} cannot be read: {error.strerror}") from error
        except SwarmLabError as error:
            if self.paths.swarm.exists():
                raise
            raise SwarmUnreadable(f"{self.paths.swarm} is missing") from error

    def poll(self) -> None:
        """Read the facts that are new into the views; `take` gives them to whoever tells them."""
        first = self.tail.last == 0
        found = self.tail.poll()
        if self.tail.rewound != self._rewound:
            self._rewound, self.views, self._untold, first = self.tail.rewound, {}, [], True
        for event in found:
            apply(self.views, event)
        if not first:
            self._untold += found

    def take(self) -> list[Event]:
        """The facts that were read since the last call; not those that were there when this swarm was found."""
        found, self._untold = self._untold, []
        return found

    def info(self) -> SwarmInfo:
        """The swarm as it is now; one whose folder cannot be read says so and has no nodes."""
        now = time.monotonic()
        made_of = self._traces()
        if self._made is None or made_of != self._made_of or now - self._made_at > _LOOK_AGAIN_S:
            try:
                self._made = self._make()
            except (SwarmLabError, OSError, ValueError) as error:
                self._made = self._unreadable(error)
            self._made_of, self._made_at = made_of, now
        return self._made

    def node(self, name: str) -> NodeInfo:
        """A node; raises `NoSuchNode`."""
        found = next((node for node in self.info().nodes if node.name == name), None)
        if found is None:
            raise NoSuchNode(f"the swarm {self.name!r} has no node {name!r}")
        return found

    def training(self, id: str) -> TrainingDetail:
        """A training with its rounds; raises `NoSuchTraining`."""
        self.poll()
        if id not in self.views:
            raise NoSuchTraining(f"the swarm {self.name!r} has no training {id!r}")
        return training_detail(self.name, self.views[id], self.views, self.tail.last)

    def processes(self) -> dict[str, list[ProcessRecord]]:
        """The processes of each node that is there, those of its program among them."""
        if self._made is None:
            return {}
        running = [view.id for view in self.views.values() if not view.over]
        found = {}
        for node in self._made.nodes:
            own = self.paths.node(node.name)
            paths = [own / "process.json", *(own / "trainings" / id / "process.json" for id in running)]
            found[node.name] = [record for path in paths if (record := read_record(path)) is not None]
        return found

    @property
    def trains(self) -> bool:
        """Whether a training goes on: one is not over, and something of the swarm runs."""
        if all(view.over for view in self.views.values()):
            return False
        names = [self.paths.root / "supervisor.json", *self.paths.nodes.glob("*/process.json")]
        return any(record.alive for path in names if (record := read_record(path)) is not None)

    def _make(self) -> SwarmInfo:
        hurt = faults.hurt_nodes(self.paths)
        status = status_from(self.paths, self.facts(), self.programs, (), hurt)
        return swarm_info(status, self.views, self.loads, hurt, self.tail.last)

    def _unreadable(self, error: Exception) -> SwarmInfo:
        known = error if isinstance(error, SwarmLabError) else SwarmUnreadable(f"{self.paths.root}: {error}")
        return SwarmInfo(
            swarm=self.name,
            state="failed",
            nodes=[],
            trainings=[],
            directory=str(self.paths.root),
            message=known.message,
            seq=self.tail.last,
            error=told(known),
        )

    def _traces(self) -> object:
        """What changes when anything does that `info` is made of: times of files, the supervisor's word, loads."""
        names = [] if self._made is None else [node.name for node in self._made.nodes]
        stamps = [
            _stamp(path) for path in (self.paths.swarm, self.paths.root / "faults", *map(self.paths.state, names))
        ]
        supervised = self.programs and [(name, p.state, p.pid) for name, p in self.programs.items()]
        return self.tail.last, self._rewound, stamps, supervised, id(self.loads)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

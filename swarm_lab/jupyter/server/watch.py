"""One swarm, watched: its facts read once each, its trainings folded from them, its nodes as they are observed."""

from __future__ import annotations

from swarm_lab.errors import NoSuchNode, NoSuchTraining
from swarm_lab.facts.events import Event
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import read_record
from swarm_lab.facts.views import TrainingView, apply
from swarm_lab.front.detail import TrainingDetail
from swarm_lab.jupyter.server.info import swarm_info, training_detail
from swarm_lab.jupyter.server.models import NodeInfo, SwarmInfo
from swarm_lab.jupyter.server.observed import Observed, Observer
from swarm_lab.jupyter.server.tail import FactTail


class SwarmWatch:
    """One thread uses it, so that views need no lock; its `observer` is another's."""

    def __init__(self, paths: SwarmPaths) -> None:
        self.paths = paths
        self.tail = FactTail(paths.events)
        self.observer = Observer(paths)
        self.views: dict[str, TrainingView] = {}
        self._untold: list[Event] = []
        self._rewound = 0
        self._made: SwarmInfo | None = None
        self._made_of = (0, 0, 0)
        self._made_from: Observed | None = None  # kept, so that no other one has its id

    @property
    def name(self) -> str:
        """The swarm's name."""
        return self.paths.name

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
        """The swarm as it was observed last, with its trainings as they are now."""
        observed = self.observer.now or self.observer.look()
        made_of = (id(observed), self.tail.last, self._rewound)
        if self._made is None or made_of != self._made_of:
            self._made = swarm_info(observed.status, observed.nodes, self.views, self.tail.last, observed.error)
            self._made_of, self._made_from = made_of, observed
        return self._made

    def node(self, name: str) -> NodeInfo:
        """A node; raises `NoSuchNode`."""
        found = next((node for node in self.info().nodes if node.name == name), None)
        if found is None:
            raise NoSuchNode(f"the swarm {self.name!r} has no node {name!r}")
        return found

    def training(self, id: str) -> TrainingDetail:
        """A training with its rounds; raises `NoSuchTraining`."""
        if id not in self.views:
            raise NoSuchTraining(f"the swarm {self.name!r} has no training {id!r}")
        return training_detail(self.name, self.views[id], self.views, self.tail.last)

    @property
    def running(self) -> list[str]:
        """The trainings that are not over."""
        return [view.id for view in list(self.views.values()) if not view.over]

    @property
    def trains(self) -> bool:
        """Whether a training goes on: one is not over, and something of the swarm runs."""
        if not self.running:
            return False
        names = [self.paths.root / "supervisor.json", *self.paths.nodes.glob("*/process.json")]
        return any(record.alive for path in names if (record := read_record(path)) is not None)

"""The front door: `Swarm` brings a swarm up, trains on it, says how it is, attaches to it and takes it down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from swarm_lab.errors import NoSuchNode, NoSuchSwarm, NoSuchTraining, SwarmDown, UsageError, WhichSwarm
from swarm_lab.facts.events import EventLog, fold, read
from swarm_lab.facts.paths import SwarmPaths, check_name
from swarm_lab.facts.swarm import NodeFacts, SwarmFacts, read_swarm, swarm_names
from swarm_lab.front import doctor, launch, logs, seats
from swarm_lab.front.launch import Say, Wanted
from swarm_lab.front.options import WAIT_S, Verdict
from swarm_lab.front.status import NodeStatus, SwarmStatus, TrainingStatus, status_of
from swarm_lab.front.training import Training
from swarm_lab.nodes.config import Framework
from swarm_lab.provision.local import LocalNodes
from swarm_lab.spec import SwarmSpec, TrainingSpec, checked, read_spec


def quiet(_line: str) -> None:
    """Where progress goes when nobody asked for it."""


class Swarm:
    """A swarm of this user, whoever started it. Make one by `Swarm.up` or `Swarm.attach`; it owns no process.

    Everything it knows lies on disk, so that any number of notebooks and shells may hold one at the same time.
    Methods raise `SwarmLabError`s, each with its code, cause and next step.
    """

    def __init__(self, paths: SwarmPaths) -> None:
        self.paths = paths
        self.facts: SwarmFacts = read_swarm(paths)

    def __repr__(self) -> str:
        return f"<Swarm {self.name}: {self.facts.framework}, {len(self.facts.seats)} seats>"

    @property
    def name(self) -> str:
        """The swarm's name."""
        return self.facts.name

    @property
    def seats(self) -> list[str]:
        """The names of the nodes that learn."""
        return self.facts.seats

    @classmethod
    def up(
        cls,
        name: str | None = None,
        *,
        sl: int | None = None,
        sn: int | None = None,
        framework: Framework | None = None,
        file: Path | str | None = None,
        cold: bool | None = None,
        wait: float = WAIT_S,
        say: Say = quiet,
    ) -> Swarm:
        """Bring a swarm up and wait `wait` seconds at most until every node is ready.

        A new one has what the YAML `file` and the arguments say, arguments winning; one that is down comes back with
        its keys, addresses and ledger. `say` is given lines of progress. On a failure nothing keeps running.
        """
        spec = read_spec(Path(file)) if file is not None else SwarmSpec()
        given = {"name": name, "sl": sl, "sn": sn, "framework": framework, "cold": cold}
        values = {**spec.model_dump(), **{key: value for key, value in given.items() if value is not None}}
        spec = checked(SwarmSpec, values, "up")
        paths = SwarmPaths.of(check_name(spec.name))
        launch.bring_up(paths, spec, Wanted(sl, sn, framework, cold), wait, say)
        return cls(paths)

    @classmethod
    def attach(cls, name: str | None = None) -> Swarm:
        """The swarm called `name`; without a name the only one that runs, or the only one that exists."""
        if name is not None:
            return cls(SwarmPaths.of(name))
        names = swarm_names()
        if not names:
            raise NoSuchSwarm("there is no swarm")
        swarms = [cls(SwarmPaths.of(found)) for found in names]
        if len(swarms) > 1:
            swarms = [swarm for swarm in swarms if swarm.running]
        if len(swarms) != 1:
            raise WhichSwarm(f"there are several swarms: {', '.join(names)}")
        return swarms[0]

    @staticmethod
    def all() -> list[SwarmStatus]:
        """The status of every swarm of this user."""
        return [Swarm(SwarmPaths.of(name)).status() for name in swarm_names()]

    @property
    def running(self) -> bool:
        """Whether its supervisor answers."""
        return LocalNodes(self.paths, self.facts).running

    def status(self) -> SwarmStatus:
        """Nodes and trainings as they are now."""
        self.facts = read_swarm(self.paths)
        return status_of(self.paths, self.facts)

    def train(
        self,
        program: Path | str | None = None,
        *,
        resume: str | None = None,
        queue: bool = True,
        say: Say = quiet,
        **options: Any,
    ) -> Training:
        """Start a training and return its handle at once; `options` are the fields of `TrainingSpec`.

        `resume`, the id of a training that has failed, lets it go on after its last committed round instead: its
        nodes have the program; what is given nevertheless must be what it was started with.

        Raises for a program with a syntax error, data that does not fit the seats and the like before anything is
        started, and `SeatsBusy` where `queue` is false and a seat is taken.
        """
        from swarm_lab.front.resume import resume_training
        from swarm_lab.front.start import start_training

        if resume is not None:
            given = options if program is None else {**options, "program": Path(program)}
            checked(TrainingSpec, {"program": Path(), **given}, "train")
            self._must_run()
            return resume_training(self.training(resume), given, say)
        if program is None:
            raise UsageError("there is no program to train", next_step="give its path, or --resume ID")
        spec = checked(TrainingSpec, {**options, "program": Path(program)}, "train")
        self._must_run()
        return start_training(self.paths, self.facts, spec, queue=queue, say=say)

    def trainings(self) -> list[TrainingStatus]:
        """Every training, in the order of their creation."""
        return self.status().trainings

    def training(self, id: str | None = None) -> Training:
        """The handle of a training, by default the last one. Raises `NoSuchTraining`."""
        known = list(fold(read(self.paths.root)))
        if not known:
            raise NoSuchTraining(f"the swarm {self.name!r} has had no training")
        if id is not None and id not in known:
            raise NoSuchTraining(f"the swarm {self.name!r} has no training {id!r}; it has {', '.join(known[-8:])}")
        return Training(self.paths, self.facts, id or known[-1])

    def stop(self, training: str | None = None, *, limit: float = 300.0) -> Mapping[str, Any]:
        """End a training with one closing round and return its `finished` event."""
        handle = self.training(training)
        handle.stop()
        return handle.wait(limit=limit)

    def logs(self, node: str, *, lines: int = 200) -> list[str]:
        """The last lines of a node's log, oldest first."""
        return logs.tail(self.paths, self.node(node).name, lines)

    def follow(self, node: str, *, lines: int = 20, limit: float = 3600.0) -> Iterator[str]:
        """A node's log as it grows, after its last `lines`; ends when nothing came for `limit` seconds."""
        return logs.follow(self.paths, self.node(node).name, lines, limit)

    def node(self, name: str) -> NodeFacts:
        """A node's facts; raises `NoSuchNode`, naming those that there are."""
        found = self.facts.named(name)
        if found is None:
            known = ", ".join(node.name for node in self.facts.nodes)
            raise NoSuchNode(f"the swarm {self.name!r} has no node {name!r}; it has {known}")
        return found

    def add(
        self,
        count: int = 1,
        *,
        training: str | None = None,
        data: Path | str | None = None,
        wait: float = WAIT_S,
        say: Say = quiet,
    ) -> Sequence[NodeStatus]:
        """Add seats and wait until they are ready; raises `NoSeat` before any starts.

        With `training`, the id of one that runs, they join it from its last merged model: `data` is then a folder with
        a folder for each of them.
        """
        from swarm_lab.front.join import prepare_join

        self._must_run()
        before = set(self.seats)
        if (training is None) != (data is None):
            raise UsageError("--training and --data go together", next_step="give both, or neither")
        join = None if data is None else prepare_join(self.training(training), count, Path(data))
        seats.add_seats(self.paths, count, wait, say)
        added = [node for node in self.status().nodes if node.kind == "sl" and node.name not in before]
        if join is not None:
            join(self.facts)
            say(f"{', '.join(node.name for node in added)} joined {training}")
        return added

    def remove(self, name: str) -> SwarmStatus:
        """Stop a seat for good. Its trainings go on without it, if enough are left."""
        self._must_run()
        node = self.node(name)
        if node.kind != "sl":
            raise UsageError(f"{name} is a {node.kind}: only sl nodes are removed", next_step="use `down` or `restart`")
        seats.remove_seat(self.paths, name)
        return self.status()

    def restart(self, name: str, *, wait: float = WAIT_S, say: Say = quiet) -> NodeStatus:
        """Stop a node, start it again and wait until it is ready."""
        self._must_run()
        return seats.restart_node(self.paths, self.facts, self.node(name).name, wait, say)

    def down(self, *, purge: bool = False, say: Say = quiet) -> SwarmStatus:
        """End every process of the swarm. Its facts stay, so that `up` brings it back, unless `purge` removes them."""
        status = launch.bring_down(self.paths, self.facts, say)
        if purge:
            shutil.rmtree(self.paths.root)
        return status

    def doctor(self, *, bundle: bool = True) -> doctor.Report:
        """Check what may be wrong, and collect logs into one file without keys."""
        return doctor.examine(self.paths, self.facts, bundle=bundle)

    def verify(self, training: str | None = None) -> Verdict:
        """Recompute the chain of evidence of a training: files, ledger and signatures."""
        from swarm_lab.front.verify import verify

        self._must_run()
        return verify(self.training(training))

    def metrics(self, node: str | None = None) -> str:
        """The nodes' numbers, or those of one, in Prometheus' text format; raises `NoSuchNode`.

        A node writes its own every five seconds while it runs; those older than a minute are left out.
        """
        from swarm_lab.facts.metrics import exposition

        return exposition(self.paths.root, only=None if node is None else self.node(node).name)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """The swarm's facts so far, those with a sequence number above `after`."""
        return list(read(self.paths.root, after))

    def note(self, event: str, **fields: Any) -> int:
        """Add a fact of one's own to the swarm's events; returns its sequence number."""
        return EventLog(self.paths.root).append(event, **fields)

    def _must_run(self) -> None:
        if not self.running:
            raise SwarmDown(f"the swarm {self.name!r} does not run", next_step=f"`swarm-lab up --name {self.name}`")

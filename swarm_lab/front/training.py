"""The handle of a training: its events, its history, its model; any number of handles may watch the same training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarm_lab.errors import NotStopped, SwarmDown, TrainingFailed
from swarm_lab.facts.events import Event, EventReader, conclude, fold, read
from swarm_lab.facts.measures import measured
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import read_record
from swarm_lab.facts.swarm import SwarmFacts, read_swarm
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.status import TrainingStatus, training_status
from swarm_lab.provision.local import LocalNodes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_LOOK_S = 0.05
_CHECK_S = 2.0


class Training:
    """A training of a swarm, running or over. `since`: number of the event after which this handle took it up."""

    def __init__(self, paths: SwarmPaths, facts: SwarmFacts, id: str, since: int = 0) -> None:
        self.paths = paths
        self.facts = facts
        self.id = id
        self.since = since

    def __repr__(self) -> str:
        status = self.status
        return f"<Training {self.id} of {self.facts.name}: {status.state}, round {status.round}>"

    @property
    def view(self) -> TrainingView:
        """What its events add up to now."""
        return fold(read(self.paths.root)).get(self.id) or TrainingView(self.id)

    @property
    def status(self) -> TrainingStatus:
        """State, round, nodes and metrics as the front door's answer has them."""
        return training_status(self.view)

    @property
    def nodes(self) -> list[str]:
        """The seats that it was given."""
        return self.view.nodes

    def events(self, after: int = 0, *, limit: float | None = None) -> Iterator[Event]:
        """Its events as they come, those before included; the last one is `finished`.

        Raises `SwarmDown` when the swarm goes down under it, and `NotStopped` after `limit` seconds (None: as long as
        the swarm runs).
        """
        reader = EventReader(self.paths.root, after)
        until = None if limit is None else time.monotonic() + limit
        look = time.monotonic() + _CHECK_S
        if after and (last := conclude(self.paths.root, self.id)) is not None and last["seq"] <= after:
            return
        while True:
            found = [event for event in reader.poll() if event.get("training") == self.id]
            # An end that was resumed from is none.
            resumed = max((at for at, event in enumerate(found) if event["event"] == "training_resumed"), default=-1)
            for at, event in enumerate(found):
                if at < resumed and event["event"] == "finished":
                    continue
                yield event
                if event["event"] == "finished":
                    return
                if event["event"] in ("node_finished", "node_failed"):
                    conclude(self.paths.root, self.id)
            now = time.monotonic()
            if until is not None and now > until:
                raise NotStopped(f"the training {self.id} did not end within {limit:.0f} s")
            if now > look:
                self._check()
                look = now + _CHECK_S
            time.sleep(_LOOK_S)

    def wait(self, *, limit: float | None = None) -> Mapping[str, Any]:
        """Wait for its end and return the `finished` event; raises `TrainingFailed` unless all finished alike."""
        last: Event = {}
        for last in self.events(limit=limit):  # noqa: B007 - the last one is the answer
            pass
        check(last)
        return last

    def stop(self) -> None:
        """Ask every node to end with one closing round; `wait` tells when they have."""
        from swarm_lab.front.start import stop_training

        stop_training(self.paths, self.facts, self.view)

    @property
    def history(self) -> pd.DataFrame:
        """One row per committed round and node that took part in it.

        `local_loss`, `local_metric`: the node's own model just before the merge of this round; `loss`, `metric`: the
        merged model of this round; all four on the node's own validation data (float64; NaN where it has none, and
        for the last round of a running training until the nodes have judged its model). `seconds` since the round
        before, `digest` of the merged model, `time` of the commit in unix seconds.
        """
        import pandas as pd

        view = self.view
        rounds = {done.round: done for done in view.rounds}
        columns = ["round", "node", "local_loss", "loss", "local_metric", "metric", "seconds", "digest", "time"]
        rows = [
            {name: getattr(found if name in columns[:6] else rounds[found.round], name) for name in columns}
            for found in measured(view)
        ]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:6], "float64"))

    @property
    def model_path(self) -> Path:
        """The file with the merged parameters; raises `TrainingFailed` while there is none."""
        view = self.view
        paths = [Path(str(said["model"])) for said in view.finished.values() if said.get("model")]
        found = next((path for path in paths if path.exists()), None)
        if found is None:
            raise TrainingFailed(
                f"the training {self.id} has no model: it is {view.state}",
                next_step="wait until it has finished: `swarm-lab attach`",
            )
        return found

    @property
    def model(self) -> dict[str, np.ndarray[Any, Any]]:
        """The merged parameters by the program's own names, with their own dtypes and shapes."""
        from swarm_lab.rounds.model_file import read_model

        layout, buffer = read_model(self.model_path)
        return dict(layout.views(buffer))

    def plot(self, value: str = "loss") -> Any:
        """Draw `loss` or `metric` over the rounds, of each node: merged model solid, its own before the merge dashed.

        Returns matplotlib's axes.
        """
        from swarm_lab.front.curves import draw

        axes = draw(self.history, value)
        axes.set_title(f"{self.id} on {self.facts.name}")
        return axes

    def _check(self) -> None:
        """Note for nodes that are gone for good that they are; raises `SwarmDown` when nothing runs any more."""
        from swarm_lab.front.seats import give_up

        self.facts = read_swarm(self.paths)
        view = self.view
        programs = LocalNodes(self.paths, self.facts).programs()
        if programs is None:
            # Nodes go on without their supervisor, but nothing starts one again that ends.
            alive = (read_record(self.paths.node(node) / "process.json") for node in view.nodes)
            if not view.over and not any(record is not None and record.alive for record in alive):
                raise SwarmDown(
                    f"the swarm {self.facts.name} went down during {self.id}",
                    next_step="`swarm-lab up` brings it back, and the training goes on from its last round",
                )
            return
        for node in view.nodes:
            info = programs.get(node)
            if info is not None and info.state == "FATAL" and node not in view.finished:
                give_up(self.paths, self.id, node, f"the node does not start any more: {info.said}")
        conclude(self.paths.root, self.id)


def check(finished: Mapping[str, Any]) -> None:
    """Raise `TrainingFailed` unless every node finished with the same model."""
    if finished.get("state") == "failed":
        failed = finished.get("failed") or {}
        said = "; ".join(f"{node}: {message}" for node, message in failed.items())
        raise TrainingFailed(said or "the nodes finished with different models")

"""What the facts add up to: one view of each training, folded from its events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from swarm_lab.facts import phases
from swarm_lab.facts.phases import NodePhase

TrainingState = Literal["queued", "running", "finished", "stopped", "failed"]
MEASURES = ("loss", "metric", "local_loss", "local_metric")
OVER: frozenset[str] = frozenset({"finished", "stopped", "failed"})


@dataclass(slots=True)
class RoundTimes:
    """What nodes told of a round: who coordinated it, and by node the seconds of training, waiting, exchanging."""

    coordinator: str | None = None
    nodes: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> None:
        """One node's word."""
        self.coordinator = event.get("coordinator") or self.coordinator
        self.nodes[str(event["node"])] = {name: float(event.get(f"{name}_s") or 0.0) for name in _SPENT}


@dataclass(slots=True)
class RoundView:
    """A committed round: who took part, the digest of its model, and each node's own loss and metric."""

    round: int
    nodes: list[str]
    digest: str
    metrics: dict[str, dict[str, float | None]]
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    tx: str | None = None
    time: float = 0.0
    interval: int | None = None
    path: str | None = None
    times: RoundTimes = field(default_factory=RoundTimes)


@dataclass(slots=True)
class TrainingView:
    """A training as its events tell it. `finished` and `failed` map a node to what it said last.

    `phases` has what lasted long enough to be told; `lost` nodes that others do not hear, `without` those that are not
    in the last round of a training that is over, with the reason. `measured`: which nodes have told which
    measures at all. `times` are of rounds that are not committed yet.
    """

    id: str
    state: TrainingState = "queued"
    nodes: list[str] = field(default_factory=list)
    merge: str = "mean"
    min_peers: int = 1
    sync: int = 0
    adaptive: bool = False
    early_stopping: int = 0
    program: str = ""
    digest: str | None = None
    rounds: list[RoundView] = field(default_factory=list)
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, dict[str, Any]] = field(default_factory=dict)
    phases: dict[str, NodePhase] = field(default_factory=dict)
    lost: dict[str, dict[str, Any]] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    stop_asked: bool = False
    model: str | None = None
    model_digest: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    ended: float | None = None
    resumed: int = 0
    joined: set[str] = field(default_factory=set)
    measured: set[tuple[str, str]] = field(default_factory=set)
    times: dict[int, RoundTimes] = field(default_factory=dict)

    def key(self, fact: str) -> str:
        """What stands for a fact of which there is one only, until the training is resumed."""
        return f"{self.id}/{fact}" + (f"/{self.resumed}" if self.resumed else "")

    @property
    def round(self) -> int:
        """The last committed round, 0 before the first."""
        return self.rounds[-1].round if self.rounds else 0

    @property
    def over(self) -> bool:
        """Whether every node has ended."""
        return self.state in OVER

    def outcome(self) -> dict[str, Any] | None:
        """What the `finished` event says once every node has ended; None before.

        The training has failed unless every node finished, all with the same digest. A node that joined too late to
        be in any round fails alone.
        """
        ended = self.finished.keys() | self.failed.keys()
        if not self.nodes or not ended.issuperset(self.nodes):
            return None
        digests = {end.get("digest") for end in self.finished.values()}
        late = self.joined.difference(*(done.nodes for done in self.rounds))
        good = self.failed.keys() <= late and len(digests) == 1
        state = ("stopped" if self.stop_asked else "finished") if good else "failed"
        ends = [self.finished[node] for node in self.nodes if node in self.finished]
        return {
            "state": state,
            "rounds": self.round,
            "model": ends[0].get("model") if ends else None,
            "digest": digests.pop() if len(digests) == 1 else None,
            "metrics": {end["node"]: end.get("metrics") for end in ends},
            "failed": {node: end.get("message") for node, end in self.failed.items()},
            "without": self.outside(),
        }

    def outside(self) -> dict[str, str]:
        """Nodes of the training that are not in its last committed round, and why."""
        if not self.rounds:
            return {}
        last = self.rounds[-1]
        return {node: self._why_outside(node, last) for node in self.nodes if node not in last.nodes}

    def _why_outside(self, node: str, last: RoundView) -> str:
        said = str(self.failed.get(node, {}).get("message") or "").partition("\n")[0]
        away = str(self.lost.get(node, {}).get("reason") or "")
        return said or last.left_out.get(node, "") or away or "it took no part"

    def enters(self, node: str, phase: str, since: float) -> None:
        """A node's phase; one that goes on keeps its beginning."""
        known = self.phases.get(node)
        if known is None or known.phase != phase:
            self.phases[node] = NodePhase(phase, since)


def fold(events: Iterable[Mapping[str, Any]]) -> dict[str, TrainingView]:
    """The trainings of a swarm in the order of their creation; events of other versions or names pass."""
    views: dict[str, TrainingView] = {}
    for event in events:
        apply(views, event)
    return views


def apply(views: dict[str, TrainingView], event: Mapping[str, Any]) -> TrainingView | None:
    """Add one event to the views; returns the view that it changed."""
    step = _STEPS.get(str(event.get("event")))
    training = event.get("training")
    if step is None or not isinstance(training, str) or event.get("v") != 1:
        return None
    view = views.setdefault(training, TrainingView(training))
    if event["event"] in _LIFE:
        view.lost.pop(str(event.get("node")), None)
    step(view, event)
    return view


def _created(view: TrainingView, event: Mapping[str, Any]) -> None:
    view.nodes = list(event.get("nodes", []))
    view.merge = str(event.get("merge", "mean"))
    view.min_peers = int(event.get("min_peers", 1))
    _pace(view, event)
    view.program = str(event.get("program", ""))
    view.digest = event.get("digest")
    view.created = float(event.get("time", 0.0))


def _started(view: TrainingView, _event: Mapping[str, Any]) -> None:
    if not view.over:
        view.state = "running"


def _agreed(view: TrainingView, event: Mapping[str, Any]) -> None:
    view.merge, view.min_peers = str(event["merge"]), int(event["min_peers"])
    _pace(view, event)


def _pace(view: TrainingView, event: Mapping[str, Any]) -> None:
    view.sync = int(event.get("sync") or 0)
    view.adaptive, view.early_stopping = bool(event.get("adaptive")), int(event.get("early_stopping") or 0)


def _joined(view: TrainingView, event: Mapping[str, Any]) -> None:
    node = str(event["node"])
    view.joined.add(node)
    if node not in view.nodes:
        view.nodes = [*view.nodes, node]


def _resumed(view: TrainingView, event: Mapping[str, Any]) -> None:
    """Those that come back have neither finished nor failed; of a training that was over, the others are out of it."""
    nodes = [str(node) for node in event.get("nodes", [])]
    if view.over or not view.nodes:
        view.nodes, view.stop_asked = nodes, False
        view.state, view.ended, view.model, view.model_digest = "queued", None, None, None
    view.resumed += 1
    for node in nodes:
        view.finished.pop(node, None)
        view.failed.pop(node, None)
        view.lost.pop(node, None)
    for node in [node for node in view.failed if node not in view.nodes]:
        del view.failed[node]


def _progress(view: TrainingView, event: Mapping[str, Any]) -> None:
    _started(view, event)
    view.progress[str(event["node"])] = {key: event.get(key) for key in ("round", "batches", "loss")}
    view.waiting.pop(str(event["node"]), None)
    view.enters(str(event["node"]), "TRAINING", _time(event))


def _waiting(view: TrainingView, event: Mapping[str, Any]) -> None:
    node = str(event["node"])
    view.waiting[node] = {key: event.get(key) for key in ("phase", "reason", "nodes", "since")}
    since = event.get("since")
    view.enters(node, str(event.get("phase") or phases.WAITING_FOR_PEERS), _time(event) if since is None else since)


def _lost(view: TrainingView, event: Mapping[str, Any]) -> None:
    node = str(event["node"])
    if node not in view.failed and node not in view.finished:
        view.lost[node] = {key: event.get(key) for key in ("by", "reason", "since")}


def _round(view: TrainingView, event: Mapping[str, Any]) -> None:
    _started(view, event)
    if event["round"] <= view.round:
        return
    view.rounds.append(
        RoundView(
            round=int(event["round"]),
            nodes=list(event.get("nodes", [])),
            digest=str(event.get("digest", "")),
            metrics=dict(event.get("metrics") or {}),
            left_out=dict(event.get("left_out") or {}),
            seconds=event.get("seconds"),
            tx=event.get("tx"),
            interval=event.get("interval"),
            path=event.get("path"),
            time=float(event.get("time", 0.0)),
            times=view.times.get(int(event["round"]), RoundTimes()),
        )
    )
    for node, said in view.rounds[-1].metrics.items():
        _measured(view, node, said, MEASURES)
    view.times = {round_: told for round_, told in view.times.items() if round_ > view.round}
    for node in view.rounds[-1].nodes:
        view.waiting.pop(node, None)
        view.enters(node, "TRAINING", _time(event))


def _round_times(view: TrainingView, event: Mapping[str, Any]) -> None:
    """Told when a node has merged: before the round's commit or after it."""
    at = int(event["round"])
    if at > view.round:
        view.times.setdefault(at, RoundTimes()).add(event)
        return
    done = next((done for done in reversed(view.rounds) if done.round <= at), None)
    if done is not None and done.round == at:
        done.times.add(event)


def _node_finished(view: TrainingView, event: Mapping[str, Any]) -> None:
    node = str(event["node"])
    view.finished[node] = dict(event)
    _measured(view, node, event.get("metrics"), MEASURES[:2])
    view.failed.pop(node, None)
    view.waiting.pop(node, None)
    view.enters(node, "FINISHED", _time(event))


def _measured(view: TrainingView, node: str, said: Any, names: tuple[str, ...]) -> None:
    view.measured.update((node, name) for name in names if number((said or {}).get(name)) is not None)


def number(value: Any) -> float | None:
    """A measured value; None where there is none, or one that is not finite."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None


def _node_failed(view: TrainingView, event: Mapping[str, Any]) -> None:
    node = str(event["node"])
    view.failed[node] = dict(event)
    view.waiting.pop(node, None)
    view.enters(node, phases.failed(event.get("code")), _time(event))


def _stopped(view: TrainingView, _event: Mapping[str, Any]) -> None:
    view.stop_asked = True


def _finished(view: TrainingView, event: Mapping[str, Any]) -> None:
    view.state = event.get("state") or ("stopped" if view.stop_asked else "finished")
    view.model = event.get("model")
    view.model_digest = event.get("digest")
    view.metrics = dict(event.get("metrics") or {})
    view.ended = _time(event)
    view.without = dict(event.get("without") or {})


def _time(event: Mapping[str, Any]) -> float:
    return float(event.get("time", 0.0))


_SPENT = ("training", "waiting", "exchanging")
# What only a node that is there can say.
_LIFE = frozenset({"training_started", "progress", "waiting", "round_times", "program_restarted", "node_finished"})
_STEPS: dict[str, Callable[[TrainingView, Mapping[str, Any]], None]] = {
    "training_created": _created,
    "training_queued": lambda view, event: None,
    "training_started": _started,
    "training_agreed": _agreed,
    "training_resumed": _resumed,
    "node_joined": _joined,
    "progress": _progress,
    "waiting": _waiting,
    "node_lost": _lost,
    "round": _round,
    "round_times": _round_times,
    "node_finished": _node_finished,
    "node_failed": _node_failed,
    "training_stopped": _stopped,
    "finished": _finished,
}

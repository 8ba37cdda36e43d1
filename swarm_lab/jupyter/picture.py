"""What is shown of a training at one moment: plain values taken from its facts, before HTML or text is made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swarm_lab.facts.measures import curves, latest
from swarm_lab.facts.views import TrainingView

_PHASES = {
    "WAITING_FOR_PEERS": "waiting",
    "CHECKED_IN": "checked-in",
    "PLANNED": "exchanging",
    "EXCHANGING": "exchanging",
    "MERGED": "exchanging",
}
_MOMENT_S = 2.0  # what lasts less would flicker
_STAGED = re.compile(r'File "[^"\n]*?([^/"\n]+)"')
_CELL = re.compile(r"cell-(\d+)\.py")


Curves = Mapping[str, Sequence[tuple[float, float]]]
"""By node: (round, value) in the order of rounds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One node: `place` is its place in the roster, which chooses its line; None where nothing is known yet."""

    node: str
    place: int
    state: str
    batches: int | None
    loss: float | None
    metric: float | None
    note: str
    seconds: float | None = None
    """In this state; None for less than a moment, or where it does not count."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of the program, told once however many nodes met it."""

    nodes: tuple[str, ...]
    code: str
    message: str
    place: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A training at one moment. `share` is how far the round that is under way has come, 0 to 1."""

    training: str
    swarm: str
    state: str
    round: int
    share: float
    seconds: float
    round_seconds: float | None
    digest: str
    rows: tuple[Row, ...]
    losses: Curves
    metrics: Curves
    failures: tuple[Failure, ...]
    output: tuple[tuple[str, str], ...] = ()
    note: str = ""
    over: bool = field(default=False)
    local_losses: Curves = field(default_factory=dict)
    local_metrics: Curves = field(default_factory=dict)

    @property
    def active(self) -> int:
        """How many nodes are not lost."""
        return sum(row.state not in ("failed", "dropped", "lost") for row in self.rows)


def picture(
    view: TrainingView, swarm: str, now: float, *, output: Sequence[tuple[str, str]] = (), note: str = ""
) -> Picture:
    """Take the picture; `now` is unix seconds, `output` the last (node, line) that programs printed."""
    last = view.rounds[-1] if view.rounds else None
    known = latest(view)
    return Picture(
        training=view.id,
        swarm=swarm,
        state=view.state,
        round=view.round,
        share=1.0 if view.over else _share(view),
        seconds=max(0.0, (view.ended or now) - (view.created or now)),
        round_seconds=last.seconds if last else None,
        digest=view.model_digest or (last.digest if last else ""),
        rows=tuple(_row(view, node, place, known.get(node, {}), now) for place, node in enumerate(view.nodes)),
        losses=curves(view, "loss"),
        metrics=curves(view, "metric"),
        local_losses=curves(view, "local_loss"),
        local_metrics=curves(view, "local_metric"),
        failures=_failures(view),
        output=tuple(output),
        note=note,
        over=view.over,
    )


def mean_curve(lines: Curves) -> list[tuple[float, float]]:
    """The mean of the nodes that have a value, round by round."""
    by_round: dict[float, list[float]] = {}
    for points in lines.values():
        for x, y in points:
            by_round.setdefault(x, []).append(y)
    return [(x, sum(values) / len(values)) for x, values in sorted(by_round.items())]


def clean_trace(text: str) -> str:
    """A traceback without the paths of the node's machine: only the name of each file, and `cell 3` for a cell."""
    short = _STAGED.sub(lambda found: f'File "{found[1]}"', text.rstrip())
    return _CELL.sub(r"cell \1", short)


def _share(view: TrainingView) -> float:
    """How many of the batches of the round under way the nodes have done, on average."""
    last = view.rounds[-1].interval if view.rounds else None
    interval = last or view.sync
    if not interval or not view.progress:
        return 0.0
    begun = [(said.get("batches") or 0) - _merged_batches(view, node) for node, said in view.progress.items()]
    return sum(min(max(count / interval, 0.0), 1.0) for count in begun) / len(begun)


def _row(view: TrainingView, node: str, place: int, known: Mapping[str, float | None], now: float) -> Row:
    state, note = _state(view, node)
    # A node tells its progress twice a second; what its rounds have merged may be newer.
    told = view.progress.get(node, {}).get("batches")
    merged = _merged_batches(view, node)
    batches = max(told or 0, merged) if told is not None or merged else None
    return Row(node, place, state, batches, known.get("loss"), known.get("metric"), note, _seconds(view, node, now))


def _seconds(view: TrainingView, node: str, now: float) -> float | None:
    since = view.lost[node].get("since") if node in view.lost else None
    if since is None and node in view.phases:
        since = view.phases[node].since
    ended = view.over or node in view.finished or node in view.failed
    return now - since if since is not None and not ended and now - since >= _MOMENT_S else None


def _merged_batches(view: TrainingView, node: str) -> int:
    return sum(int((done.metrics.get(node) or {}).get("batches") or 0) for done in view.rounds)


def _state(view: TrainingView, node: str) -> tuple[str, str]:
    if node in view.failed:
        return "failed", str(view.failed[node].get("message") or "").partition("\n")[0]
    if node in view.finished:
        why = view.without.get(node)
        return ("stopped" if view.state == "stopped" else "finished"), f"not in the last round: {why}" if why else ""
    if view.over:
        return "stopped", ""
    if node in view.lost:
        return "lost", f"not heard: {view.lost[node].get('reason')}"
    if node in view.waiting:
        said = view.waiting[node]
        return _PHASES.get(str(said.get("phase")), "waiting"), str(said.get("reason") or "")
    left_out = view.rounds[-1].left_out if view.rounds else {}
    if node in left_out:
        return "dropped", f"left out of round {view.round}: {left_out[node]}"
    if node in view.progress or any(node in done.nodes for done in view.rounds[-1:]):
        return "training", ""
    return ("queued" if view.state == "queued" else "starting"), ""


def _failures(view: TrainingView) -> tuple[Failure, ...]:
    found: dict[tuple[str, str], list[str]] = {}
    said: dict[tuple[str, str], Mapping[str, object]] = {}
    for node in sorted(view.failed, key=view.nodes.index if set(view.failed) <= set(view.nodes) else None):
        event = view.failed[node]
        key = (str(event.get("message") or ""), clean_trace(str(event.get("traceback") or "")))
        found.setdefault(key, []).append(node)
        said.setdefault(key, event)
    return tuple(
        Failure(tuple(nodes), str(said[key].get("code") or ""), key[0], _place(key[1], said[key].get("line")), key[1])
        for key, nodes in found.items()
    )


def _place(trace: str, line: object) -> str:
    if not line:
        return ""
    cell = re.search(r"cell \d+", trace)
    return f"{cell[0] if cell else 'program'}, line {line}"

"""What a training tells people: its facts in `events.jsonl`, its lines in the log, the node's word in `state.json`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.events import EventLog
from swarm_lab.facts.logs import set_round
from swarm_lab.facts.state import StateFile
from swarm_lab.nodes.directory import Directory
from swarm_lab.rounds.events import Fail, Finish, LedgerView, Notice
from swarm_lab.rounds.messages import NodeId, Participant, Result, number

log = logging.getLogger(__name__)

_PROGRESS_S = 0.5
_WARNINGS = frozenset({"bad_peer", "race_lost", "lost_batches", "repeated", "left_out", "store_failed"})


class Reporter:
    """Speaks for one training on one node. Rounds are facts of all nodes: whoever sees one first writes it."""

    def __init__(self, training: str, node: str, events: EventLog, state: StateFile, directory: Directory) -> None:
        self._training = training
        self._node = node
        self._events = events
        self._state = state
        self._directory = directory
        self._rounds = 0
        self._last_round: float | None = None
        self._left_out: dict[str, str] = {}
        self._progress_due = 0.0
        self._waiting: tuple[str, str] | None = None
        self._on_finish: Callable[[Finish], None] = lambda action: None
        self._on_fail: Callable[[Fail], None] = lambda action: None
        self.tx: Callable[[int], str | None] = lambda round_: None

    def when_over(self, finished: Callable[[Finish], None], failed: Callable[[Fail], None]) -> None:
        """Whom to tell that the machine is done."""
        self._on_finish, self._on_fail = finished, failed

    # --- the machine's listener --------------------------------------------------------------------------

    def notice(self, notice: Notice) -> None:
        """A fact of the machine."""
        text = self._directory.words(notice.text)
        nodes = [self._directory.name(node) for node in notice.nodes]
        level = logging.WARNING if notice.kind in _WARNINGS else logging.INFO
        log.log(level, text or notice.kind, extra={"kind": notice.kind, "nodes": nodes, **_fields(notice.fields)})
        if notice.kind == "waiting":
            self.waiting(str(notice.fields.get("phase", "waiting")), text, nodes)
        elif notice.kind == "going_on":
            self.going_on()
        elif notice.kind == "without":
            self._left_out.update(dict.fromkeys(nodes, text))
        elif notice.kind == "lost_batches":
            self._append("lost_batches", node=self._node, reason=text, count=notice.fields.get("count"))
        elif notice.kind == "bad_peer":
            self._append("excluded", node=self._node, nodes=nodes, reason=text)

    def view(self, view: LedgerView) -> None:
        """The ledger has moved: new rounds become facts."""
        for result in view.results[self._rounds :]:
            self._rounds = result.round
            roster = view.rosters[result.round - 1] if result.round <= len(view.rosters) else frozenset()
            self._round(result, roster - set(result.nodes()))
        set_round(self._rounds + 1)

    def finished(self, action: Finish) -> None:
        """The training is over."""
        self._on_finish(action)

    def failed(self, action: Fail) -> None:
        """This node gives it up."""
        self._on_fail(action)

    # --- from the node itself ----------------------------------------------------------------------------

    def started(self) -> None:
        """The program is being started."""
        self._append("training_started", node=self._node)
        self._state.update(
            "training", f"{self._training}: starting the program", training=self._training, phase="starting"
        )

    def waiting(self, phase: str, reason: str, nodes: list[str]) -> None:
        """This node waits, for whom and why; told when it changes."""
        if self._waiting != (phase, reason):
            self._waiting = (phase, reason)
            self._append("waiting", node=self._node, phase=phase, reason=reason, nodes=nodes)
            self._state.update("training", f"{self._training}: {reason}", phase=phase, waiting_for=nodes or None)

    def going_on(self) -> None:
        """The wait is over."""
        if self._waiting is not None:
            self._waiting = None
            self._state.update("training", f"{self._training}: training", phase="training", waiting_for=None)

    def progress(self, batches: int, loss: float | None, *, force: bool = False) -> None:
        """How far the program is; at most twice a second."""
        now = time.monotonic()
        if not force and now < self._progress_due:
            return
        self._progress_due = now + _PROGRESS_S
        self._append("progress", node=self._node, round=self._rounds + 1, batches=batches, loss=loss)

    def output(self, stream: str, text: str) -> None:
        """A line that the program printed."""
        self._append("output", node=self._node, stream=stream, text=text)

    def node_finished(self, model: Path, digest: str, metrics: Mapping[str, float | None]) -> None:
        """This node holds the final model and its program has ended."""
        self._append(
            "node_finished", node=self._node, digest=digest, model=str(model), metrics=dict(metrics), round=self._rounds
        )

    def node_failed(self, error: SwarmLabError, traceback: str = "", line: int = 0) -> None:
        """This node's part has failed."""
        message = self._directory.words(error.message)
        log.error(message, extra={"code": error.code, "next": error.next_step})
        self._append(
            "node_failed",
            node=self._node,
            code=error.code,
            message=message,
            next=error.next_step,
            traceback=traceback,
            line=line,
        )

    def _round(self, result: Result, outside: frozenset[NodeId]) -> None:
        now = time.monotonic()
        seconds = None if self._last_round is None else round(now - self._last_round, 3)
        self._last_round = now
        names = {p.node: self._directory.name(p.node) for p in result.participants}
        left_out = {name: self._left_out.get(name, "") for name in map(self._directory.name, sorted(outside))}
        self._left_out.clear()
        self._events.append_once(
            f"{self._training}/round/{result.round}",
            "round",
            training=self._training,
            round=result.round,
            nodes=[names[p.node] for p in result.participants],
            digest=result.model,
            metrics={names[p.node]: _metrics(p) for p in result.participants},
            left_out=left_out,
            seconds=seconds,
            end=result.end,
            tx=self.tx(result.round),
        )
        self._state.update("training", f"{self._training}: round {result.round} is committed", round=result.round)

    def _append(self, event: str, **fields: Any) -> None:
        self._events.append(event, training=self._training, **fields)


def _metrics(participant: Participant) -> dict[str, float | None]:
    """Loss and metric of the round before's model on the participant's own validation data, and its batches."""
    return {
        "loss": _known(number(participant.loss)),
        "metric": _known(number(participant.metric)),
        "batches": participant.steps,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _fields(fields: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """Fields of a notice under names that a log record does not use itself."""
    return {f"round_{key}" if key in ("name", "msg", "args", "module") else key: v for key, v in fields.items()}

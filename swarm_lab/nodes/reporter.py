"""What a training tells people: its facts in `events.jsonl`, its lines in the log, the node's word in `state.json`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from swarm_lab.errors import ProgramFailed, SwarmLabError
from swarm_lab.facts.events import EventLog, conclude
from swarm_lab.facts.logs import set_round
from swarm_lab.facts.phases import failed
from swarm_lab.facts.state import StateFile
from swarm_lab.ledger.records import Terms
from swarm_lab.nodes.absences import WORTH_TELLING_S, Absences
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.meter import Meter
from swarm_lab.nodes.position import Position
from swarm_lab.nodes.spent import Spent
from swarm_lab.nodes.staging import TrainingRules
from swarm_lab.rounds.events import Fail, Finish, LedgerView, Notice
from swarm_lab.rounds.messages import NodeId, Participant, Phase, PlanMessage, Result, number

log = logging.getLogger(__name__)

_PROGRESS_S = 0.5
_WARNINGS = frozenset(
    {"bad_peer", "race_lost", "lost_batches", "repeated", "left_out", "store_failed", "no_validation"}
)


class _Wait(NamedTuple):
    kind: str
    reason: str
    nodes: tuple[str, ...]
    since: float


class Reporter:
    """Speaks for one training on one node. Rounds are facts of all nodes: whoever sees one first writes it."""

    def __init__(self, training: str, node: str, events: EventLog, state: StateFile, directory: Directory) -> None:
        self._training = training
        self._node = node
        self._events = events
        self._position = Position(training, state)
        self._absences = Absences()
        self._directory = directory
        self._rounds = 0
        self._last_round: float | None = None
        self._paths: dict[tuple[int, frozenset[NodeId]], str] = {}
        self._left_out: dict[tuple[int, frozenset[NodeId]], dict[str, str]] = {}
        self._progress_due = 0.0
        self._batches = 0
        self._wait: _Wait | None = None
        self._wait_told, self._over = "", False
        self._on_over: Callable[[Finish | Fail], None] = lambda action: None
        self._meter = Meter(training)
        self._spent = Spent()
        self._coordinators: dict[int, str] = {}
        self.tx: Callable[[int], str | None] = lambda round_: None

    def when_over(self, tell: Callable[[Finish | Fail], None]) -> None:
        """Whom to tell that the machine is done."""
        self._on_over = tell

    # --- the machine's listener --------------------------------------------------------------------------

    def notice(self, notice: Notice) -> None:
        """A fact of the machine."""
        text = self._directory.words(notice.text)
        nodes = [self._directory.name(node) for node in notice.nodes]
        level = logging.WARNING if notice.kind in _WARNINGS else logging.INFO
        log.log(level, text or notice.kind, extra={"kind": notice.kind, "nodes": nodes, **_fields(notice.fields)})
        match notice.kind:
            case "phase":
                self._phase(text, int(notice.fields.get("round", 0)))
            case "waiting":
                self.waiting(str(notice.fields.get("reason", "waiting")), text, nodes)
            case "merged" | "committed":
                self._position.reached(notice.kind.upper())
            case "peer_down":
                self._absences.gone(nodes[0], text)
            case "peer_up":
                self._absences.back(nodes[0])
            case "ledger_silent" | "ledger_back":
                self._absences.ledger(text)
            case _:
                self._tell(notice, text, nodes)

    def _phase(self, phase: str, round_: int) -> None:
        self._meter.phase(phase)
        self._spent.enters(phase, round_)
        self._position.enters(phase, round_)
        if phase == Phase.TRAINING:
            self.going_on()

    def _tell(self, notice: Notice, text: str, nodes: list[str]) -> None:
        """What becomes a fact of the training."""
        fields = notice.fields
        match notice.kind:
            case "lost_batches":
                self._meter.lost(int(fields.get("count", 0)))
                self._append("lost_batches", node=self._node, reason=text, count=fields.get("count"))
            case "bad_peer":
                self._append("excluded", node=self._node, nodes=nodes, reason=text)
            case "coordinator":
                self._once(f"{fields['round']}/{fields['attempt']}", notice.kind, **_coordinator(notice, nodes, text))
            case "repeated":
                self._once(str(fields["round"]), notice.kind, node=self._node, round=fields["round"], reason=text)

    def plan(self, coordinator: NodeId, plan: PlanMessage) -> None:
        """A plan's reasons for those it leaves out: shown when a round of just its set is committed."""
        self._coordinators[plan.plan.round] = self._directory.name(coordinator)
        key = plan.plan.round, frozenset(entry.participant.node for entry in plan.entries)
        self._paths[key] = "shards" if plan.owners else "coordinator"
        self._left_out[key] = {
            self._directory.name(left.node): self._directory.words(left.reason) for left in plan.left_out
        }

    def view(self, view: LedgerView) -> None:
        """The ledger has moved: new rounds become facts."""
        for result in view.results[self._rounds :]:
            self._rounds = result.round
            roster = view.rosters[result.round - 1] if result.round <= len(view.rosters) else frozenset()
            self._round(result, roster - set(result.nodes()))
        set_round(self._rounds + 1)

    def finished(self, action: Finish) -> None:
        """The training is over; what remains is the program's own end."""
        self._over = True
        self._position.ends("FINISHED", "the program ends")
        self._on_over(action)

    def failed(self, action: Fail) -> None:
        """This node gives it up."""
        self._on_over(action)

    # --- from the node itself ----------------------------------------------------------------------------

    def started(self) -> None:
        """The program is being started."""
        self._append("training_started", node=self._node)
        self._position.begins()

    def agreed(self, asked: TrainingRules, terms: Terms) -> None:
        """What stands on the ledger; a fact where the programs' own arguments won."""
        held = {
            "merge": (terms.merge_method, asked.merge),
            "min_peers": (terms.min_peers, asked.min_peers),
            "sync": (terms.sync_frequency, asked.sync_frequency),
            "adaptive": (terms.adaptive, asked.adaptive_sync),
            "early_stopping": (terms.early_stopping, asked.early_stopping),
        }
        if any(ours != theirs for ours, theirs in held.values()):
            facts = {name: ours for name, (ours, _) in held.items()}
            self._events.append_once(f"{self._training}/agreed", "training_agreed", training=self._training, **facts)

    def starts_again(self, start: int, reason: str) -> None:
        """The program was killed and comes back."""
        self._append("program_restarted", node=self._node, start=start, reason=reason)

    def waiting(self, kind: str, reason: str, nodes: list[str]) -> None:
        """This node waits, for whom and why; `kind` is the machine's word for it. Told once it has lasted."""
        self._meter.waits(kind)
        wait = _Wait(kind, reason, tuple(nodes), time.time())
        if self._wait is None or self._wait[:3] != wait[:3]:
            self._wait, self._wait_told = wait, ""

    def going_on(self) -> None:
        """The wait is over."""
        self._meter.goes_on()
        self._wait, self._wait_told = None, ""

    def tick(self) -> None:
        """Tell what has lasted."""
        wait = self._wait
        if wait is not None and time.time() - wait.since >= WORTH_TELLING_S:
            self._tell_wait(wait)
        for peer, absence in self._absences.news():
            if not self._over:
                key = f"{peer}/{self._rounds + 1}"
                self._once(key, "node_lost", node=peer, by=self._node, reason=absence.why, since=absence.since)
        self._position.flush()

    def _tell_wait(self, wait: _Wait) -> None:
        nodes = [node for node in wait.nodes if node != self._node]
        reason = self._absences.explain(wait.reason, nodes)
        if wait.kind in ("ledger", "announce"):
            reason = self._absences.explain_ledger(reason)
        if reason == self._wait_told:
            return
        self._wait_told = reason
        self._position.waits(wait.kind, reason, nodes, wait.since)
        phase = self._position.phase
        self._append("waiting", node=self._node, phase=phase, reason=reason, nodes=nodes, since=wait.since)

    def progress(self, batches: int, loss: float | None) -> None:
        """How far the program is; told at most twice a second, and when it has moved."""
        self._meter.batches(batches)
        self._spent.begins(self._rounds + 1)
        now = time.monotonic()
        if batches == self._batches or now < self._progress_due:
            return
        self._batches, self._progress_due = batches, now + _PROGRESS_S
        self._append("progress", node=self._node, round=self._rounds + 1, batches=batches, loss=loss)

    def output(self, stream: str, text: str) -> None:
        """A line that the program printed."""
        self._append("output", node=self._node, stream=stream, text=text)

    def node_finished(self, model: Path, digest: str, metrics: Mapping[str, float | None]) -> None:
        """This node holds the final model and its program has ended."""
        self._append(
            "node_finished", node=self._node, digest=digest, model=str(model), metrics=dict(metrics), round=self._rounds
        )
        conclude(self._events.path.parent, self._training)

    def node_failed(self, error: SwarmLabError) -> None:
        """This node's part has failed; a program's traceback is told here, once."""
        message = self._directory.words(error.message)
        log.error(message, extra={"code": error.code, "next": error.next_step})
        self._over = True
        self._position.ends(failed(error.code), message.partition("\n")[0])
        self._append(
            "node_failed",
            node=self._node,
            code=error.code,
            message=message,
            next=error.next_step,
            traceback=error.traceback if isinstance(error, ProgramFailed) else "",
            line=error.line if isinstance(error, ProgramFailed) else 0,
        )
        conclude(self._events.path.parent, self._training)

    def refused(self, peer: str, reason: str) -> None:
        """A peer's message broke a rule."""
        log.warning("refused a message", extra={"peer": peer, "reason": reason})
        self._append("excluded", node=self._node, nodes=[peer], reason=reason)

    def _round(self, result: Result, outside: frozenset[NodeId]) -> None:
        now = time.monotonic()
        seconds = None if self._last_round is None else round(now - self._last_round, 3)
        self._last_round = now
        names = {p.node: self._directory.name(p.node) for p in result.participants}
        self._meter.round(result.round, took_part=self._node in names.values())
        key = (result.round, frozenset(result.nodes()))
        reasons = self._left_out.get(key)
        late = "it came after the round was planned"
        if reasons is None:  # a plan of others, who were not heard here
            reasons, late = {}, f"unknown to {self._node}, which the plan of this round did not reach"
        left_out = {name: reasons.get(name, late) for name in map(self._directory.name, sorted(outside))}
        self._left_out = {k: said for k, said in self._left_out.items() if k[0] > result.round}
        path = self._paths.get(key)
        self._paths = {k: way for k, way in self._paths.items() if k[0] > result.round}
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
            interval=result.next,
            tx=self.tx(result.round),
            path=path,
        )
        self._tell_spent(result.round)

    def _tell_spent(self, round_: int) -> None:
        """The node's own times of a round, after the round itself."""
        coordinator = self._coordinators.get(round_)
        self._coordinators = {number: who for number, who in self._coordinators.items() if number > round_}
        spent = self._spent.committed(round_)
        if spent is not None:
            self._append("round_times", node=self._node, round=round_, coordinator=coordinator, **spent)

    def _append(self, event: str, **fields: Any) -> None:
        self._events.append(event, training=self._training, **fields)

    def _once(self, key: str, event: str, **fields: Any) -> None:
        self._events.append_once(f"{self._training}/{event}/{key}", event, training=self._training, **fields)


def _coordinator(notice: Notice, nodes: list[str], why: str) -> dict[str, Any]:
    """Who follows whom, and why."""
    fields = notice.fields
    return {"node": nodes[0], "after": nodes[-1], "round": fields["round"], "reason": why}


def _metrics(participant: Participant) -> dict[str, float | None]:
    """On the participant's own validation data: the round before's model, and its own one before the merge."""
    return {
        "loss": _known(number(participant.loss)),
        "metric": _known(number(participant.metric)),
        "local_loss": _known(number(participant.local_loss)),
        "local_metric": _known(number(participant.local_metric)),
        "batches": participant.steps,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no infinity


def _fields(fields: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """Fields of a notice under names that a log record does not use itself."""
    return {f"round_{key}" if key in ("name", "msg", "args", "module") else key: v for key, v in fields.items()}

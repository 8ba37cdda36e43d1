"""What the parts of one machine share: the world as last told (`Desk`) and the node's own position (`State`)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from swarm_lab.rounds import order, path
from swarm_lab.rounds.events import EMPTY_VIEW, Action, LedgerView, Link, Notice, Rules, Send, StoredModel
from swarm_lab.rounds.messages import (
    AT_SYNC,
    GENESIS,
    Certificate,
    Digest,
    Heartbeat,
    Message,
    NodeId,
    Participant,
    Phase,
    Result,
    SignedCheckIn,
)
from swarm_lab.rounds.signatures import Signer, Verifier
from swarm_lab.rounds.slices import Shares
from swarm_lab.rounds.trend import Trend

_TRAINING, _STARTING, _FAILED = Phase.TRAINING, Phase.STARTING, Phase.FAILED
_CHECKED_IN, _PLANNED, _EXCHANGING = Phase.CHECKED_IN, Phase.PLANNED, Phase.EXCHANGING


@dataclass(frozen=True, slots=True)
class Base:
    """The model that the present interval started from. Round 0: each node's own initial weights."""

    round: int
    result_id: Digest
    model: Digest
    result: Result | None


OWN_WEIGHTS = Base(0, GENESIS, "", None)


@dataclass(frozen=True, slots=True)
class Want:
    """A model that this node lacks. `certificate`: it may be adopted before the ledger has it; `issuer` sent that.

    boot: nothing is here yet. reset: what was trained since is lost. behind: what was trained since is kept.
    """

    result: Result
    result_id: Digest
    why: Literal["certificate", "boot", "reset", "behind"]
    certificate: Certificate | None = None
    issuer: NodeId = ""
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a *restore* must know of the program: see the fields of `program.Program`."""

    loaded: Digest
    batches: int
    counted_from: int
    owed: bool
    snapshot: Digest
    snapshot_base: Digest


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the node was before it adopted a certificate: what a *restore* goes back to."""

    base: Base
    base_final: bool
    check_in: SignedCheckIn | None
    phase: Phase
    program: Mark


@dataclass(slots=True)
class Held:
    """A certificate whose model is the base, while the ledger does not have it."""

    certificate: Certificate
    issuer: NodeId
    kept: Kept
    next_commit: float
    next_offer: float
    committed_once: bool = False


@dataclass(slots=True)
class State:
    """The node's position."""

    phase: Phase = Phase.STARTING
    incarnation: int = 0
    base: Base = OWN_WEIGHTS
    base_final: bool = True
    check_in: SignedCheckIn | None = None
    held: Held | None = None
    last_certificate: Certificate | None = None
    """The one of the base, if it came as a certificate; for peers whose view of the ledger is older."""
    want: Want | None = None
    attempt: int = 0
    coordinator: NodeId = ""
    batches: int = 0
    batch_seconds: float = 0.0
    disk: dict[Digest, StoredModel] = field(default_factory=dict)
    """What this node's disk holds, by result id, latest last."""
    reason: str = ""
    lacks: tuple[NodeId, ...] = ()
    """Whose contribution is overdue in the exchange."""
    unmerged: tuple[NodeId, ...] = ()
    """Whose merged blocks are."""
    owners: tuple[int, Digest, Shares] = (0, "", ())
    """Round, prev and shares of the last plan with owners: who merges what stays, whoever coordinates."""

    def at_sync(self) -> bool:
        """Whether it stands at its sync point."""
        return self.phase in AT_SYNC


@dataclass(slots=True)
class Crowd:
    """What the heartbeats of the live peers say together, about one round."""

    at_sync: dict[NodeId, Heartbeat] = field(default_factory=dict)
    """Of those that stand at its sync point."""
    here: int = 0
    """Members among them."""
    coming: int = 0
    """Members that have not failed, wherever they stand."""
    trains: bool = False
    """Whether one of those trains."""
    starting: list[NodeId] = field(default_factory=list)
    """Whose program is not there yet."""

    failed: list[NodeId] = field(default_factory=list)

    @classmethod
    def of(cls, beats: Mapping[NodeId, Heartbeat], members: Container[NodeId], number: int) -> Crowd:
        """One pass over all, once a tick: it is most of what a tick costs in a swarm of a thousand."""
        crowd = cls()
        for node, beat in beats.items():
            phase, member = beat.phase, node in members
            if phase is _TRAINING:
                crowd.trains = crowd.trains or member
            elif phase is _CHECKED_IN or phase is _PLANNED or phase is _EXCHANGING:
                if beat.round == number:
                    crowd.at_sync[node] = beat
                    crowd.here += member
            elif phase is _STARTING:
                crowd.starting.append(node)
            elif phase is _FAILED:
                crowd.failed.append(node)
                continue
            crowd.coming += member
        return crowd


@dataclass(slots=True)
class Desk:
    """The world: who I am, what the ledger and the peers last said, and the actions of the event in hand."""

    me: NodeId
    rules: Rules
    signer: Signer
    verifier: Verifier
    state: State = field(default_factory=State)
    now: float = 0.0
    view: LedgerView = EMPTY_VIEW
    up: frozenset[NodeId] = frozenset()
    gone: dict[NodeId, str] = field(default_factory=dict)
    """Why a peer that was heard is not heard any more."""
    heartbeats: dict[NodeId, Heartbeat] = field(default_factory=dict)
    links: Mapping[NodeId, Link] = field(default_factory=dict)
    have: set[Digest] = field(default_factory=set)
    """Roots whose tensors the driver holds, in memory or on disk."""
    roster: tuple[NodeId, ...] = ()
    """Members that have neither left nor been removed, ascending."""
    present: frozenset[NodeId] = frozenset()
    """The same."""
    nbytes: int = 0
    """Of a model; 0 until the program has said it."""
    blocks: int = 0
    out: list[Action] = field(default_factory=list)
    trend: Trend = field(init=False)
    told: int = 0
    """Goes up whenever the ledger, the peers that are up, their heartbeats or links may have changed."""
    _slowest: Link | None = None
    _head: tuple[Result, Digest] | None = None
    _crowd: tuple[int, int, Crowd] = (-1, -1, Crowd())

    def __post_init__(self) -> None:
        self.trend = Trend(self.rules.sync)

    def see(self, view: LedgerView) -> None:
        """Take a newer view of the ledger."""
        if view is not self.view:
            old, self.view = self.view, view
            if (old.members, old.removed, old.left) != (view.members, view.removed, view.left):
                self.roster = order.present(view)
                self.present = frozenset(self.roster)
            self.told += 1

    def hears(
        self, up: Set[NodeId], heartbeats: Mapping[NodeId, Heartbeat], links: Mapping[NodeId, Link] | None = None
    ) -> None:
        """Take who is up, and the latest heartbeats; kept is one of each peer that is up, and no other."""
        if up != self.up or (links is not None and links is not self.links):
            self.up = frozenset(up)
            if self.me in self.up:
                self.up -= {self.me}
            self.links = self.links if links is None else links
            self._slowest = None
        self.heartbeats = dict(heartbeats)
        if not self.heartbeats.keys() <= self.up:
            self.heartbeats = {n: beat for n, beat in heartbeats.items() if n in self.up}
        self.told += 1

    def act(self, action: Action) -> None:
        """Add an action of the event in hand."""
        self.out.append(action)

    def send(self, to: NodeId, message: Message, payload: Digest | None = None) -> None:
        """Send to a peer or to myself."""
        self.out.append(Send(to, message, payload))

    def notice(self, kind: str, text: str, nodes: tuple[NodeId, ...] = (), **fields: str | int | float) -> None:
        """Tell a fact."""
        self.out.append(Notice(kind, text, nodes, fields))

    def live(self, node: NodeId) -> bool:
        """Whether the node is heard; I always am."""
        return node == self.me or node in self.up

    def absence(self, node: NodeId) -> str:
        """Why a node is not heard."""
        return self.gone.get(node, "not connected")

    def link(self, node: NodeId) -> Link:
        """What is measured of the link to the node."""
        return self.links.get(node, _DEFAULT)

    def slowest(self) -> Link:
        """The worst of each figure among the live peers."""
        if self._slowest is None:
            figures = {(x.rtt, x.transfer, x.silence) for n, x in self.links.items() if n in self.up}
            self._slowest = Link(*map(max, zip(*figures, strict=True))) if figures else _DEFAULT
        return self._slowest

    def path(self) -> path.Choice:
        """Which way a model of this training goes, as measured here."""
        return path.choose(self.nbytes, self.blocks, len(self.roster), self.slowest())

    def final_id(self) -> Digest:
        """Result id of the ledger's head."""
        results = self.view.results
        if not results:
            return GENESIS
        if self._head is None or self._head[0] is not results[-1]:
            self._head = results[-1], self.verifier.result_id(results[-1])
        return self._head[1]

    def next_interval(self, number: int, participants: Sequence[Participant]) -> int:
        """`checks.next_interval` for round `number` of these participants, on the rounds that my base stands on."""
        if not self.rules.adaptive:
            return self.rules.sync
        base = self.state.base
        own = (base.result,) if base.result is not None else ()
        history = (*self.view.results[: len(own) and base.round - 1], *own)
        return self.trend.next_interval(history[: number - 1], participants)

    def heartbeat(self) -> Heartbeat:
        """What this node says of itself now."""
        s = self.state
        return Heartbeat(
            training=self.rules.training,
            phase=s.phase,
            round=s.base.round + 1,
            prev=s.base.result_id,
            attempt=s.attempt,
            coordinator=s.coordinator,
            batches=s.batches,
            batch_seconds=s.batch_seconds,
            model=s.base.model,
            stored=tuple(s.disk)[-3:],
            reason=s.reason,
            lacks=s.lacks,
            unmerged=s.unmerged,
        )

    def heartbeat_of(self, node: NodeId) -> Heartbeat | None:
        """The latest of a node, of mine as well."""
        return self.heartbeat() if node == self.me else self.heartbeats.get(node)

    def crowd(self) -> Crowd:
        """The live peers, as seen from the round that this node works for."""
        number = self.state.base.round + 1
        if self._crowd[:2] != (self.told, number):
            self._crowd = self.told, number, Crowd.of(self.heartbeats, self.view.members, number)
        return self._crowd[2]


_DEFAULT = Link()

"""What the machine hears (events) and what it wants done (actions). `machine` says how a driver must use them.

Every event holds `now`, seconds of a monotonic clock. Roots are digests of tensors that the driver keeps; the machine
never sees a tensor. `base` is always the root of the model that an interval started from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from swarm_lab.rounds.exchange_events import EndExchange, ExchangeDone, ExchangeMoved, ExchangeSpoiled, StartExchange
from swarm_lab.rounds.messages import (
    Certificate,
    Digest,
    Heartbeat,
    Message,
    NodeId,
    Participant,
    Result,
    SignedCheckIn,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is fixed for a training (from the ledger), and what this node's user chose for it."""

    training: Digest
    min_peers: int
    sync: int
    """Batches of the first interval, and without adaptive sync of each."""
    adaptive: bool = False
    """Whether the interval follows the validation loss (`checks.next_interval`)."""
    early_stopping: int = 0
    """Known mean losses without a better one after which the training ends; 0: never."""
    end_rule: Literal["all", "min_peers"] = "all"
    merge: str = "mean"  # a key of `merge.METHODS`
    wire: str = "float32"  # a key of `wire.WIRES`
    assigned: tuple[NodeId, ...] = ()
    """Nodes that the training was created with. Round 1 waits for them, at most `start_grace`."""
    no_coordinators: frozenset[NodeId] = frozenset()
    """Nodes that never coordinate (SL_MAKE_ME_ADMIN=False)."""
    weight: int = 1
    """This node's, 1..100."""
    train_end: Literal["snapshot", "active", "inactive"] = "snapshot"
    grace: float = 1.0
    """Gamma: peers that still train are waited for that many median intervals."""
    start_grace: float = 60.0
    absent: float = 3600.0
    """Longest wait for peers, for the ledger, or for a holder of a model; then Fail."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node that announced itself: number of its starts, and the nonce of the last one."""

    incarnation: int
    nonce: str


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The training on the ledger. All of it is final, but `included`: on that nothing is decided."""

    results: tuple[Result, ...] = ()
    """Rounds 1..head."""
    included: frozenset[Digest] = frozenset()
    """Result ids in the ledger's tip, final or not yet."""
    members: Mapping[NodeId, Member] = field(default_factory=dict)
    removed: Mapping[NodeId, str] = field(default_factory=dict)
    """Node -> reason."""
    left: Mapping[NodeId, str] = field(default_factory=dict)
    """Node -> code of its reason; empty if it gave none. A node that announces again is no longer in it."""
    rosters: tuple[frozenset[NodeId], ...] = (frozenset(),)
    """rosters[r-1] = roster of round r: members when commit r-1 was included."""
    read_at: float = 0.0
    """Monotonic time of the last successful read."""
    block_seconds: float = 1.0
    """Measured time between blocks."""


EMPTY_VIEW = LedgerView()


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model on this node's disk. `batches`: what its program had done by then."""

    result_id: Digest
    root: Digest
    round: int
    batches: int


@dataclass(frozen=True, slots=True)
class Link:
    """What this node measured of a link, in seconds. `silence`: after which its peer counts as down."""

    rtt: float = 0.01
    transfer: float = 0.0
    """Of one model; 0 until measured."""
    silence: float = 1.5

    def exchange(self, nodes: int) -> float:
        """Seconds that a sharded exchange of so many nodes takes over a link like this one, both ways at once."""
        return 2 * (nodes - 1) / nodes * self.transfer + 3 * self.rtt


# --- events -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """First event: the process has started. `nonce` is new for each start."""

    now: float
    disk: tuple[StoredModel, ...]
    view: LedgerView
    nonce: str


@dataclass(frozen=True, slots=True)
class ProgramReady:
    """The program is connected and parked; `root`: its initial weights, `batches`: where it resumes.

    A model has `nbytes` bytes in `blocks` blocks (`layout.Layout.blocks`); 0 = not known: no sharded exchange.
    """

    now: float
    root: Digest
    batches: int = 0
    nbytes: int = 0
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """The world as the driver knows it, every 0.1 to 0.25 s and whenever any of it changed.

    `up`: the peers that this node hears, without itself; `heartbeats`: the latest of each of them and of no other.
    """

    now: float
    view: LedgerView
    up: frozenset[NodeId]
    heartbeats: Mapping[NodeId, Heartbeat]
    links: Mapping[NodeId, Link] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """`batches` done by the program in all; `batch_seconds`: what one takes, smoothed."""

    now: float
    batches: int
    batch_seconds: float


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """The program is parked at its sync point (`done`: for good) with contribution `root`, trained from `base`.

    `base` = root of the last Load that it took; before the first, of its initial weights. Loss and metric: of the model
    that the interval started from, on this node's data; local ones: of the contribution; NaN = absent. `steps`: batches
    in it, rebased ones included.
    """

    now: float
    root: Digest
    base: Digest
    done: bool
    loss: float
    metric: float
    steps: int
    batches: int
    local_loss: float = math.nan
    local_metric: float = math.nan


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a peer, or of this node itself. The driver has checked its size, format and sender, and if it came
    with tensors, that they hash to `payload_root`, are finite and fit."""

    now: float
    sender: NodeId
    message: Message
    payload_root: Digest | None = None


@dataclass(frozen=True, slots=True)
class PeerUp:
    """The peer is heard in both directions."""

    now: float
    peer: NodeId


@dataclass(frozen=True, slots=True)
class PeerDown:
    """Connection reset and one redial refused, or silence beyond the limit; or a new process answers there."""

    now: float
    peer: NodeId
    why: str = "connection lost"


@dataclass(frozen=True, slots=True)
class MergeDone:
    """The merge of that key is in memory under `root`."""

    now: float
    key: str
    root: Digest


@dataclass(frozen=True, slots=True)
class MergeFailed:
    """`node`: whose contribution cannot be merged; None if the fault is here."""

    now: float
    key: str
    node: NodeId | None
    reason: str


@dataclass(frozen=True, slots=True)
class StoreDone:
    """Model and certificate are on disk, synced."""

    now: float
    result_id: Digest


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """They are not; the node goes on and does not count as a holder."""

    now: float
    result_id: Digest
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The training is to end with the round that is open."""

    now: float


@dataclass(frozen=True, slots=True)
class ProgramFailed:
    """The program is gone, or will not come. `code` stands on the ledger (a text never), `reason` is shown."""

    now: float
    reason: str
    code: str = "SWL-PROGRAM"


Process = Start | ProgramReady | StopRequested | ProgramFailed
Work = MergeDone | MergeFailed | StoreDone | StoreFailed | ExchangeMoved | ExchangeDone | ExchangeSpoiled
Event = Process | Tick | Progress | SyncPoint | Received | PeerUp | PeerDown | Work


# --- actions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send to a peer, or back to this node itself. Tensors with `payload_root` go with it."""

    to: NodeId
    message: Message
    payload_root: Digest | None = None


@dataclass(frozen=True, slots=True)
class Announce:
    """Transaction; repeated by the machine until it is final."""

    nonce: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Transaction; repeated by the machine while the ledger lacks it."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Leave:
    """Transaction; repeated until it is final. `code` goes to the ledger, `reason` does not."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Transaction: two check-ins of one node for one (round, prev, incarnation)."""

    first: SignedCheckIn
    second: SignedCheckIn


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge the participants' roots by `method`, in their order; weights are not all 0. `base`: None in round 1."""

    key: str
    participants: tuple[Participant, ...]
    base: Digest | None
    method: str = "mean"


@dataclass(frozen=True, slots=True)
class Store:
    """Write model and certificate to disk, synced, off the critical path. No certificate: it came from the ledger."""

    result: Result
    result_id: Digest
    batches: int
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Load:
    """Give the program new weights between two of its batches. It does not release a parked program.

    adopt: x := root. rebase: x := root + (x - base). reset: x := root (the work since `base` is lost).
    restore: x := root, the contribution of a round that must be repeated; the program's base becomes `base` again.
    """

    kind: Literal["adopt", "rebase", "reset", "restore"]
    root: Digest
    base: Digest


@dataclass(frozen=True, slots=True)
class Train:
    """Release the program. Its next sync point is after `interval` batches, counted on from before if `keep_count`."""

    interval: int
    keep_count: bool


@dataclass(frozen=True, slots=True)
class Park:
    """Stop the program before its next batch; no SyncPoint follows from it."""


@dataclass(frozen=True, slots=True)
class StopProgram:
    """End the program before its next batch, and give SyncPoint(done=True); a parked one ends at its next Train."""


@dataclass(frozen=True, slots=True)
class Keep:
    """All that must stay: tensors in memory by root, checkpoints on disk by result id. The driver may drop the rest."""

    roots: frozenset[Digest]
    checkpoints: frozenset[Digest]


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact for logs and events. `machine` lists the kinds and their fields."""

    kind: str
    text: str
    nodes: tuple[NodeId, ...] = ()
    fields: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """The training is over, its last model is loaded. The machine goes on serving it."""

    result: Result
    result_id: Digest
    without: tuple[NodeId, ...]
    """Members that are not in the last round."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The node gives the training up; its last committed model is on disk."""

    code: str
    text: str


Transaction = Announce | Commit | Leave | Report
Steering = Load | Train | Park | StopProgram
Action = Transaction | Steering | Send | Merge | StartExchange | EndExchange | Store | Keep | Notice | Finish | Fail

"""Messages of a round: what nodes sign, what they send one another, and the bounds that a received one must keep.

The first four classes are the EIP-712 structs of the `Rounds` contract, field by field. Digests (training, result and
tensor roots) are 64 lower-case hex characters, node ids are lower-case Ethereum addresses, signatures are hex. Losses
and metrics are IEEE-754 bits in an int (`bits`, `number`): two equal check-ins then compare equal, which NaN would
spoil. `loss` and `metric` are of the merged model that the interval started from, `local_loss` and `local_metric` of
the contribution, before the merge: all four on the node's own validation data.

The annotated types carry the bounds; `codec` enforces them on bytes from outside. Inside, they cost nothing.

Blocks of the sharded exchange do not travel in these messages but as frames of tensor streams. Places kept for later:
WITNESS and DISPUTE.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Interval, MaxLen, MinLen
from pydantic import ConfigDict, Field

from swarm_lab.rounds.slices import Shares, SignedSlice

MAX_NODES = 1024
MAX_REASON = 200
GENESIS = "0" * 64
"""The `prev` of round 1."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MaybeDigest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
NodeId = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
Signature = Annotated[str, Field(pattern=r"^(0x)?[0-9a-f]{130}$")]
Reason = Annotated[str, MaxLen(MAX_REASON)]
Text = Annotated[str, MaxLen(64)]
UInt64 = Annotated[int, Interval(ge=0, lt=2**64)]
UInt32 = Annotated[int, Interval(ge=0, lt=2**32)]
Weight = Annotated[int, Interval(ge=0, le=100)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]

_STRICT = ConfigDict(strict=True, extra="forbid")


def bits(value: float) -> int:
    """IEEE-754 bits of a float64; every NaN becomes the same one."""
    if math.isnan(value):
        return 0x7FF8000000000000
    return int.from_bytes(struct.pack(">d", value), "big")


def number(value: int) -> float:
    """The float64 with these bits; NaN = absent."""
    return float(struct.unpack(">d", value.to_bytes(8, "big"))[0])


ABSENT = bits(float("nan"))


@dataclass(frozen=True, slots=True, order=True)
class Participant:
    """A member in a result: which of its processes, with what weight, contributing which tensors (`root`)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    node: NodeId
    incarnation: UInt64
    weight: Weight
    root: Digest
    done: bool
    loss: UInt64 = ABSENT
    metric: UInt64 = ABSENT
    local_loss: UInt64 = ABSENT
    local_metric: UInt64 = ABSENT
    steps: UInt64 = 0


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What a member signs at its sync point, once per (training, round, prev, node, incarnation)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    training: Digest
    round: UInt64
    prev: Digest
    node: NodeId
    incarnation: UInt64
    weight: Weight
    root: Digest
    done: bool
    loss: UInt64 = ABSENT
    metric: UInt64 = ABSENT
    local_loss: UInt64 = ABSENT
    local_metric: UInt64 = ABSENT
    steps: UInt64 = 0

    @classmethod
    def of(cls, training: Digest, number: int, prev: Digest, p: Participant) -> CheckIn:
        """What this participant of a result or plan must have signed."""
        return cls(
            training,
            number,
            prev,
            p.node,
            p.incarnation,
            p.weight,
            p.root,
            p.done,
            p.loss,
            p.metric,
            p.local_loss,
            p.local_metric,
            p.steps,
        )

    def participant(self) -> Participant:
        """The same, without what all check-ins of a round share."""
        return Participant(
            self.node,
            self.incarnation,
            self.weight,
            self.root,
            self.done,
            self.loss,
            self.metric,
            self.local_loss,
            self.local_metric,
            self.steps,
        )


Participants = Annotated[tuple[Participant, ...], MinLen(1), MaxLen(MAX_NODES)]


@dataclass(frozen=True, slots=True)
class Result:
    """A round's result. No attempt, no coordinator: the same set gives the same result id whoever led."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    training: Digest
    round: UInt64
    prev: Digest
    participants: Participants
    end: bool
    next: UInt32
    model: Digest

    def nodes(self) -> tuple[NodeId, ...]:
        """Its members, ascending."""
        return tuple(p.node for p in self.participants)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a coordinator signs: its `number`-th plan of an attempt, whose content has this digest."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    training: Digest
    round: UInt64
    prev: Digest
    attempt: UInt32
    number: UInt32
    content: Digest


@dataclass(frozen=True, slots=True)
class SignedCheckIn:
    """A check-in with its signature: half of the proof of a double check-in."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    check_in: CheckIn
    signature: Signature


@dataclass(frozen=True, slots=True, order=True)
class Vote:
    """A participant's signature over a result."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    voter: NodeId
    signature: Signature


@dataclass(frozen=True, slots=True)
class Certificate:
    """A result and the votes for it, ascending by voter. `checks.bad_certificate` says what makes it valid."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    result: Result
    votes: Annotated[tuple[Vote, ...], MaxLen(MAX_NODES)]

    def voters(self) -> tuple[NodeId, ...]:
        """Who signed, in the certificate's order."""
        return tuple(v.voter for v in self.votes)


class Phase(StrEnum):
    """What a node is doing, as its heartbeat says. MERGED and COMMITTED happen while it trains: they are notices."""

    STARTING = "starting"
    """Announcing itself on the ledger, or its program is not there yet."""
    FETCHING = "fetching"
    """Its program stands still until it has the committed model."""
    TRAINING = "training"
    CHECKED_IN = "checked_in"
    PLANNED = "planned"
    """In a plan; voting, or before the first block."""
    EXCHANGING = "exchanging"
    """Blocks move."""
    CONFIRMING = "confirming"
    """Holds the last round's model, which the ledger has not confirmed."""
    FINISHED = "finished"
    FAILED = "failed"


AT_SYNC = frozenset({Phase.CHECKED_IN, Phase.PLANNED, Phase.EXCHANGING})
GONE = frozenset({Phase.FAILED})


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a node says of itself, every 0.5 s and at each change. Nothing in it is proof of anything."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "HEARTBEAT"

    training: Digest
    phase: Phase
    round: UInt64 = 0
    """The round that it works for: that of its base, plus one."""
    prev: Digest = GENESIS
    attempt: UInt32 = 0
    coordinator: Text = ""
    """Whom it follows in this attempt; empty before its sync point."""
    batches: UInt64 = 0
    batch_seconds: Seconds = 0.0
    model: Text = ""
    """Root of its base, which it can serve; empty in round 1."""
    stored: Annotated[tuple[Digest, ...], MaxLen(8)] = ()
    """Results whose model it has on disk, latest last."""
    reason: Reason = ""
    """Why it left or failed."""
    lacks: Annotated[tuple[NodeId, ...], MaxLen(MAX_NODES)] = ()
    """Whose contribution is due here, and has not come for a while."""
    unmerged: Annotated[tuple[NodeId, ...], MaxLen(MAX_NODES)] = ()
    """Whose merged blocks are due here, and have not come for a while."""
    heard: Annotated[tuple[NodeId, ...], MaxLen(MAX_NODES)] = ()
    """Whom it hears directly; empty while that is everybody: a third peer that hears both ends is their relay."""


@dataclass(frozen=True, slots=True)
class CheckInMessage:
    """CHECKIN, member to coordinator. The first one to a coordinator has the update as its payload (small path)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "CHECKIN"

    check_in: CheckIn
    signature: Signature
    attempt: UInt32
    took: Seconds
    """Duration of its interval."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A check-in inside a plan: training, round and prev are the plan's, so a stale one cannot verify."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    participant: Participant
    signature: Signature


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A member of the roster that is not in the plan, and why."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    node: NodeId
    reason: Annotated[str, MinLen(1), MaxLen(MAX_REASON)]


@dataclass(frozen=True, slots=True)
class PlanMessage:
    """PLAN, coordinator to the set and to those left out.

    Small path: no owners; `model` is merged and is the payload. Sharded: `owners` merge it, `model` is not known yet.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "PLAN"

    plan: Plan
    signature: Signature
    entries: Annotated[tuple[Entry, ...], MinLen(1), MaxLen(MAX_NODES)]
    left_out: Annotated[tuple[LeftOut, ...], MaxLen(MAX_NODES)]
    end: bool
    next: UInt32
    model: MaybeDigest
    owners: Shares = ()

    def participants(self) -> tuple[Participant, ...]:
        """Its set."""
        return tuple(e.participant for e in self.entries)

    def result(self, model: Digest = "") -> Result:
        """What a vote for this plan signs; `model` is what was merged, where the plan does not say it."""
        p = self.plan
        return Result(p.training, p.round, p.prev, self.participants(), self.end, self.next, self.model or model)

    def check_in(self, entry: Entry) -> CheckIn:
        """The check-in that the entry's node must have signed."""
        return CheckIn.of(self.plan.training, self.plan.round, self.plan.prev, entry.participant)


@dataclass(frozen=True, slots=True)
class VoteMessage:
    """VOTE, member to coordinator. `content` = that of the plan it answers, `result_id` = what it signed.

    After a sharded exchange `model` is the root of what came together here, from these slices.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "VOTE"

    round: UInt64
    prev: Digest
    content: Digest
    result_id: Digest
    signature: Signature
    model: MaybeDigest = ""
    slices: Annotated[tuple[SignedSlice, ...], MaxLen(MAX_NODES)] = ()


@dataclass(frozen=True, slots=True)
class CertificateMessage:
    """CERT, coordinator to all; a holder to every live peer that is still at its round."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "CERT"

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """STORED: the sender has this result's model on disk. Heartbeats repeat it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "STORED"

    result_id: Digest


@dataclass(frozen=True, slots=True)
class FetchMessage:
    """FETCH: send me the tensors with this root, a model or an update."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "FETCH"

    root: Digest


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """MODEL: the tensors with this root are the payload."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    KIND: ClassVar[str] = "MODEL"

    root: Digest


Message = (
    Heartbeat
    | CheckInMessage
    | PlanMessage
    | VoteMessage
    | CertificateMessage
    | StoredMessage
    | FetchMessage
    | ModelMessage
)

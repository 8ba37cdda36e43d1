"""What stands on the ledger, as Python reads and writes it: contracts' addresses, trainings, their terms, rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from swarm_lab.rounds.messages import ABSENT, Certificate, CheckIn, Participant, Result, Vote, bits, number

TrainingState = Literal["created", "running", "finished", "stopped", "failed"]

STATES: tuple[TrainingState, ...] = ("created", "running", "finished", "stopped", "failed")
END_RULES: tuple[Literal["all"], Literal["min_peers"]] = ("all", "min_peers")
ZERO_ADDRESS = "0x" + "0" * 40


@dataclass(frozen=True, slots=True)
class Contracts:
    """Where a swarm's contracts are: `0x` addresses, lower case."""

    chain_id: int
    enrolment: str
    trainings: str
    rounds: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What all nodes of a training must agree on. `min_peers` or `sync_frequency` 0, "" = the program says.

    `model` is the digest of the model's layout: names, dtypes and shapes. `adaptive`: the interval follows the
    validation loss. `early_stopping`: rounds without a better one after which the training ends, 0 = never.
    """

    platform: str = ""
    min_peers: int = 0
    sync_frequency: int = 0
    merge_method: str = ""
    end_rule: Literal["all", "min_peers"] = "all"
    witness: int = 0
    model: str = ""
    adaptive: bool = False
    early_stopping: int = 0

    def encoded(self) -> tuple[Any, ...]:
        """As the contract takes it."""
        rule = END_RULES.index(self.end_rule)
        head = self.platform, self.min_peers, self.sync_frequency, self.merge_method, rule, self.witness
        return *head, self.model, self.adaptive, self.early_stopping

    @classmethod
    def decoded(cls, found: Sequence[Any]) -> Terms:
        """As the contract gives it."""
        platform, min_peers, sync, method, rule, *rest = found
        return cls(platform, min_peers, sync, method, END_RULES[rule], *rest)


@dataclass(frozen=True, slots=True)
class TrainingInfo:
    """A training contract. Nodes are accounts; `program` and `spec` are digests of 64 hex characters.

    `asked` is what the creator wanted where programs say nothing; `terms` what the first node to register (`fixed_by`)
    fixed, None before that.
    """

    id: str
    state: TrainingState
    program: str
    spec: str
    asked: Terms
    terms: Terms | None
    fixed_by: str
    creator: str
    nodes: tuple[str, ...]
    registered: tuple[str, ...]
    reason: str

    @property
    def over(self) -> bool:
        """Whether the queue has moved on."""
        return self.state in ("finished", "stopped", "failed")

    @classmethod
    def decoded(cls, found: Sequence[Any]) -> TrainingInfo:
        """As the contract gives it."""
        id_, state, program, spec, asked, terms, fixed_by, creator, nodes, registered, reason = found
        fixed = Terms.decoded(terms) if fixed_by != ZERO_ADDRESS else None
        return cls(
            id_,
            STATES[state - 1],
            program.hex(),
            spec.hex(),
            Terms.decoded(asked),
            fixed,
            "" if fixed_by == ZERO_ADDRESS else fixed_by,
            creator,
            tuple(nodes),
            tuple(registered),
            reason,
        )


@dataclass(frozen=True, slots=True)
class Perf:
    """A node's latest performance. Loss and metric are float64, NaN = absent; on the ledger they stand as bits."""

    round: int
    loss: float = float("nan")
    metric: float = float("nan")
    steps: int = 0
    epoch: int = 0
    epochs: int = 0

    def encoded(self) -> tuple[int, ...]:
        """As the contract takes it."""
        return self.round, bits(self.loss), bits(self.metric), self.steps, self.epoch, self.epochs

    @classmethod
    def decoded(cls, found: Sequence[int]) -> Perf:
        """As the contract gives it; a node that reported nothing has zeros there."""
        round_, loss, metric, steps, epoch, epochs = found
        nothing = not any(found)
        return cls(
            round_, number(ABSENT if nothing else loss), number(ABSENT if nothing else metric), steps, epoch, epochs
        )


@dataclass(frozen=True, slots=True)
class CommittedRound:
    """A round as the ledger holds it: certificate, result id, and the transaction that committed it."""

    certificate: Certificate
    result_id: str
    tx: str
    block: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction."""

    tx: str
    block: int
    gas_used: int


def certificate_call(certificate: Certificate) -> tuple[Any, ...]:
    """A certificate as `Rounds.commit` takes it; voters ascending."""
    votes = sorted(certificate.votes)
    voters = [vote.voter for vote in votes]
    return encode_result(certificate.result), voters, [signature_bytes(vote.signature) for vote in votes]


def encode_result(r: Result) -> tuple[Any, ...]:
    """A result as the contract takes it."""
    participants = [
        (p.node, p.incarnation, p.weight, bytes.fromhex(p.root), p.done, *numbers(p)) for p in r.participants
    ]
    training, prev, model = bytes.fromhex(r.training), bytes.fromhex(r.prev), bytes.fromhex(r.model)
    return training, r.round, prev, participants, r.end, r.next, model


def numbers(p: Participant | CheckIn) -> tuple[int, ...]:
    """What a node measured, in the contract's order."""
    return p.loss, p.metric, p.local_loss, p.local_metric, p.steps


def decode_certificate(result: Sequence[Any], voters: Sequence[str], votes: Sequence[bytes]) -> Certificate:
    """A certificate from the log of `Committed`."""
    training, round_, prev, participants, end, next_, model = result
    members = tuple(
        Participant(node, incarnation, weight, root.hex(), *rest)
        for node, incarnation, weight, root, *rest in participants
    )
    decoded = Result(training.hex(), round_, prev.hex(), members, end, next_, model.hex())
    return Certificate(decoded, tuple(Vote(v, s.hex()) for v, s in zip(voters, votes, strict=True)))


def signature_bytes(signature: str) -> bytes:
    """A signature from its hex."""
    return bytes.fromhex(signature.removeprefix("0x"))

"""One training's history, folded from the ledger's log, every round checked: an SN can hide, it cannot invent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm_lab.errors import LedgerForked
from swarm_lab.ledger.abi import load
from swarm_lab.ledger.records import CommittedRound, decode_certificate
from swarm_lab.ledger.signing import Domain, KeyVerifier
from swarm_lab.rounds.events import LedgerView, Member
from swarm_lab.rounds.messages import GENESIS, Certificate


class History:
    """What the log says up to a block. `apply` takes entries in their order."""

    def __init__(self, domain: Domain) -> None:
        self._verifier = KeyVerifier(domain)
        self.resets = 0
        self._clear()

    def _clear(self) -> None:
        self.rounds: list[CommittedRound] = []
        self._members: dict[str, Member] = {}
        self._removed: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._rosters: list[frozenset[str]] = [frozenset()]

    @property
    def ids(self) -> tuple[int, ...] | tuple[str, ...]:
        """Result ids of rounds 1..head."""
        return tuple(r.result_id for r in self.rounds)

    def apply(self, log: Mapping[str, Any]) -> None:
        """Take the next entry; raises `LedgerForked` for a round that no certificate covers."""
        found = load("Rounds").event(log)
        if found is None:
            return
        name, fields = found
        node = fields.get("node", "")
        if name == "Announced":
            self._members[node] = Member(fields["incarnation"], fields["nonce"])
            self._left.pop(node, None)
        elif name == "Left":
            self._left[node] = fields["reason"]
        elif name == "Removed":
            self._removed[node] = fields["reason"]
        elif name == "Resumed":
            self._left.clear()
        elif name == "Restarted":
            self._clear()
            self.resets += 1
        elif name == "Committed":
            self._commit(fields, log)

    def extends(self, other: History) -> bool:
        """Whether this has all that `other` has, and maybe more."""
        if self.resets != other.resets:
            return self.resets > other.resets
        return self.ids[: len(other.ids)] == other.ids

    def view(self, included: frozenset[str], read_at: float, block_seconds: float) -> LedgerView:
        """As the round machine wants it; `included` are ids in the tip that are not final."""
        return LedgerView(
            results=tuple(r.certificate.result for r in self.rounds),
            included=included.union(r.result_id for r in self.rounds),
            members=dict(self._members),
            removed=dict(self._removed),
            left=dict(self._left),
            rosters=tuple(self._rosters),
            read_at=read_at,
            block_seconds=block_seconds,
        )

    def _commit(self, fields: Mapping[str, Any], log: Mapping[str, Any]) -> None:
        certificate = decode_certificate(fields["result"], fields["voters"], fields["votes"])
        id_ = fields["id"].hex()
        wrong = self._wrong(certificate, id_)
        if wrong:
            raise LedgerForked(f"round {certificate.result.round} as the ledger shows it: {wrong}")
        self.rounds.append(CommittedRound(certificate, id_, log["transactionHash"], int(log["blockNumber"], 16)))
        self._rosters.append(frozenset(n for n in self._members if n not in self._left and n not in self._removed))

    def _wrong(self, certificate: Certificate, id_: str) -> str:
        result, voters = certificate.result, certificate.voters()
        if self._verifier.result_id(result) != id_:
            return "its result id is not the hash of its content"
        head = self.rounds[-1].result_id if self.rounds else GENESIS
        if result.round != len(self.rounds) + 1 or result.prev != head:
            return "it does not follow the round before"
        if not set(voters) <= set(result.nodes()) or len(set(voters)) < len(result.participants) // 2 + 1:
            return "its voters are no quorum of its participants"
        if not all(self._verifier.vote(result, v.voter, v.signature) for v in certificate.votes):
            return "a vote is forged"
        return ""

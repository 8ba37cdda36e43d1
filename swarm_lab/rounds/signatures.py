"""Signing and checking as the round machine needs it; `ledger.signing` does it with Ethereum keys."""

from __future__ import annotations

from typing import Protocol

from swarm_lab.rounds.messages import CheckIn, Digest, NodeId, Plan, Result, Signature
from swarm_lab.rounds.slices import Slice


class Signer(Protocol):
    """Signs with this node's ledger key."""

    def sign_check_in(self, check_in: CheckIn) -> Signature:
        """EIP-712 signature of a check-in."""
        ...

    def sign_result(self, result: Result) -> Signature:
        """A vote."""
        ...

    def sign_plan(self, plan: Plan) -> Signature:
        """EIP-712 signature of a plan."""
        ...

    def sign_slice(self, part: Slice) -> Signature:
        """EIP-712 signature of a slice digest."""
        ...


class Verifier(Protocol):
    """Checks signatures, and knows a result's id. Calls repeat with the same arguments: worth a cache."""

    def result_id(self, result: Result) -> Digest:
        """EIP-712 hashStruct of the result."""
        ...

    def check_in(self, check_in: CheckIn, signature: Signature) -> bool:
        """Whether `check_in.node` signed it."""
        ...

    def vote(self, result: Result, voter: NodeId, signature: Signature) -> bool:
        """Whether `voter` signed the result."""
        ...

    def plan(self, plan: Plan, coordinator: NodeId, signature: Signature) -> bool:
        """Whether `coordinator` signed the plan."""
        ...

    def slice(self, part: Slice, signature: Signature) -> bool:
        """Whether `part.merger` signed it."""
        ...


class Keys(Protocol):
    """Signs as this node and checks what others signed (`ledger.client.Ledger`)."""

    @property
    def signer(self) -> Signer:
        """With this node's key."""
        ...

    @property
    def verifier(self) -> Verifier:
        """Of everybody's."""
        ...

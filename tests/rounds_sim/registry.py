"""Cheap stand-ins: signatures are entries of a registry that only their signer can make, tensors are short vectors."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from swarm_lab.rounds.messages import CheckIn, Digest, NodeId, Plan, Result
from swarm_lab.rounds.slices import Slice

Vector = tuple[int, ...]
SIGNATURE = "ab" * 65
FORGED = "cd" * 65


def node_id(number: int) -> NodeId:
    return f"0x{number:040x}"


@lru_cache(maxsize=100_000)
def root(vector: Vector) -> Digest:
    return hashlib.blake2b(repr(vector).encode(), digest_size=32).hexdigest()


def weighted_mean(parts: list[tuple[int, Vector]]) -> Vector:
    """Integers, so exact; what counts is that everyone gets the same."""
    total = sum(w for w, _ in parts)
    return tuple(sum(w * v[k] for w, v in parts) // total for k in range(len(parts[0][1])))


class Registry:
    """A verifier for all. `signed` holds what was signed, by whom."""

    def __init__(self) -> None:
        self.signed: set[tuple[NodeId, object]] = set()
        self._ids: dict[Result, Digest] = {}
        self._by_identity: dict[int, tuple[Result, Digest]] = {}

    def result_id(self, result: Result) -> Digest:
        seen = self._by_identity.get(id(result))
        if seen is not None:
            return seen[1]
        known = self._ids.get(result)
        if known is None:
            known = self._ids[result] = hashlib.blake2b(repr(result).encode(), digest_size=32).hexdigest()
        self._by_identity[id(result)] = result, known
        return known

    def check_in(self, check_in: CheckIn, signature: str) -> bool:
        return signature == SIGNATURE and (check_in.node, check_in) in self.signed

    def vote(self, result: Result, voter: NodeId, signature: str) -> bool:
        return signature == SIGNATURE and (voter, self.result_id(result)) in self.signed

    def plan(self, plan: Plan, coordinator: NodeId, signature: str) -> bool:
        return signature == SIGNATURE and (coordinator, plan) in self.signed

    def slice(self, part: Slice, signature: str) -> bool:
        return signature == SIGNATURE and (part.merger, part) in self.signed


class Key:
    """One node's signer."""

    def __init__(self, registry: Registry, node: NodeId) -> None:
        self.registry, self.node = registry, node

    def sign_check_in(self, check_in: CheckIn) -> str:
        self.registry.signed.add((self.node, check_in))
        return SIGNATURE

    def sign_result(self, result: Result) -> str:
        self.registry.signed.add((self.node, self.registry.result_id(result)))
        return SIGNATURE

    def sign_plan(self, plan: Plan) -> str:
        self.registry.signed.add((self.node, plan))
        return SIGNATURE

    def sign_slice(self, part: Slice) -> str:
        self.registry.signed.add((self.node, part))
        return SIGNATURE

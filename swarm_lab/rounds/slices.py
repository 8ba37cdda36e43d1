"""Who merges which blocks of a model, and what a merger signs of its part.

A *share* is a run of blocks with an owner; the shares of a plan cover the model. The owner merges its blocks (from all
contributions) and gives them to all; over their digests it signs a *slice digest*, so that different blocks to
different peers are a proof.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval, MaxLen
from pydantic import ConfigDict, Field

MAX_BLOCKS = 4096
"""Of one model: 256 and a few, as each run of a dtype ends with a block of its own."""

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Node = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
_Signature = Annotated[str, Field(pattern=r"^(0x)?[0-9a-f]{130}$")]
_Block = Annotated[int, Interval(ge=0, le=MAX_BLOCKS)]

_STRICT = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Share:
    """Blocks `first` to `stop` - 1, which `node` merges."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    node: _Node
    first: _Block
    stop: _Block


Shares = Annotated[tuple[Share, ...], MaxLen(MAX_BLOCKS)]


@dataclass(frozen=True, slots=True)
class Slice:
    """What a merger signs: the digest of its merged blocks in one assignment (an EIP-712 struct)."""

    training: str
    round: int
    prev: str
    assignment: str
    merger: str
    digest: str


@dataclass(frozen=True, slots=True)
class SignedSlice:
    """A merger's slice digest inside a vote: training, round, prev and assignment are those of the plan."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    merger: _Node
    digest: _Digest
    signature: _Signature


def digest_of(blocks: Sequence[tuple[int, bytes]]) -> str:
    """The slice digest: SHA-256 over numbers and digests of the merged blocks, ascending by number; 64 hex."""
    whole = hashlib.sha256(b"swarm-lab/slice/1")
    for number, digest in blocks:
        whole.update(number.to_bytes(4, "big") + digest)
    return whole.hexdigest()


def assignment_id(training: str, round_: int, prev: str, roots: Sequence[tuple[str, int, str]], shares: Shares) -> str:
    """Names one way to merge one set (node, weight and root of each): slices of two of them never mix; 64 hex."""
    body = [training, round_, prev, [list(one) for one in roots], [[s.node, s.first, s.stop] for s in shares]]
    return hashlib.sha256(json.dumps(body, separators=(",", ":")).encode()).hexdigest()


def bad_shares(shares: Sequence[Share], nodes: Sequence[str], blocks: int) -> str | None:
    """Why shares are no assignment of all blocks to nodes of the set; None if they are."""
    at, members = 0, set(nodes)
    for share in shares:
        if share.node not in members:
            return f"{share.node} is to merge and is not in the plan"
        if share.first != at or share.stop <= share.first:
            return f"block {at} has no merger, or two"
        at = share.stop
    return None if at == blocks else f"{at} of {blocks} blocks have a merger"


def deal(blocks: int, weights: Mapping[str, int], before: Sequence[Share] = ()) -> tuple[Share, ...]:
    """Deal all blocks out to the nodes of `weights` in proportion to their weights; weight 0 merges nothing.

    With the shares of a plan before it, owners that are still there keep their blocks, and only those of the others
    are dealt out, so that only lost work is done again. Same arguments, same shares, on every node.
    """
    nodes = sorted(node for node, weight in weights.items() if weight > 0) or sorted(weights)
    kept: dict[int, str] = {}
    for share in before:
        if share.node in nodes:
            kept.update(dict.fromkeys(range(share.first, share.stop), share.node))
    free = [number for number in range(blocks) if number not in kept]
    at = 0
    total = sum(max(weights[node], 1) for node in nodes)
    counted = 0
    for node in nodes:
        counted += max(weights[node], 1)
        until = len(free) * counted // total
        kept.update(dict.fromkeys(free[at:until], node))
        at = until
    shares: list[Share] = []
    for number in range(blocks):
        node = kept[number]
        if shares and shares[-1].node == node:
            shares[-1] = Share(node, shares[-1].first, number + 1)
        else:
            shares.append(Share(node, number, number + 1))
    return tuple(shares)

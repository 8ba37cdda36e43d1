"""Which way a model goes: through the coordinator (small path), or in shards between all members. A pure choice.

Small: each update goes to the coordinator and the merged model back, 2 round trips, (n - 1) models each way at one
node. Sharded: 2 (n - 1) / n models each way at every node, 3 round trips, and some work for each peer. So small models
on links with a long round trip go the first way, everything else the second.
"""

from __future__ import annotations

from dataclasses import dataclass

from swarm_lab.rounds.events import Link

MOST = 64 * 2**20
"""Bytes of all updates together that a coordinator may have to hold."""
UNMEASURED = 4 * 2**20
"""Until a rate was measured, models up to this many bytes take the small path."""
PER_PEER = 0.004
"""Seconds that the sharded path costs more for each peer: its frames, its slice, a thread's turn (measured)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`sharded`, and why, for people."""

    sharded: bool
    why: str


def choose(nbytes: int, blocks: int, nodes: int, link: Link, wire: str = "float32") -> Choice:
    """The way for a model of `nbytes` bytes in `blocks` blocks among `nodes` members, on links like `link`."""
    if not blocks or nodes < 2:
        return Choice(False, "the model is not cut into blocks" if nodes > 1 else "one node")
    size = f"{nbytes / 1e6:.3g} MB"
    if wire != "float32":
        return Choice(True, f"{size} as {wire}: what is rounded travels in blocks")
    if nodes * nbytes > MOST:
        return Choice(True, f"{size} from {nodes} nodes are too much for one")
    if not link.transfer:
        return Choice(nbytes > UNMEASURED, f"{size}, no rate is measured yet")
    small = 2 * (nodes - 1) * link.transfer + 2 * link.rtt
    sharded = 2 * (nodes - 1) / nodes * link.transfer + 3 * link.rtt + PER_PEER * nodes
    why = f"{size}: {small:.2g} s through the coordinator, {sharded:.2g} s in shards, as measured"
    return Choice(sharded < small, why)

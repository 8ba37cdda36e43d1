"""Who the other SL nodes are, by ledger id and by SPIFFE ID: the roster as an SN tells it, and what the ledger says.

An SN that starts anew knows nobody until each node has said again that it lives: who was known stays known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from swarm_lab.errors import SwarmLabError
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.transport import PeerAddress
from swarm_lab.rounds.messages import NodeId

log = logging.getLogger(__name__)

REFRESH_S = 5.0
_UNKNOWN_PAUSE_S = 0.5


class Directory:
    """The roster, read again every five seconds and when somebody unknown turns up."""

    def __init__(
        self,
        read: Callable[[], Awaitable[list[PeerAddress]]],
        enrolled: Callable[[NodeId], Awaitable[str | None]],
    ) -> None:
        """`read`: the roster from an SN. `enrolled`: the SPIFFE ID that the ledger has for an account."""
        self._read = read
        self._enrolled = enrolled
        self._by_node: dict[NodeId, PeerAddress] = {}
        self._by_id: dict[SpiffeId, NodeId] = {}
        self._names: dict[NodeId, str] = {}
        self._asked = asyncio.Event()

    def find(self, node: NodeId) -> PeerAddress | None:
        """Where a node is; None where the roster does not know it (yet)."""
        found = self._by_node.get(node)
        if found is None:
            self._asked.set()
        return found

    def node(self, spiffe_id: SpiffeId) -> NodeId | None:
        """The ledger id of an identity."""
        found = self._by_id.get(spiffe_id)
        if found is None:
            self._asked.set()
        return found

    def knows(self, spiffe_id: SpiffeId) -> bool:
        """Whether an identity is on the roster; may be called in any thread."""
        return spiffe_id in self._by_id

    def named(self, name: str) -> NodeId | None:
        """The ledger id of a node by its name."""
        return next((peer.node for peer in self._by_node.values() if peer.name == name), None)

    def name(self, node: NodeId) -> str:
        """What people call a node; the id itself where nobody has told."""
        return self._names.get(node, node)

    def words(self, text: str) -> str:
        """A text of the round machine with names in place of ids."""
        for node, name in self._names.items():
            text = text.replace(node, name)
        return text

    async def refresh(self) -> None:
        """Read the roster now; raises what reading raises."""
        for peer in await self._read():
            before = self._by_id.get(peer.spiffe_id)
            if before is not None and before != peer.node:  # it has lost its key, and enrolled anew
                self._by_node.pop(before, None)
            self._by_node[peer.node] = peer
            self._by_id[peer.spiffe_id] = peer.node
            self._names[peer.node] = peer.name

    async def identify(self, nodes: Iterable[NodeId]) -> None:
        """Learn from the ledger who nodes are that no SN has told of; raises what reading raises."""
        for node in nodes:
            if node not in self._names and (found := await self._enrolled(node)) is not None:
                try:
                    spiffe_id = SpiffeId.parse(found)
                except ValueError as error:
                    log.warning("the ledger has an identity of another form", extra={"reason": str(error)})
                    continue
                self._by_id.setdefault(spiffe_id, node)
                self._names[node] = spiffe_id.node

    async def keep_fresh(self) -> None:
        """Read the roster again and again until cancelled."""
        while True:
            try:
                async with asyncio.timeout(REFRESH_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            began = time.monotonic()
            self._asked.clear()
            try:
                await self.refresh()
            except SwarmLabError as error:
                log.info("the roster was not read", extra={"code": error.code, "reason": error.message})
            await asyncio.sleep(max(0.0, _UNKNOWN_PAUSE_S - (time.monotonic() - began)))

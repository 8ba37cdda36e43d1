"""Messages that cannot go straight: one hop, through a peer that hears both ends."""

from __future__ import annotations

import asyncio
import logging

from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.transport import Transport
from swarm_lab.protos import peer_pb2
from swarm_lab.rounds import codec
from swarm_lab.rounds.layout import Buffer
from swarm_lab.rounds.messages import NodeId

log = logging.getLogger(__name__)

WAITING = 64


class Relay:
    """Passes messages on between two members that do not reach one another, and says who a message is from.

    A relay can drop what it carries, and say of a heartbeat or a note of storage that it came from somebody else: those
    decide nothing by themselves. Check-ins, plans, votes and certificates are signed, models match their roots.
    """

    def __init__(self, me: NodeId, directory: Directory, transport: Transport) -> None:
        self.me = me
        self._directory = directory
        self._transport = transport
        self._passing: set[asyncio.Task[None]] = set()

    def is_for_others(self, head: peer_pb2.Head) -> bool:
        """Whether this node is to pass the message on."""
        return bool(head.to) and head.to != self.me

    def origin(self, sender: NodeId, head: peer_pb2.Head) -> NodeId:
        """Who wrote a message that has come; raises `BadMessage` for one that made two hops, or names no node."""
        if not head.origin:
            return sender
        if head.to != self.me or self._directory.find(head.origin) is None:
            raise codec.BadMessage("a relayed message from or to nobody")
        return head.origin

    def pass_on(self, sender: NodeId, head: peer_pb2.Head, payload: tuple[str, Buffer] | None) -> None:
        """Send it where it is to go; raises `BadMessage` for one that was relayed before."""
        if head.origin:
            raise codec.BadMessage("a message is relayed once")
        peer = self._directory.find(head.to)
        if peer is None or len(self._passing) >= WAITING:
            log.debug("a message was not passed on", extra={"to": head.to, "kind": head.kind})
            return
        message = codec.decode(head.kind, head.body)
        work = self._transport.send(
            peer, head.training, message, payload, to=head.to, origin=sender, instance=head.instance
        )
        task = asyncio.get_running_loop().create_task(work, name="relay")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

"""Messages of the round protocol between SL nodes, from this node to its peers.

Blocks of large models go another way (`stream_hub`); payloads here are small models, and whole ones that are fetched.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.nodes.links import CALL_S, Dials, Outgoing, PeerAddress, PeerLink, Sent
from swarm_lab.protos import peer_pb2, peer_pb2_grpc
from swarm_lab.rounds import codec
from swarm_lab.rounds.layout import Buffer, Layout, TensorSpec
from swarm_lab.rounds.messages import Message, NodeId

__all__ = ["PROTOCOL", "PeerAddress", "Sent", "Transport"]

log = logging.getLogger(__name__)

PROTOCOL = 2


class Transport:
    """All links of one SL node. `instance` tells peers that this process is not the one before it."""

    def __init__(self, dial: Dials) -> None:
        self.instance = uuid.uuid4().hex
        self.streams = 0
        """Port of this node's tensor streams, told with each message."""
        self._dial = dial
        self._links: dict[NodeId, PeerLink] = {}
        self._listeners: dict[str, Callable[[Sent], None]] = {}
        self._encoded: tuple[Message | None, bytes] = (None, b"")

    def listen(self, training: str, on_sent: Callable[[Sent], None]) -> None:
        """Tell `on_sent` how each message of this training ended."""
        self._listeners[training] = on_sent

    def forget(self, training: str) -> None:
        """Undo `listen`."""
        self._listeners.pop(training, None)

    async def send(
        self,
        peer: PeerAddress,
        training: str,
        message: Message,
        payload: tuple[str, Buffer] | None = None,
        *,
        to: NodeId = "",
        origin: NodeId = "",
        instance: str = "",
    ) -> None:
        """Queue a message to a peer; `payload` is (root, buffer), which must not change until it was sent.

        `to`: whom the peer is to pass it on to. `origin`, `instance`: whose message is passed on.
        """
        link = self._links.get(peer.node)
        if link is not None and link.peer != peer:
            await link.close()
            link = None
        if link is None:
            link = self._links[peer.node] = PeerLink(peer, self._dial, self._sent)
        head = peer_pb2.Head(
            protocol=PROTOCOL,
            package=__version__,
            training=training,
            kind=message.KIND,
            body=self._encode(message),
            instance=instance or self.instance,
            streams=0 if origin else self.streams,
            to=to,
            origin=origin,
        )
        if payload is not None:
            head.payload_root, head.payload_bytes = payload[0], memoryview(payload[1]).nbytes
        link.send(Outgoing(head, None if payload is None else payload[1]))

    async def describe(self, peer: PeerAddress, training: str) -> Layout | None:
        """What the model of a peer's program looks like; None where it does not say."""
        stub = peer_pb2_grpc.PeerStub(self._dial.channel(peer.address, peer.spiffe_id))  # type: ignore[no-untyped-call]
        try:
            reply = await stub.Describe(peer_pb2.DescribeRequest(protocol=PROTOCOL, training=training), timeout=CALL_S)
            return Layout.of([TensorSpec(t.name, t.dtype, tuple(t.shape)) for t in reply.tensors])
        except (grpc.aio.AioRpcError, ValueError) as error:
            log.info("a peer does not describe its model", extra={"peer": peer.name, "reason": str(error)[:200]})
            return None

    async def close(self) -> None:
        """End all links."""
        await asyncio.gather(*(link.close() for link in self._links.values()))

    def _encode(self, message: Message) -> bytes:
        """The message's bytes; one that goes to all peers is encoded once."""
        if self._encoded[0] is not message:
            self._encoded = message, codec.encode(message)
        return self._encoded[1]

    def _sent(self, sent: Sent) -> None:
        listener = self._listeners.get(sent.training)
        if listener is not None:
            listener(sent)

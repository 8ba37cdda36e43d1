"""What comes from peers: checked for version, size, digest and values before the training hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.facts import metrics
from swarm_lab.identity.credentials import current_peer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.transport import PROTOCOL
from swarm_lab.protos import peer_pb2, peer_pb2_grpc
from swarm_lab.rounds import codec
from swarm_lab.rounds.layout import Layout, find_not_finite, root
from swarm_lab.rounds.messages import Message, NodeId

log = logging.getLogger(__name__)

_DescribeContext = grpc.aio.ServicerContext[peer_pb2.DescribeRequest, peer_pb2.DescribeReply]
_MAX_CHUNK = 4 * 1024 * 1024


class Recipient(Protocol):
    """A training of this node, as far as messages need it."""

    @property
    def layout(self) -> Layout | None:
        """Layout of the model, None until the program has said it."""
        ...

    def member(self, peer: SpiffeId) -> NodeId | None:
        """The peer's ledger id, if it is enrolled and assigned to the training."""
        ...

    def receive(self, sender: NodeId, instance: str, message: Message, payload: tuple[str, bytearray] | None) -> None:
        """Take a checked message."""
        ...

    def refuse(self, sender: NodeId, reason: str) -> None:
        """A message of this member broke a rule: a fact for the log and the events."""
        ...


class Inbox(peer_pb2_grpc.PeerServicer):
    """The service `Peer`. A refusal names the rule; the sender's connection stays, its message goes."""

    def __init__(self, find: Callable[[str], Recipient | None]) -> None:
        self._find = find

    async def Deliver(
        self,
        request_iterator: AsyncIterator[peer_pb2.Frame],
        context: grpc.aio.ServicerContext[peer_pb2.Frame, peer_pb2.Ack],
    ) -> peer_pb2.Ack:
        """One message and its payload."""
        peer = current_peer()
        frame = await anext(aiter(request_iterator), None)
        if frame is None or frame.WhichOneof("content") != "head":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a message begins with its head")
        head = frame.head
        if head.protocol != PROTOCOL:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{peer.node} speaks round protocol {head.protocol} (swarm-lab {head.package[:32]}), "
                f"this node {PROTOCOL} (swarm-lab {__version__})",
            )
        recipient = self._find(head.training)
        if recipient is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"this node does not run training {head.training[:64]}")
        sender = recipient.member(peer)
        if sender is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{peer} is not a member of {head.training}")
        try:
            message = codec.decode(head.kind, head.body)
            payload = await _payload(head, request_iterator, recipient.layout)
        except codec.BadMessage as error:
            recipient.refuse(sender, str(error))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if payload is _NOT_YET:
            # No rule is broken: this node's program has not said what its model looks like.
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this node has no model yet")
        metrics.received_bytes.labels(peer.node).inc(len(head.body) + head.payload_bytes)
        recipient.receive(sender, head.instance[:64], message, payload)
        return peer_pb2.Ack(protocol=PROTOCOL, package=__version__)

    async def Describe(self, request: peer_pb2.DescribeRequest, context: _DescribeContext) -> peer_pb2.DescribeReply:
        """The layout of this node's model in a training."""
        recipient = self._find(request.training)
        if recipient is None or recipient.member(current_peer()) is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no training {request.training[:64]} with this peer")
        layout = recipient.layout
        if layout is None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this node has no model yet")
        tensors = (peer_pb2.Tensor(name=s.name, dtype=s.dtype, shape=s.shape) for s in layout.specs)
        return peer_pb2.DescribeReply(tensors=tensors)


_NOT_YET = ("", bytearray())


async def _payload(
    head: peer_pb2.Head, frames: AsyncIterator[peer_pb2.Frame], layout: Layout | None
) -> tuple[str, bytearray] | None:
    if not head.payload_bytes and not head.payload_root:
        return None
    if layout is None:
        return _NOT_YET
    if head.payload_bytes != layout.nbytes:
        raise codec.BadMessage(f"a model of {head.payload_bytes} bytes; ours has {layout.nbytes}: another model")
    buffer = bytearray(layout.nbytes)
    position = 0
    async for frame in frames:
        chunk = frame.chunk
        if not chunk or len(chunk) > _MAX_CHUNK or position + len(chunk) > len(buffer):
            raise codec.BadMessage("the payload is longer than its head says, or cut into impossible pieces")
        buffer[position : position + len(chunk)] = chunk
        position += len(chunk)
    if position != len(buffer):
        raise codec.BadMessage(f"{position} of {len(buffer)} bytes of the model came")
    await asyncio.to_thread(_check_model, layout, buffer, head.payload_root)
    return head.payload_root, buffer


def _check_model(layout: Layout, buffer: bytearray, digest: str) -> None:
    if root(layout, buffer) != digest:
        raise codec.BadMessage("the model does not match its digest: another model (names, dtypes, shapes) or damage")
    tensor = find_not_finite(layout, buffer)
    if tensor is not None:
        raise codec.BadMessage(f"tensor {tensor!r} holds NaN or infinity")

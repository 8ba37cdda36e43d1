"""What comes from peers: checked for version, size, digest and values before the training hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.errors import SwarmLabError
from swarm_lab.facts import metrics
from swarm_lab.identity.authorizer import current_peer, verified_peer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.links import limit_s
from swarm_lab.nodes.message_frames import Chunk
from swarm_lab.nodes.relay import Relay
from swarm_lab.nodes.round_ports import Arrived
from swarm_lab.nodes.transport import PROTOCOL
from swarm_lab.protos import peer_pb2, peer_pb2_grpc
from swarm_lab.rounds import codec
from swarm_lab.rounds.digests import examine
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.messages import NodeId

log = logging.getLogger(__name__)

_DescribeContext = grpc.aio.ServicerContext[peer_pb2.DescribeRequest, peer_pb2.DescribeReply]
_MAX_CHUNK = 4 * 1024 * 1024
Frame = peer_pb2.Head | Chunk | None


class Recipient(Protocol):
    """A training of this node, as far as messages need it."""

    @property
    def layout(self) -> Layout | None:
        """Layout of the model, None until the program has said it."""
        ...

    def member(self, peer: SpiffeId) -> NodeId | None:
        """The peer's ledger id, if it is enrolled and assigned to the training."""
        ...

    def receive(self, arrived: Arrived) -> None:
        """Take a checked message."""
        ...

    def refuse(self, sender: NodeId, reason: str) -> None:
        """A message of this member broke a rule: a fact for the log and the events."""
        ...


class _Refused(Exception):
    """A message is not taken: a status, and the rule in words."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Inbox(peer_pb2_grpc.PeerServicer):
    """The service `Peer`. A refusal names the rule; the sender's connection stays, its message goes."""

    def __init__(
        self,
        find: Callable[[str], Recipient | None],
        learn: Callable[[SpiffeId, int], None] = lambda peer, port: None,
        relay: Relay | None = None,
    ) -> None:
        """`learn` is told where a member takes tensor streams; `relay` passes on what is for others."""
        self._find = find
        self._learn = learn
        self._relay = relay

    async def Deliver(
        self,
        request_iterator: AsyncIterator[Frame],
        context: grpc.aio.ServicerContext[Frame, peer_pb2.Ack],
    ) -> AsyncIterator[peer_pb2.Ack]:
        """Messages and their payloads, one after the other."""
        frames = aiter(request_iterator)
        async for frame in frames:
            refusal = ""
            announced = frame.payload_bytes if isinstance(frame, peer_pb2.Head) else 0
            try:
                async with asyncio.timeout(limit_s(announced)):
                    await self._take(frame, frames)
            except TimeoutError:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the payload came too slowly")
            except _Refused as error:
                # A training that is not here, or not yet, says nothing against its sender. Otherwise, and where the
                # rest of a payload may follow that nobody wants, the stream ends.
                if announced or error.code is not grpc.StatusCode.NOT_FOUND:
                    await context.abort(error.code, str(error))
                refusal = str(error)
            yield peer_pb2.Ack(protocol=PROTOCOL, package=__version__, refusal=refusal)

    async def _take(self, head: Frame, frames: AsyncIterator[Frame]) -> None:
        """One message, whose first frame has come; raises `_Refused`."""
        try:
            peer = verified_peer()  # each time: its SVID may have expired since the stream began
        except SwarmLabError as error:
            raise _Refused(grpc.StatusCode.PERMISSION_DENIED, f"{error.code}: {error.message}") from error
        if not isinstance(head, peer_pb2.Head):
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, "a message begins with its head")
        if head.protocol != PROTOCOL:
            text = f"{peer.node} speaks round protocol {head.protocol} (swarm-lab {head.package[:32]}), "
            text += f"this node {PROTOCOL} (swarm-lab {__version__})"
            raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, text)
        recipient = self._find(head.training)
        if recipient is None:
            raise _Refused(grpc.StatusCode.NOT_FOUND, f"this node does not run training {head.training[:64]}")
        sender = recipient.member(peer)
        if sender is None:
            raise _Refused(grpc.StatusCode.PERMISSION_DENIED, f"{peer} is not a member of {head.training[:64]}")
        try:
            message = codec.decode(head.kind, head.body)
            payload = await _payload(head, frames, recipient.layout)
            origin = sender if self._relay is None else self._relay.origin(sender, head)
            if self._relay is not None and self._relay.is_for_others(head):
                self._relay.pass_on(sender, head, payload)
                return
        except codec.BadMessage as error:
            recipient.refuse(sender, str(error))
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        if payload is _NOT_YET:
            # No rule is broken: this node's program has not said what its model looks like.
            raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, "this node has no model yet")
        metrics.received_bytes.labels(peer.node).inc(len(head.body) + head.payload_bytes)
        if origin == sender:
            self._learn(peer, head.streams if head.streams < 65536 else 0)
        recipient.receive(Arrived(origin, head.instance[:64], message, payload, origin == sender))

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
    head: peer_pb2.Head, frames: AsyncIterator[Frame], layout: Layout | None
) -> tuple[str, bytearray] | None:
    if not head.payload_bytes and not head.payload_root:
        return None
    if layout is None:
        return _NOT_YET
    if head.payload_bytes != layout.nbytes:
        raise codec.BadMessage(f"a model of {head.payload_bytes} bytes; ours has {layout.nbytes}: another model")
    buffer = bytearray(layout.nbytes)
    position = 0
    while position < len(buffer):
        frame = await anext(frames, None)
        chunk = frame.data if isinstance(frame, Chunk) else b""
        if not chunk or len(chunk) > _MAX_CHUNK or position + len(chunk) > len(buffer):
            raise codec.BadMessage("the payload is not as long as its head says, or cut into impossible pieces")
        buffer[position : position + len(chunk)] = chunk
        position += len(chunk)
    await asyncio.to_thread(_check_model, layout, buffer, head.payload_root)
    return head.payload_root, buffer


def _check_model(layout: Layout, buffer: bytearray, digest: str) -> None:
    found = examine(layout, buffer)
    if found.root != digest:
        raise codec.BadMessage("the model does not match its digest: another model (names, dtypes, shapes) or damage")
    if found.not_finite is not None:
        raise codec.BadMessage(f"tensor {found.not_finite!r} holds NaN or infinity")

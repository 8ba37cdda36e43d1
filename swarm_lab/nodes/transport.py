"""Messages of the round protocol between SL nodes: one `Deliver` call each, over mutual TLS.

Everything here may be lost, come twice or out of order: the machine resends. The tensor streams of the sharded
exchange will stand beside this class and take over the payloads; control messages stay.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import grpc
import grpc.aio

from swarm_lab import __version__
from swarm_lab.facts import metrics
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.protos import peer_pb2, peer_pb2_grpc
from swarm_lab.rounds import codec
from swarm_lab.rounds.layout import Buffer, Layout, TensorSpec
from swarm_lab.rounds.messages import Heartbeat, Message, NodeId

log = logging.getLogger(__name__)

PROTOCOL = 1
CHUNK = 1 << 20
_QUEUE_LIMIT = 64
_CALL_S, _SLOWEST_RATE = 5.0, 250_000.0  # limit of a call: 5 s plus its size at 2 Mbit/s


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where an SL node is reached, and as whom."""

    node: NodeId
    name: str
    spiffe_id: SpiffeId
    address: str


class Dials(Protocol):
    """Gives channels that speak to one peer and follow this node's SVID (`identity.dialer.Dialer`)."""

    def channel(self, address: str, peer: SpiffeId) -> grpc.aio.Channel:
        """The channel to use for the next call."""
        ...


@dataclass(frozen=True, slots=True)
class _Outgoing:
    head: peer_pb2.Head
    payload: Buffer | None


@dataclass(frozen=True, slots=True)
class Sent:
    """How a call to a peer ended: `refused` when nobody took it, else seconds and bytes."""

    peer: NodeId
    training: str
    refused: bool
    seconds: float
    nbytes: int


class PeerLink:
    """The way to one peer. Heartbeats have a lane of their own, where only the latest waits."""

    def __init__(self, peer: PeerAddress, dial: Dials, on_sent: Callable[[Sent], None]) -> None:
        self.peer = peer
        channel = dial.channel(peer.address, peer.spiffe_id)
        self._stub = peer_pb2_grpc.PeerStub(channel)  # type: ignore[no-untyped-call]
        self._on_sent = on_sent
        self._queue: deque[_Outgoing] = deque(maxlen=_QUEUE_LIMIT)
        self._beats: dict[str, _Outgoing] = {}
        self._wake = [asyncio.Event(), asyncio.Event()]
        self._tasks = [asyncio.create_task(self._lane(i), name=f"peer-{peer.name}-{i}") for i in (0, 1)]

    def send(self, head: peer_pb2.Head, payload: Buffer | None) -> None:
        """Queue a message; the oldest goes when 64 wait."""
        if head.kind == Heartbeat.KIND:
            self._beats[head.training] = _Outgoing(head, None)
            self._wake[1].set()
        else:
            self._queue.append(_Outgoing(head, payload))
            self._wake[0].set()

    async def close(self) -> None:
        """End both lanes; what waits is dropped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _lane(self, index: int) -> None:
        while True:
            await self._wake[index].wait()
            self._wake[index].clear()
            while outgoing := self._next(index):
                await self._call(outgoing)

    def _next(self, index: int) -> _Outgoing | None:
        if index == 0:
            return self._queue.popleft() if self._queue else None
        return self._beats.pop(next(iter(self._beats))) if self._beats else None

    async def _call(self, outgoing: _Outgoing) -> None:
        nbytes = len(outgoing.head.body) + outgoing.head.payload_bytes
        limit = _CALL_S + nbytes / _SLOWEST_RATE
        began = time.monotonic()
        refused = False
        for attempt in (1, 2):
            try:
                await self._stub.Deliver(_frames(outgoing), timeout=limit)
                refused = False
                metrics.sent_bytes.labels(self.peer.name).inc(nbytes)
                break
            except grpc.aio.AioRpcError as error:
                refused = error.code() == grpc.StatusCode.UNAVAILABLE
                if not refused:
                    log.info(
                        "a message was not taken",
                        extra={"peer": self.peer.name, "kind": outgoing.head.kind, "reason": error.details()},
                    )
                    break
                if attempt == 1:  # one redial: a connection that was reset says nothing about the node
                    await asyncio.sleep(0.05)
        self._on_sent(Sent(self.peer.node, outgoing.head.training, refused, time.monotonic() - began, nbytes))


async def _frames(outgoing: _Outgoing) -> AsyncIterator[peer_pb2.Frame]:
    yield peer_pb2.Frame(head=outgoing.head)
    if outgoing.payload is not None:
        view = memoryview(outgoing.payload).cast("B")
        for start in range(0, view.nbytes, CHUNK):
            yield peer_pb2.Frame(chunk=bytes(view[start : start + CHUNK]))


class Transport:
    """All links of one SL node. `instance` tells peers that this process is not the one before it."""

    def __init__(self, dial: Dials) -> None:
        self.instance = uuid.uuid4().hex
        self._dial = dial
        self._links: dict[NodeId, PeerLink] = {}
        self._listeners: dict[str, Callable[[Sent], None]] = {}

    def listen(self, training: str, on_sent: Callable[[Sent], None]) -> None:
        """Tell `on_sent` how each call for this training ended."""
        self._listeners[training] = on_sent

    def forget(self, training: str) -> None:
        """Undo `listen`."""
        self._listeners.pop(training, None)

    async def send(
        self, peer: PeerAddress, training: str, message: Message, payload: tuple[str, Buffer] | None = None
    ) -> None:
        """Queue a message to a peer; `payload` is (root, buffer), which must not change until it was sent."""
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
            body=codec.encode(message),
            instance=self.instance,
        )
        if payload is not None:
            head.payload_root, head.payload_bytes = payload[0], memoryview(payload[1]).nbytes
        link.send(head, None if payload is None else payload[1])

    async def describe(self, peer: PeerAddress, training: str) -> Layout | None:
        """What the model of a peer's program looks like; None where it does not say."""
        stub = peer_pb2_grpc.PeerStub(self._dial.channel(peer.address, peer.spiffe_id))  # type: ignore[no-untyped-call]
        try:
            reply = await stub.Describe(peer_pb2.DescribeRequest(protocol=PROTOCOL, training=training), timeout=_CALL_S)
            return Layout.of([TensorSpec(t.name, t.dtype, tuple(t.shape)) for t in reply.tensors])
        except (grpc.aio.AioRpcError, ValueError) as error:
            log.info("a peer does not describe its model", extra={"peer": peer.name, "reason": str(error)[:200]})
            return None

    async def close(self) -> None:
        """End all links."""
        await asyncio.gather(*(link.close() for link in self._links.values()))

    def _sent(self, sent: Sent) -> None:
        listener = self._listeners.get(sent.training)
        if listener is not None:
            listener(sent)

"""The way to one peer: two streams of messages over mutual TLS, each message acknowledged before the next one goes.

Everything here may be lost, come twice or out of order: the machine resends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts import logs, metrics
from swarm_lab.identity.dialer import RotatingChannel
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.message_frames import DELIVER, frames_of
from swarm_lab.protos import peer_pb2
from swarm_lab.rounds.layout import Buffer
from swarm_lab.rounds.messages import Heartbeat, NodeId

log = logging.getLogger(__name__)

CALL_S = 5.0
_SLOWEST_RATE = 250_000.0
_QUEUE_LIMIT = 64
_REDIAL_S = 0.05
# How a stream ends when nobody is there; any other status is somebody's answer. INTERNAL is gRPC's own word for a write
# into a stream whose end it has not told yet.
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL)


def limit_s(nbytes: int) -> float:
    """How long a message may take from its first byte to its acknowledgement: 5 s plus its size at 2 Mbit/s."""
    return CALL_S + nbytes / _SLOWEST_RATE


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where an SL node is reached, and as whom."""

    node: NodeId
    name: str
    spiffe_id: SpiffeId
    address: str


class Dials(Protocol):
    """Gives channels that speak to one peer and follow this node's SVID (`identity.dialer.Dialer`)."""

    def channel(self, address: str, peer: SpiffeId) -> RotatingChannel:
        """The channel to use for the next call."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message, and the model that goes with it."""

    head: peer_pb2.Head
    payload: Buffer | None

    @property
    def nbytes(self) -> int:
        """What it weighs."""
        return len(self.head.body) + self.head.payload_bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """How a message to a peer ended: `refused` when nobody took it, else seconds and bytes."""

    peer: NodeId
    training: str
    refused: bool
    seconds: float
    nbytes: int


class _NobodyThereError(Exception):
    """The stream broke, or could not be opened."""


class _NotTakenError(Exception):
    """The peer's answer is a refusal."""


class _Stream:
    """One stream at a time to a peer: opened with the first message, and anew once it broke or the SVID changed."""

    def __init__(self, channel: RotatingChannel) -> None:
        self._channel = channel
        self._method = channel.stream_stream(DELIVER, response_deserializer=peer_pb2.Ack.FromString)
        self._call: Any = None
        self._connection = 0

    async def deliver(self, message: Outgoing) -> None:
        """Send a message and wait until the peer has taken it; raises `_NobodyThereError`, `_NotTakenError`."""
        call = self._begin()
        answered = False
        try:
            for frame in frames_of(message.head, message.payload):
                await call.write(frame)
            ack = await call.read()
            answered = isinstance(ack, peer_pb2.Ack)  # else the end of the stream
        except asyncio.InvalidStateError:
            pass  # it had ended: its status, below, says why
        except grpc.aio.AioRpcError as error:
            raise _meaning(error.code(), error.details()) from error
        finally:
            if not answered:
                self.close()
        if not answered:
            raise _meaning(await call.code(), await call.details())
        if ack.refusal:
            raise _NotTakenError(ack.refusal)

    def close(self) -> None:
        """End the stream; the next message begins another."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _begin(self) -> Any:
        connection = self._channel.connection
        if self._call is not None and (self._call.done() or connection != self._connection):
            self.close()
        if self._call is None:
            self._call, self._connection = self._method(), connection
        return self._call


class PeerLink:
    """Messages to one peer. Heartbeats have a stream of their own, where only the latest waits of each way they go."""

    def __init__(self, peer: PeerAddress, dial: Dials, on_sent: Callable[[Sent], None]) -> None:
        self.peer = peer
        channel = dial.channel(peer.address, peer.spiffe_id)
        self._on_sent = on_sent
        self._queue: deque[Outgoing] = deque(maxlen=_QUEUE_LIMIT)
        self._beats: dict[tuple[str, str, str], Outgoing] = {}
        self._wake = [asyncio.Event(), asyncio.Event()]
        self._streams = [_Stream(channel), _Stream(channel)]
        # A link outlives the training whose message it was made for: a context of its own, else logs name that one.
        self._tasks = [
            asyncio.create_task(self._lane(i), name=f"peer-{peer.name}-{i}", context=Context()) for i in (0, 1)
        ]

    def send(self, message: Outgoing) -> None:
        """Queue a message; the oldest goes when 64 wait."""
        head = message.head
        if head.kind == Heartbeat.KIND:
            self._beats[head.training, head.origin, head.to] = message
            self._wake[1].set()
        else:
            self._queue.append(message)
            self._wake[0].set()

    async def close(self) -> None:
        """End both lanes; what waits is dropped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams:
            stream.close()

    async def _lane(self, index: int) -> None:
        while True:
            await self._wake[index].wait()
            self._wake[index].clear()
            while message := self._next(index):
                with logs.bound(training=message.head.training):
                    await self._deliver(self._streams[index], message)

    def _next(self, index: int) -> Outgoing | None:
        if index == 0:
            return self._queue.popleft() if self._queue else None
        return self._beats.pop(next(iter(self._beats))) if self._beats else None

    async def _deliver(self, stream: _Stream, message: Outgoing) -> None:
        began = time.monotonic()
        refused = False
        for attempt in (1, 2):
            try:
                async with asyncio.timeout(limit_s(message.nbytes)):
                    await stream.deliver(message)
                refused = False
                metrics.sent_bytes.labels(self.peer.name).inc(message.nbytes)
                break
            except _NobodyThereError:
                refused = True
                if attempt == 1:  # one redial: a connection that was reset says nothing about the node
                    await asyncio.sleep(_REDIAL_S)
            except (_NotTakenError, TimeoutError, SwarmLabError) as error:
                refused = False
                about = {"peer": self.peer.name, "kind": message.head.kind, "reason": str(error) or "no answer in time"}
                log.info("a message was not taken", extra=about)
                break
        seconds = time.monotonic() - began
        self._on_sent(Sent(self.peer.node, message.head.training, refused, seconds, message.nbytes))


def _meaning(code: grpc.StatusCode, details: str | None) -> Exception:
    """What the end of a stream says to whoever had a message on it; OK: the peer ended it in an orderly way."""
    if code in _GONE or code is grpc.StatusCode.OK:
        return _NobodyThereError(details or code.name)
    return _NotTakenError(details or code.name)

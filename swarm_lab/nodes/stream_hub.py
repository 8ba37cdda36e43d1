"""All tensor streams of one SL node: one server, a client for each peer, and which training a frame is of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import IdentitySource
from swarm_lab.nodes.exchange import BlockExchange
from swarm_lab.nodes.exchange_frames import most_bytes
from swarm_lab.nodes.frames import Head
from swarm_lab.nodes.streams import StreamClient, StreamServer
from swarm_lab.nodes.transport import PeerAddress
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.messages import NodeId

log = logging.getLogger(__name__)

_MEASURED = 64 * 1024  # bytes of a frame that tells of a link's rate


@dataclass
class _Training:
    me: NodeId
    exchange: BlockExchange
    layout: Layout
    refuse: Callable[[NodeId, str], None]
    members: dict[SpiffeId, NodeId] = field(default_factory=dict)


class StreamHub:
    """Belongs to the event loop but for `send`, and what the server's threads call (`streams.Sink`)."""

    def __init__(
        self, source: IdentitySource, instance: str, host: str, port: int, admit: Callable[[SpiffeId], bool]
    ) -> None:
        """Listen; port 0 takes a free one. `admit`: who may open a stream. Raises `OSError`."""
        self._source = source
        self._instance = instance
        self._lock = threading.Lock()
        self._trainings: dict[str, _Training] = {}
        self._ports: dict[SpiffeId, int] = {}
        self._clients: dict[NodeId, StreamClient] = {}
        self._sent: dict[NodeId, tuple[float, int]] = {}
        self._server = StreamServer(source, self, instance, admit, host, port)
        self.port = self._server.port

    def learn(self, peer: SpiffeId, port: int) -> None:
        """Where the peer's streams are, as its messages say."""
        if port:
            self._ports[peer] = port

    def register(
        self, training: str, me: NodeId, exchange: BlockExchange, layout: Layout, refuse: Callable[[NodeId, str], None]
    ) -> None:
        """Give a training its frames; `refuse` is told in a stream's thread of frames that broke a rule."""
        with self._lock:
            self._trainings[training] = _Training(me, exchange, layout, refuse)

    def forget_training(self, training: str) -> None:
        """Its frames are dropped from now on."""
        with self._lock:
            self._trainings.pop(training, None)

    def expect(self, training: str, peers: list[PeerAddress]) -> None:
        """Frames of a training go to these and come from these."""
        with self._lock:
            found = self._trainings.get(training)
            if found is not None:
                found.members = {peer.spiffe_id: peer.node for peer in peers}
        for peer in peers:
            self._client(peer)

    def _client(self, peer: PeerAddress) -> None:
        port = self._ports.get(peer.spiffe_id)
        if port is None:
            return  # its first heartbeat will tell; what is lost until then is asked for again
        host = peer.address.rpartition(":")[0].strip("[]")
        client = self._clients.get(peer.node)
        if client is None or client.peer != peer.spiffe_id:
            with self._lock:
                self._clients[peer.node] = StreamClient(self._source, peer.spiffe_id, host, port, self._instance)
        else:
            client.redirect(host, port)

    def purge(self, training: str) -> None:
        """Of a training, drop what waits to be sent: its bytes may change from now on."""
        for client in list(self._clients.values()):
            client.purge(training)

    def rates(self) -> Iterator[tuple[NodeId, float, int]]:
        """What was sent since the last call: peer, seconds, bytes."""
        with self._lock:
            sent, self._sent = self._sent, {}
        for node, (seconds, nbytes) in sent.items():
            yield node, seconds, nbytes

    def close(self) -> None:
        """End all streams; takes two seconds at most."""
        for client in list(self._clients.values()):
            client.close()
        self._server.close()

    # --- frames out, on any thread ------------------------------------------------------------------------

    def send(self, node: NodeId, head: Head, body: Buffer | None) -> None:
        """Queue a frame; one that cannot go is lost, and asked for again."""
        with self._lock:
            client = self._clients.get(node)
        if client is None:
            return
        size = 0 if body is None else memoryview(body).nbytes

        def sent(ok: bool, seconds: float, nbytes: int) -> None:
            if ok and size >= _MEASURED:
                with self._lock:
                    before = self._sent.get(node, (0.0, 0))
                    self._sent[node] = (before[0] + seconds, before[1] + nbytes)

        client.send(head, body, sent, urgent=head.kind in ("NEED", "SLICE", "TABLES"))

    # --- frames in, on the streams' threads ---------------------------------------------------------------

    def _of(self, peer: SpiffeId, head: Head) -> tuple[_Training, NodeId] | None:
        with self._lock:
            training = self._trainings.get(head.training)
        node = training.members.get(peer) if training is not None else None
        return None if training is None or node is None else (training, node)

    def limit(self, head: Head) -> int:
        """See `streams.Sink`."""
        with self._lock:
            training = self._trainings.get(head.training)
        return most_bytes(training.layout, head) if training is not None else _UNKNOWN

    def place(self, peer: SpiffeId, instance: str, head: Head, nbytes: int) -> memoryview | None:
        """See `streams.Sink`."""
        found = self._of(peer, head)
        if found is None:
            return None
        training, sender = found
        if self._is_for_others(training, head):
            return np.empty(nbytes, np.uint8).data
        return training.exchange.place(self._origin(training, sender, head), head, nbytes)

    def arrived(self, peer: SpiffeId, instance: str, head: Head, body: memoryview | None) -> None:
        """See `streams.Sink`."""
        found = self._of(peer, head)
        if found is None:
            return
        training, sender = found
        if self._is_for_others(training, head):
            if not head.origin:  # one hop
                self.send(head.to, replace(head, origin=sender), body)
            return
        training.exchange.arrived(self._origin(training, sender, head), head, body)

    def _is_for_others(self, training: _Training, head: Head) -> bool:
        return bool(head.to) and head.to != training.me and head.to in training.members.values()

    def _origin(self, training: _Training, sender: NodeId, head: Head) -> NodeId:
        """Whose frame it is: what it carries is checked against what that member signed."""
        return head.origin if head.origin in training.members.values() else sender

    def lost(self, peer: SpiffeId, instance: str, head: Head) -> None:
        """See `streams.Sink`: each body has a buffer of its own, which goes."""

    def refuse(self, peer: SpiffeId, head: Head | None, reason: str) -> None:
        """See `streams.Sink`."""
        found = self._of(peer, head) if head is not None else None
        if found is not None:
            found[0].refuse(found[1], reason)
        else:
            log.warning("refused a frame", extra={"peer": peer.node, "reason": reason})


class TrainingStreams:
    """The hub as one training sees it (`exchanges.Streams`)."""

    def __init__(self, hub: StreamHub, training: str, find: Callable[[NodeId], PeerAddress | None]) -> None:
        self._hub = hub
        self._training = training
        self._find = find

    def expect(self, nodes: frozenset[NodeId]) -> None:
        """Frames go to these and come from these."""
        self._hub.expect(self._training, [peer for node in sorted(nodes) if (peer := self._find(node)) is not None])

    def forget(self) -> None:
        """What waits to be sent is not wanted any more."""
        self._hub.purge(self._training)

    def rates(self) -> Iterator[tuple[NodeId, float, int]]:
        """What was sent since the last call: peer, seconds, bytes."""
        return self._hub.rates()


_UNKNOWN = 16 * 1024 * 1024
"""Bytes of a frame of a training that is not here any more: they are dropped as they come."""

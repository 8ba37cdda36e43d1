"""Messages between two nodes over mutual TLS: one stream for many, refusals, restarts, rotation, expiry."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc.aio
import numpy as np
import pytest

from swarm_lab.facts import logs
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import SERVER_OPTIONS, Authorizer, server_credentials
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource
from swarm_lab.nodes import inbox, transport
from swarm_lab.nodes import message_frames as frames
from swarm_lab.nodes.inbox import Inbox
from swarm_lab.nodes.round_ports import Arrived
from swarm_lab.nodes.transport import PeerAddress, Sent, Transport
from swarm_lab.rounds.layout import Layout, root
from swarm_lab.rounds.messages import FetchMessage, Heartbeat, Message, ModelMessage, Phase

HOUR = timedelta(hours=1)
ME, PEER = SpiffeId("a.swarm", "sl", "sl-1"), SpiffeId("a.swarm", "sl", "sl-2")
LAYOUT = Layout.from_arrays({"w": np.zeros(700_000, np.float32)})  # three chunks
TRAINING = "t-1"


@dataclass
class Recipient:
    """A training on the receiving node."""

    layout: Layout | None = LAYOUT
    members: dict[SpiffeId, str] = field(default_factory=lambda: {ME: "0x1"})
    got: list[tuple[str, Message, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def member(self, peer: SpiffeId) -> str | None:
        return self.members.get(peer)

    def receive(self, arrived: Arrived) -> None:
        self.got.append((arrived.sender, arrived.message, arrived.payload))

    def refuse(self, sender: str, reason: str) -> None:
        self.refused.append(reason)


class Counting(Inbox):
    """Counts the streams that were begun."""

    streams = 0

    async def Deliver(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        self.streams += 1
        async for ack in super().Deliver(request_iterator, context):
            yield ack


class Lab:
    """One sender, one receiver on a port of its own that may go and come back."""

    def __init__(self) -> None:
        self.authority = Authority.create("a.swarm")
        self.bundles = {"a.swarm": self.authority.bundle}
        self.source = FixedSource(self.authority.issue(ME, HOUR), self.bundles)
        self.recipient = Recipient()
        self.trainings = {TRAINING: self.recipient}
        self.inbox = Counting(self.trainings.get)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = PeerAddress("0x2", "sl-2", PEER, f"127.0.0.1:{self.port}")
        self.dialer = Dialer(self.source, draw=lambda: 0.0)
        self.transport = Transport(self.dialer)
        self.sent: asyncio.Queue[Sent] = asyncio.Queue()
        self.transport.listen(TRAINING, self.sent.put_nowait)
        self.server: Any = None

    async def start(self) -> None:
        source = FixedSource(self.authority.issue(PEER, HOUR), self.bundles)
        self.server = grpc.aio.server(
            interceptors=[Authorizer(source, {"/swarm.v1.Peer/": {"sl"}})], options=SERVER_OPTIONS
        )
        frames.add_to(self.server, self.inbox)
        self.server.add_secure_port(self.address.address, server_credentials(source))
        await self.server.start()

    async def send(self, message: Message, payload: Any = None) -> Sent:
        await self.transport.send(self.address, TRAINING, message, payload)
        async with asyncio.timeout(10):
            return await self.sent.get()

    async def close(self) -> None:
        await self.transport.close()
        await self.dialer.close()
        await self.server.stop(0)


@asynccontextmanager
async def running() -> AsyncIterator[Lab]:
    lab = Lab()
    await lab.start()
    try:
        yield lab
    finally:
        await lab.close()


def fetch(number: int) -> FetchMessage:
    return FetchMessage(f"{number:064x}")


def a_model(value: float = 1.0) -> tuple[str, bytearray]:
    buffer = LAYOUT.pack({"w": np.full(700_000, value, np.float32)})
    return root(LAYOUT, buffer), buffer


async def test_many_messages_take_one_stream_and_come_in_their_order() -> None:
    async with running() as lab:
        for number in range(20):
            assert not (await lab.send(fetch(number))).refused
        digest, buffer = a_model()
        sent = await lab.send(ModelMessage(digest), (digest, buffer))
        assert sent.nbytes > LAYOUT.nbytes and sent.seconds > 0
        assert [message for _, message, _ in lab.recipient.got[:-1]] == [fetch(n) for n in range(20)]
        assert lab.recipient.got[-1][2] == (digest, buffer)
        assert lab.inbox.streams == 1


async def test_a_training_that_is_not_here_leaves_the_stream_and_other_refusals_end_it() -> None:
    async with running() as lab:
        lab.trainings.clear()
        assert not (await lab.send(fetch(1))).refused
        lab.trainings[TRAINING] = lab.recipient
        assert not (await lab.send(fetch(2))).refused
        assert lab.inbox.streams == 1
        lab.recipient.members.clear()  # the roster has changed
        assert not (await lab.send(fetch(3))).refused
        lab.recipient.members[ME] = "0x1"
        assert not (await lab.send(fetch(4))).refused
        assert [message for _, message, _ in lab.recipient.got] == [fetch(2), fetch(4)]
        assert lab.inbox.streams == 2


async def test_a_model_that_is_another_is_refused_and_named_and_the_next_message_comes() -> None:
    async with running() as lab:
        _, buffer = a_model()
        assert not (await lab.send(ModelMessage("0" * 64), ("0" * 64, buffer))).refused
        assert not (await lab.send(ModelMessage("0" * 64), ("0" * 64, buffer[:4096]))).refused
        assert not (await lab.send(fetch(1))).refused
        assert [message for _, message, _ in lab.recipient.got] == [fetch(1)]
        assert len(lab.recipient.refused) == 2 and "does not match its digest" in lab.recipient.refused[0]
        assert "4096 bytes; ours has" in lab.recipient.refused[1]


async def test_another_version_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async with running() as lab:
        monkeypatch.setattr(transport, "PROTOCOL", 99)
        with caplog.at_level("INFO"):
            await lab.send(fetch(1))
        assert not lab.recipient.got
        reasons = [record.reason for record in caplog.records if hasattr(record, "reason")]
        assert any("sl-1 speaks round protocol 99" in reason for reason in reasons)


async def test_a_peer_that_is_gone_is_refused_and_one_that_comes_back_is_heard() -> None:
    async with running() as lab:
        await lab.send(fetch(1))
        await lab.server.stop(0)
        assert (await lab.send(fetch(2))).refused
        await lab.start()
        async with asyncio.timeout(10):
            while (await lab.send(fetch(3))).refused:
                await asyncio.sleep(0.05)
        assert lab.recipient.got[-1][1] == fetch(3)


async def test_a_new_svid_moves_the_stream_to_a_new_connection() -> None:
    async with running() as lab:
        await lab.send(fetch(1))
        lab.source.replace(lab.authority.issue(ME, HOUR))
        await lab.send(fetch(2))
        assert lab.inbox.streams == 2
        channel = lab.dialer.channel(lab.address.address, PEER)
        async with asyncio.timeout(5):
            while channel._retired:  # the old connection ends, as nothing holds it any more
                await asyncio.sleep(0.01)


async def test_a_stream_that_outlives_its_svid_carries_no_more() -> None:
    async with running() as lab:
        lab.source.replace(lab.authority.issue(ME, timedelta(seconds=2)))
        await lab.send(fetch(1))
        stream = lab.transport._links["0x2"]._streams[0]
        call = stream._call
        monkey = stream._channel.__class__.connection
        try:
            stream._channel.__class__.connection = property(lambda self: stream._connection)  # type: ignore[assignment]
            await asyncio.sleep(2.1)
            await lab.send(fetch(2))
        finally:
            stream._channel.__class__.connection = monkey  # type: ignore[method-assign]
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
        assert [message for _, message, _ in lab.recipient.got] == [fetch(1)]


async def test_a_payload_that_does_not_come_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "limit_s", lambda nbytes: 0.1)
    async with running() as lab:
        method = lab.dialer.channel(lab.address.address, PEER).stream_stream("/swarm.v1.Peer/Deliver")
        call = method()
        message = peer_head(ModelMessage("0" * 64), LAYOUT.nbytes)
        await call.write(message)
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def peer_head(message: Message, nbytes: int) -> bytes:
    from swarm_lab.protos import peer_pb2
    from swarm_lab.rounds import codec

    head = peer_pb2.Head(
        protocol=transport.PROTOCOL, training=TRAINING, kind=message.KIND, body=codec.encode(message),
        payload_bytes=nbytes, payload_root="0" * 64,
    )  # fmt: skip
    return peer_pb2.Frame(head=head).SerializeToString()


async def test_of_heartbeats_only_the_latest_waits() -> None:
    async with running() as lab:

        def beat(batches: int) -> Heartbeat:
            return Heartbeat("0" * 64, Phase.TRAINING, batches=batches)

        for batches in range(50):
            await lab.transport.send(lab.address, TRAINING, beat(batches))
        async with asyncio.timeout(5):
            while not lab.recipient.got or lab.recipient.got[-1][1].batches != 49:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        assert len(lab.recipient.got) <= 3


async def test_of_heartbeats_the_latest_of_each_way_waits() -> None:
    async with running() as lab:
        ways = {"": "1" * 64, "0x7": "2" * 64, "0x8": "3" * 64}
        for to, digest in ways.items():
            await lab.transport.send(lab.address, TRAINING, Heartbeat(digest, Phase.TRAINING), to=to)
        async with asyncio.timeout(5):
            while len(lab.recipient.got) < len(ways):
                await asyncio.sleep(0.01)
        assert {message.training for _, message, _ in lab.recipient.got} == set(ways.values())  # type: ignore[union-attr]


async def test_a_log_line_names_the_training_of_its_message_not_the_one_that_made_the_link() -> None:
    said: list[dict[str, Any]] = []

    def tell(sent: Sent) -> None:
        line = logs.JsonFormatter("s", "n").format(logging.makeLogRecord({"msg": "sent"}))
        said.append(json.loads(line))
        lab.sent.put_nowait(sent)

    async with running() as lab:
        lab.transport.listen(TRAINING, tell)
        with logs.bound(training="t-older", round=7):
            await lab.send(fetch(1))
    assert [(line["training"], "round" in line) for line in said] == [(TRAINING, False)]

"""A dialer's channel across rotations of the SVID: which connection a call takes, and when the old one ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio

from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import Authorizer, channel, current_peer, server_credentials
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource, IdentitySource

HOUR = timedelta(hours=1)
SERVER = SpiffeId("a.swarm", "sn", "sentinel")
FIRST, SECOND = SpiffeId("a.swarm", "sl", "sl-1"), SpiffeId("a.swarm", "sl", "sl-2")


class Handlers(grpc.GenericRpcHandler):
    """Says who calls; a stream says it for each message that it gets."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        if str(details.method).endswith("/Stream"):
            return grpc.stream_stream_rpc_method_handler(self.stream)
        return grpc.unary_unary_rpc_method_handler(self.unary)

    async def unary(self, request: bytes, context: Any) -> bytes:
        return current_peer().node.encode()

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield current_peer().node.encode()


@asynccontextmanager
async def serving(source: IdentitySource) -> AsyncIterator[str]:
    server = grpc.aio.server(interceptors=[Authorizer(source, {"/t.": {"sl"}})])
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(source))
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class Recorder:
    """Opens real channels and remembers them."""

    def __init__(self) -> None:
        self.opened: list[grpc.aio.Channel] = []

    def __call__(self, address: str, peer: SpiffeId, source: IdentitySource) -> grpc.aio.Channel:
        self.opened.append(channel(address, peer, source))
        return self.opened[-1]

    def ended(self, number: int) -> bool:
        return self.opened[number].get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_new_calls_take_the_new_svid_and_an_open_stream_ends_on_the_old() -> None:
    authority = Authority.create("a.swarm")
    bundles = {"a.swarm": authority.bundle}
    ours = FixedSource(authority.issue(FIRST, HOUR), bundles)
    recorder = Recorder()
    async with serving(FixedSource(authority.issue(SERVER, HOUR), bundles)) as address:
        dialer = Dialer(ours, recorder, draw=lambda: 0.0)
        opened = dialer.channel(address, SERVER)
        who = opened.unary_unary("/t.T/Unary")
        assert await who(b"", timeout=5) == b"sl-1"
        stream = opened.stream_stream("/t.T/Stream")(timeout=20)
        await stream.write(b"")
        assert await stream.read() == b"sl-1"

        ours.replace(authority.issue(SECOND, HOUR))
        assert await who(b"", timeout=5) == b"sl-2"
        assert dialer.channel(address, SERVER) is opened
        assert len(recorder.opened) == 2
        await stream.write(b"")
        assert await stream.read() == b"sl-1"
        assert not recorder.ended(0)

        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        await until(lambda: recorder.ended(0))
        assert await who(b"", timeout=5) == b"sl-2"
        await dialer.close()
        assert recorder.ended(1)


async def test_channels_move_at_moments_of_their_own() -> None:
    authority = Authority.create("a.swarm")
    bundles = {"a.swarm": authority.bundle}
    ours = FixedSource(authority.issue(FIRST, HOUR), bundles)
    recorder = Recorder()
    now = ours.svid().issued
    draws = iter([0.5, 0.1])
    dialer = Dialer(ours, recorder, clock=lambda: now, draw=lambda: next(draws))
    one, two = dialer.channel("127.0.0.1:1", SERVER), dialer.channel("127.0.0.1:2", SERVER)
    for each in (one, two):
        each.get_state()
    ours.replace(authority.issue(FIRST, HOUR))
    counts = []
    for seconds in (0, 4, 14, 16):
        now = ours.svid().issued + seconds
        for each in (one, two):
            each.get_state()
        counts.append(len(recorder.opened) - 2)
    assert counts == [0, 1, 1, 2]
    await dialer.close()


async def test_a_channel_whose_svid_is_over_moves_at_once() -> None:
    authority = Authority.create("a.swarm")
    ours = FixedSource(authority.issue(FIRST, HOUR), {"a.swarm": authority.bundle})
    recorder = Recorder()
    now = ours.svid().expires + 1
    dialer = Dialer(ours, recorder, clock=lambda: now, draw=lambda: 1.0)
    dialer.channel("127.0.0.1:1", SERVER).get_state()
    ours.replace(authority.issue(FIRST, HOUR))
    dialer.channel("127.0.0.1:1", SERVER).get_state()
    assert len(recorder.opened) == 2
    await dialer.forget("127.0.0.1:1", SERVER)
    await dialer.close()

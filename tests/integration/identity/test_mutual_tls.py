"""Real gRPC over mutual TLS: who gets through, who is refused, and what a rotation disturbs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import (
    CHANNEL_OPTIONS,
    SERVER_OPTIONS,
    Authorizer,
    channel,
    current_peer,
    server_credentials,
)
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource

HOUR = timedelta(hours=1)
SERVER = SpiffeId("a.swarm", "sl", "sl-1")
PEER = SpiffeId("a.swarm", "sl", "sl-2")
RULES = {"/t.Peer/": {"sl"}, "/t.Peer/Operate": {"swci"}, "/t.Open/": {"sl", "sn", "swci"}}


class Handlers(grpc.GenericRpcHandler):
    """Methods on bytes, one of each kind; every unknown name under /t. is a unary call."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        method = str(details.method)
        if method.endswith("/Ticks"):
            return grpc.unary_stream_rpc_method_handler(self.ticks)
        if method.endswith("/Written"):
            return grpc.unary_stream_rpc_method_handler(self.written)
        if method.endswith("/Echo"):
            return grpc.stream_stream_rpc_method_handler(self.echo)
        if method.endswith("/Sum"):
            return grpc.stream_unary_rpc_method_handler(self.sum)
        return grpc.unary_unary_rpc_method_handler(self.whoami)

    async def whoami(self, request: bytes, context: Any) -> bytes:
        return str(current_peer()).encode()

    async def ticks(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()
            await asyncio.sleep(0.05)

    async def written(self, request: bytes, context: Any) -> None:
        await context.write(str(current_peer()).encode())

    async def echo(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def sum(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return str(sum([int(request) async for request in requests])).encode()


@asynccontextmanager
async def serving(source: FixedSource) -> AsyncIterator[str]:
    server = grpc.aio.server(interceptors=[Authorizer(source, RULES)], options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(source))
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture(scope="module")
def a() -> Authority:
    return Authority.create("a.swarm")


@pytest.fixture(scope="module")
def b() -> Authority:
    return Authority.create("b.swarm")


def source(authority: Authority, who: SpiffeId, also: Sequence[Authority] = (), **issue: Any) -> FixedSource:
    bundles = {one.trust_domain: one.bundle for one in (authority, *also)}
    return FixedSource(authority.issue(who, issue.pop("life", HOUR), **issue), bundles)


async def rest(stream: Any) -> list[bytes]:
    """What a stream still sends; the iterator and `read` may not be mixed on one call."""
    seen = []
    while (tick := await stream.read()) is not grpc.aio.EOF:
        seen.append(tick)
    return seen


async def call(opened: grpc.aio.Channel, method: str = "/t.Peer/WhoAmI", message: bytes = b"") -> str:
    async with opened:
        answer: bytes = await opened.unary_unary(method)(message, timeout=5)
        return answer.decode()


async def refused(opened: grpc.aio.Channel, method: str = "/t.Peer/WhoAmI") -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(opened, method)
    return caught.value.code(), caught.value.details() or ""


async def test_a_handler_learns_who_calls(a: Authority) -> None:
    async with serving(source(a, SERVER)) as address:
        assert await call(channel(address, SERVER, source(a, PEER))) == str(PEER)


async def test_every_kind_of_call_passes_the_authorizer(a: Authority) -> None:
    async with serving(source(a, SERVER)) as address, channel(address, SERVER, source(a, PEER)) as opened:

        async def numbers() -> AsyncIterator[bytes]:
            yield b"1"
            yield b"2"

        assert await opened.stream_unary("/t.Peer/Sum")(numbers(), timeout=5) == b"3"
        assert [x async for x in opened.stream_stream("/t.Peer/Echo")(numbers(), timeout=5)] == [b"1", b"2"]
        assert [x async for x in opened.unary_stream("/t.Peer/Ticks")(b"3", timeout=5)] == [b"0", b"1", b"2"]
        assert [x async for x in opened.unary_stream("/t.Peer/Written")(b"", timeout=5)] == [str(PEER).encode()]


async def test_a_plain_thread_uses_the_sync_channel(a: Authority) -> None:
    async with serving(source(a, SERVER)) as address:

        def talk() -> bytes:
            with channel(address, SERVER, source(a, PEER), aio=False) as opened:
                answer: bytes = opened.unary_unary("/t.Peer/WhoAmI")(b"", timeout=5)
                return answer

        assert await asyncio.to_thread(talk) == str(PEER).encode()


@pytest.mark.parametrize("method", ["/t.Peer/WhoAmI", "/t.Peer/Ticks", "/t.Closed/WhoAmI"])
async def test_a_role_without_a_rule_is_refused(a: Authority, method: str) -> None:
    operator = SpiffeId("a.swarm", "swci", "operator")
    async with serving(source(a, SERVER)) as address:
        code, details = await refused(channel(address, SERVER, source(a, operator)), method)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert details.startswith("SWL-207")
        assert await call(channel(address, SERVER, source(a, operator)), "/t.Peer/Operate") == str(operator)


async def test_an_authority_cannot_speak_for_a_federated_domain(a: Authority, b: Authority) -> None:
    """TLS takes it, since b is among the server's roots; the check of the leaf must not."""
    forged = FixedSource(b.issue(PEER, HOUR), {"a.swarm": a.bundle})
    honest = source(b, SpiffeId("b.swarm", "sl", "sl-9"), also=[a])
    async with serving(source(a, SERVER, also=[b])) as address:
        code, details = await refused(channel(address, SERVER, forged))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert details.startswith("SWL-206")
        assert await call(channel(address, SERVER, honest)) == "spiffe://b.swarm/sl/sl-9"


async def test_a_client_takes_no_server_that_another_domain_forged(a: Authority, b: Authority) -> None:
    forged = FixedSource(b.issue(SERVER, HOUR), {"a.swarm": a.bundle, "b.swarm": b.bundle})
    async with serving(forged) as address:
        code, _ = await refused(channel(address, SERVER, source(a, PEER, also=[b])))
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_client_takes_no_other_node_of_the_same_domain(a: Authority) -> None:
    async with serving(source(a, SERVER)) as address:
        other = SpiffeId("a.swarm", "sl", "sl-3")
        code, details = await refused(channel(address, other, source(a, PEER)))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "Hostname Verification" in details


async def test_no_certificate_or_one_of_strangers_does_not_connect(a: Authority, b: Authority) -> None:
    async with serving(source(a, SERVER)) as address:
        bare = grpc.ssl_channel_credentials(a.bundle)
        name = ("grpc.ssl_target_name_override", SERVER.dns_name)
        code, _ = await refused(grpc.aio.secure_channel(address, bare, options=[*CHANNEL_OPTIONS, name]))
        assert code is grpc.StatusCode.UNAVAILABLE
        stranger = FixedSource(b.issue(PEER, HOUR), {"a.swarm": a.bundle})
        code, _ = await refused(channel(address, SERVER, stranger))
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_an_expired_svid_does_not_connect(a: Authority) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with serving(source(a, SERVER)) as address:
        code, _ = await refused(channel(address, SERVER, source(a, PEER, now=yesterday)))
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_an_svid_that_expires_on_an_open_connection_ends_new_calls_only(a: Authority) -> None:
    short = source(a, PEER, life=timedelta(seconds=2))
    async with serving(source(a, SERVER)) as address, channel(address, SERVER, short) as opened:
        stream = opened.unary_stream("/t.Peer/Ticks")(b"55", timeout=10)
        seen = [await stream.read()]
        await asyncio.sleep(max(0.0, short.svid().expires - time.time()) + 0.05)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await opened.unary_unary("/t.Peer/WhoAmI")(b"", timeout=5)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (caught.value.details() or "").startswith("SWL-204")
        seen += await rest(stream)
        assert len(seen) == 55


async def test_a_server_shows_its_new_svid_and_open_calls_go_on(a: Authority) -> None:
    ours = source(a, SERVER)
    async with serving(ours) as address, channel(address, SERVER, source(a, PEER)) as opened:
        stream = opened.unary_stream("/t.Peer/Ticks")(b"12", timeout=10)
        seen = [await stream.read()]
        # Only a certificate with the other name lets the next client in, so the new one was shown.
        renamed = SpiffeId("a.swarm", "sl", "sl-7")
        ours.replace(a.issue(renamed, HOUR))
        assert await call(channel(address, renamed, source(a, PEER))) == str(PEER)
        seen += await rest(stream)
        assert len(seen) == 12

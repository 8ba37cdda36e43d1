"""The dev issuer and the source of SVIDs against each other, over real sockets."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from spiffe import WorkloadApiClient
from spiffe._proto import workload_pb2, workload_pb2_grpc

from swarm_lab.errors import IdentityExpired, IssuerUnreachable, NotAttested, UnknownTrustDomain, WrongIdentity
from swarm_lab.identity.attest import RefusedError
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import SERVER_OPTIONS, Authorizer, server_credentials
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.issuer import Issuance, Listener, WorkloadApi
from swarm_lab.identity.peercred import Caller
from swarm_lab.identity.peers import verify_leaf
from swarm_lab.identity.source import SvidSource
from swarm_lab.identity.svid import Svid

NODE = SpiffeId("a.swarm", "sl", "sl-1")


class Attestor:
    """Gives everybody one identity, or nobody any."""

    def __init__(self, spiffe_id: SpiffeId | None = NODE) -> None:
        self.spiffe_id = spiffe_id
        self.callers: list[Caller] = []

    def attest(self, caller: Caller) -> SpiffeId:
        self.callers.append(caller)
        if self.spiffe_id is None:
            raise RefusedError("nobody knows it")
        return self.spiffe_id


class Issuer:
    """An issuer in a thread of its own, that can die and come again."""

    def __init__(self, path: Path, issuance: Issuance, attestor: Attestor) -> None:
        self.path, self.issuance, self.attestor = path, issuance, attestor
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Issuer:
        started = threading.Event()

        async def serve() -> None:
            self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
            listener = Listener(self.path, WorkloadApi(self.issuance, self.attestor, draw=lambda: 0.5))
            await listener.start()
            started.set()
            try:
                await self._end.wait()
            finally:
                await listener.close()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        assert started.wait(5)
        return self

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(5)
            assert not self._thread.is_alive()


@pytest.fixture
def path() -> Iterator[Path]:
    directory = tempfile.mkdtemp(prefix="swl-")
    yield Path(directory) / "workload.sock"
    shutil.rmtree(directory)


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Issuer]]:
    made: list[Issuer] = []

    def start(attestor: Attestor | None = None, life: float = 3600, **issuance: object) -> Issuer:
        authority = Authority.create("a.swarm")
        given = Issuance(authority, timedelta(seconds=life), **issuance)  # type: ignore[arg-type]
        made.append(Issuer(path, given, attestor or Attestor()).start())
        return made[-1]

    yield start
    for issuer in made:
        issuer.stop()


def until(condition: Callable[[], bool], limit: float = 5) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_a_process_reads_its_identity(path: Path, start: Callable[..., Issuer]) -> None:
    issuer = start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with SvidSource.open(path, NODE, timeout=5) as source:
        assert source.spiffe_id == NODE
        assert source.bundle("a.swarm") == issuer.issuance.authority.bundle
        assert verify_leaf(source.svid().cert_pem, source) == NODE
        assert 3500 < source.expires - time.time() <= 3600
        with pytest.raises(UnknownTrustDomain, match=r"b\.swarm"):
            source.bundle("b.swarm")
    assert issuer.attestor.callers == [Caller(os.getpid(), os.getuid())]


def test_federated_bundles_arrive(path: Path, start: Callable[..., Issuer]) -> None:
    other = Authority.create("b.swarm")
    start(federated={"b.swarm": other.bundle})
    with SvidSource.open(path, timeout=5) as source:
        assert source.bundle("b.swarm") == other.bundle
        assert sorted(source.bundles()) == ["a.swarm", "b.swarm"]


async def test_a_source_waits_for_the_socket_and_says_so(path: Path, start: Callable[..., Issuer]) -> None:
    said: list[str] = []
    opening = asyncio.create_task(SvidSource.open_async(path, NODE, timeout=10, on_wait=said.append))
    while not said:
        await asyncio.sleep(0.01)
    assert str(path) in said[0]
    await asyncio.to_thread(start)
    source = await opening
    assert source.spiffe_id == NODE
    source.close()


def test_the_wait_has_a_limit(path: Path) -> None:
    with pytest.raises(IssuerUnreachable, match="no socket"):
        SvidSource.open(path, NODE, timeout=0.3)


def test_a_socket_that_nobody_serves_is_named(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(IssuerUnreachable, match="nobody answers"):
        SvidSource.open(path, NODE, timeout=1)


def test_a_refusal_is_told(path: Path, start: Callable[..., Issuer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm_lab.identity.source.REFUSAL_GRACE", 0.2)
    start(Attestor(None))
    with pytest.raises(NotAttested, match=str(os.getpid())):
        SvidSource.open(path, NODE, timeout=20)


def test_another_identity_than_the_expected_is_not_taken(path: Path, start: Callable[..., Issuer]) -> None:
    start(Attestor(SpiffeId("a.swarm", "sl", "sl-2")))
    with pytest.raises(WrongIdentity, match="sl-2"):
        SvidSource.open(path, NODE, timeout=20)


def test_svids_rotate_on_an_open_stream(path: Path, start: Callable[..., Issuer]) -> None:
    issuer = start(life=2)
    taken: list[Svid] = []
    with SvidSource.open(path, NODE, timeout=5) as source:
        first, generation = source.svid(), source.generation
        source.subscribe(taken.append)
        until(lambda: source.generation > generation)
        assert source.svid().cert_pem != first.cert_pem
        assert time.time() < first.expires
        assert taken[0] == source.svid()
        issuer.attestor.spiffe_id = SpiffeId("a.swarm", "sl", "sl-2")
        until(lambda: isinstance(source.trouble, WrongIdentity))
        assert source.spiffe_id == NODE


def test_the_last_svid_bridges_the_issuers_death(path: Path, start: Callable[..., Issuer]) -> None:
    issuer = start(life=30)
    with SvidSource.open(path, NODE, timeout=5) as source:
        first = source.svid()
        issuer.stop()
        until(lambda: isinstance(source.trouble, IssuerUnreachable))
        assert source.svid() == first
        issuer.start()
        until(lambda: source.svid() != first)
        assert source.trouble is None


def test_an_svid_that_is_over_is_not_shown(path: Path, start: Callable[..., Issuer]) -> None:
    issuer = start(life=2)
    with SvidSource.open(path, NODE, timeout=5) as source:
        issuer.attestor.spiffe_id = None
        until(lambda: time.time() > source.expires)
        with pytest.raises(IdentityExpired, match="sl-1"):
            source.svid()
        issuer.attestor.spiffe_id = NODE
        until(lambda: time.time() < source.expires)
        assert source.svid().spiffe_id == NODE


def test_the_api_as_the_standard_has_it(path: Path, start: Callable[..., Issuer]) -> None:
    issuer = start()
    with WorkloadApiClient(f"unix:{path}") as client:
        bundles = client.fetch_x509_bundles(timeout=5)
        assert [bundle.trust_domain.name for bundle in bundles.bundles] == ["a.swarm"]
    with grpc.insecure_channel(f"unix:{path}") as plain:
        stub = workload_pb2_grpc.SpiffeWorkloadAPIStub(plain)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as without_header:
            next(stub.FetchX509SVID(workload_pb2.X509SVIDRequest(), timeout=5))
        assert without_header.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as jwt:
            stub.FetchJWTSVID(workload_pb2.JWTSVIDRequest(audience=["x"]), timeout=5)
        assert jwt.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert len(issuer.attestor.callers) == 1


class Ticks(grpc.GenericRpcHandler):
    """A stream that lasts 2.5 seconds, and a unary call."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        if str(details.method).endswith("/Ticks"):
            return grpc.unary_stream_rpc_method_handler(self.ticks)
        return grpc.unary_unary_rpc_method_handler(self.unary)

    async def ticks(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"."
            await asyncio.sleep(0.05)

    async def unary(self, request: bytes, context: Any) -> bytes:
        return request


async def test_two_nodes_talk_on_while_their_svids_come_and_go(path: Path, start: Callable[..., Issuer]) -> None:
    """SVIDs of two seconds: a stream outlives its own, and no call around it fails."""
    await asyncio.to_thread(start, life=2)
    ours, theirs = await asyncio.gather(SvidSource.open_async(path), SvidSource.open_async(path))
    server = grpc.aio.server(interceptors=[Authorizer(ours, {"/t.": {"sl"}})], options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((Ticks(),))
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', server_credentials(ours))}"
    await server.start()
    dialer = Dialer(theirs)
    opened = dialer.channel(address, NODE)
    first = theirs.svid()
    stream = asyncio.create_task(_drain(opened.unary_stream("/t.T/Ticks")(b"", timeout=10)))
    calls = 0
    while not stream.done():
        assert await opened.unary_unary("/t.T/Unary")(b"x", timeout=5) == b"x"
        calls += 1
        await asyncio.sleep(0.02)
    assert await stream == 50
    assert time.time() > first.expires
    assert calls > 20
    assert theirs.generation >= 3
    await dialer.close()
    await server.stop(0)
    ours.close()
    theirs.close()


async def _drain(stream: Any) -> int:
    return len([message async for message in stream])

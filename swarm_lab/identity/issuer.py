"""The dev issuer: SPIFFE's Workload API on Unix sockets, X.509 part, for processes that an attestor knows.

gRPC for Python hides who is at the other end of a Unix socket, so this server is made with `grpclib`, whose
connections are asyncio transports.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from weakref import WeakSet

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

# The library's own messages: the process-wide descriptor pool takes each name once.
from spiffe._proto import workload_pb2 as api

from swarm_lab.identity.attest import Attestor, RefusedError
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.peercred import caller_of
from swarm_lab.identity.svid import Svid

log = logging.getLogger(__name__)

DEFAULT_LIFE = timedelta(hours=1)
LEAST_LIFE = timedelta(seconds=2)
# A machine may sleep, and the event loop's clock with it; the life of an SVID goes on.
LONGEST_SLEEP = 5.0
CLOSE_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Issuance:
    """What is issued: by whom, for how long, and which other trust domains' bundles (PEM) go with it."""

    authority: Authority
    life: timedelta = DEFAULT_LIFE
    federated: Mapping[str, bytes] | None = None

    def response(self, spiffe_id: SpiffeId) -> tuple[api.X509SVIDResponse, Svid]:
        """A new SVID as the Workload API has it, and the same as ours."""
        svid = self.authority.issue(spiffe_id, self.life)
        key = load_pem_private_key(svid.key_pem, None)
        answer = api.X509SVIDResponse()
        answer.svids.add(
            spiffe_id=str(spiffe_id),
            x509_svid=_der(svid.cert_pem),
            x509_svid_key=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            bundle=_der(self.authority.bundle),
        )
        for domain, bundle in (self.federated or {}).items():
            answer.federated_bundles[f"spiffe://{domain}"] = _der(bundle)
        return answer, svid

    def bundles(self) -> api.X509BundlesResponse:
        """All bundles as the Workload API has them."""
        known = {**(self.federated or {}), self.authority.trust_domain: self.authority.bundle}
        return api.X509BundlesResponse(bundles={f"spiffe://{domain}": _der(bundle) for domain, bundle in known.items()})


class WorkloadApi:
    """The service on one socket; each stream gets a new SVID at about half of the last one's life."""

    def __init__(
        self,
        issuance: Issuance,
        attestor: Attestor,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._issuance = issuance
        self._attestor = attestor
        self._clock = clock
        self._draw = draw
        self._connections: WeakSet[asyncio.Transport] = WeakSet()

    def hang_up(self) -> None:
        """End all connections: grpclib closes its door and leaves those inside waiting."""
        for connection in list(self._connections):
            connection.abort()

    def __mapping__(self) -> dict[str, Handler]:
        """Grpclib's table of methods. What is not in it, the JWT part, is answered UNIMPLEMENTED."""
        stream = Cardinality.UNARY_STREAM
        return {
            "/SpiffeWorkloadAPI/FetchX509SVID": Handler(self._svids, stream, api.X509SVIDRequest, api.X509SVIDResponse),
            "/SpiffeWorkloadAPI/FetchX509Bundles": Handler(
                self._bundles, stream, api.X509BundlesRequest, api.X509BundlesResponse
            ),
        }

    async def _svids(self, stream: Stream[Any, Any]) -> None:
        await self._begin(stream)
        while True:
            # Asked again each time: a process whose node was removed gets no further SVID.
            spiffe_id = await self._attest(stream)
            answer, svid = self._issuance.response(spiffe_id)
            await stream.send_message(answer)
            log.info("issued an SVID", extra={"spiffe_id": str(spiffe_id), "expires": svid.expires})
            await self._until(self._renewal(svid))

    async def _bundles(self, stream: Stream[Any, Any]) -> None:
        await self._begin(stream)
        await self._attest(stream)
        await stream.send_message(self._issuance.bundles())
        while True:  # open until the client leaves; nothing changes while this process lives
            await asyncio.sleep(LONGEST_SLEEP)

    async def _begin(self, stream: Stream[Any, Any]) -> None:
        """Take the request; SPIFFE demands a header that a deceived web client cannot set."""
        self._connections.add(_connection(stream))
        await stream.recv_message()
        if stream.metadata is None or stream.metadata.get("workload.spiffe.io") != "true":
            raise GRPCError(Status.INVALID_ARGUMENT, "the header workload.spiffe.io is missing")

    def _renewal(self, svid: Svid) -> float:
        """Half of the life, a tenth of the life earlier or later, so that nodes do not come all at once."""
        return svid.issued + (svid.expires - svid.issued) * (0.4 + 0.2 * self._draw())

    async def _until(self, moment: float) -> None:
        while (rest := moment - self._clock()) > 0:
            await asyncio.sleep(min(rest, LONGEST_SLEEP))

    async def _attest(self, stream: Stream[Any, Any]) -> SpiffeId:
        caller = caller_of(_connection(stream).get_extra_info("socket"))
        try:
            return await asyncio.to_thread(self._attestor.attest, caller)
        except RefusedError as refusal:
            log.warning(
                "refused an identity",
                extra={"event": "refused", "pid": caller.pid, "uid": caller.uid, "reason": str(refusal)},
            )
            raise GRPCError(Status.PERMISSION_DENIED, "no identity issued") from refusal


class Listener:
    """One `WorkloadApi` on one Unix socket of mode 0600."""

    def __init__(self, path: Path, service: WorkloadApi) -> None:
        self.path = path
        self._service = service
        self._server = Server([service])

    async def start(self) -> None:
        """Listen; takes the place of a socket that a dead issuer has left."""
        if self.path.is_socket():
            self.path.unlink()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bound.bind(str(self.path))
            self.path.chmod(0o600)  # before anybody can connect: it does not listen yet
            await self._server.start(sock=bound)
        except BaseException:  # also a cancellation: nobody else would close the socket
            bound.close()
            raise

    async def close(self) -> None:
        """Stop; clients see their streams end."""
        self._server.close()
        self._service.hang_up()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT):
                await self._server.wait_closed()


def _connection(stream: Stream[Any, Any]) -> asyncio.Transport:
    # Grpclib shows a peer's address and certificate only; the socket is behind a private name.
    return stream.peer._transport


def _der(pem: bytes) -> bytes:
    return b"".join(cert.public_bytes(Encoding.DER) for cert in x509.load_pem_x509_certificates(pem))

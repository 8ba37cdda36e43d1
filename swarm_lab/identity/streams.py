"""Mutual TLS for tensor streams: `ssl` contexts made from an SVID source, and who is at the other end of a socket.

The check is gRPC's (`credentials`, `peers`): a client trusts the bundle of the peer's trust domain alone and insists on
the peer's DNS name; both sides verify the other's leaf against the trust domain that it claims. `ssl` shows the leaf
and not the chain, so each side sends its chain in its first frame.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography import x509

from swarm_lab.errors import IdentityExpired, PeerNotVerified
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.peers import verify_leaf
from swarm_lab.identity.svid import IdentitySource, Svid


@dataclass(frozen=True, slots=True)
class Credentials:
    """A context for handshakes, with the SVID that it shows and the source's generation that it was made at."""

    context: ssl.SSLContext
    svid: Svid
    generation: int

    @classmethod
    def for_server(cls, source: IdentitySource) -> Credentials:
        """What a server shows now. Raises `IdentityExpired`."""
        # Read first: should the source rotate in between, the context is made once more than needed, not once less.
        generation, svid = source.generation, source.svid()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        # Without tickets nobody resumes a session past the check of its certificate. Also, a client that only sends
        # would leave them unread, and a socket closed with unread bytes takes back what is still on its way.
        context.num_tickets = 0
        roots = b"".join(bundle for _, bundle in sorted(source.bundles().items()))
        return cls(_filled(context, svid, roots), svid, generation)

    @classmethod
    def for_client(cls, source: IdentitySource, peer: SpiffeId) -> Credentials:
        """What a client of `peer` shows now. Raises `IdentityExpired` and `UnknownTrustDomain`."""
        generation, svid = source.generation, source.svid()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and checks its name
        return cls(_filled(context, svid, source.bundle(peer.trust_domain)), svid, generation)


def server_context(source: IdentitySource) -> ssl.SSLContext:
    """TLS 1.3 for a server that demands an SVID of any trust domain that it knows; `verified_peer` does the rest."""
    return Credentials.for_server(source).context


def client_context(source: IdentitySource, peer: SpiffeId) -> ssl.SSLContext:
    """TLS 1.3 for a client of `peer`; wrap its socket with `server_hostname=peer.dns_name`."""
    return Credentials.for_client(source, peer).context


def verified_peer(sock: ssl.SSLSocket, source: IdentitySource, chain: bytes = b"") -> SpiffeId:
    """The SPIFFE ID at the other end after the handshake; `chain` (PEM) is what the peer sent of its own.

    Raises `PeerNotVerified`, `UnknownTrustDomain`, `IdentityExpired`.
    """
    return verify_leaf(_leaf(sock), source, chain=chain)


class ServerContexts:
    """The credentials for the next handshake of a server: made anew when the source has changed."""

    def __init__(self, source: IdentitySource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._made: Credentials | None = None

    def current(self) -> Credentials:
        """What to show now. Raises `IdentityExpired`."""
        with self._lock:
            if self._made is None or self._made.generation != self._source.generation:
                self._made = Credentials.for_server(self._source)
            return self._made


class Standing:
    """Who is at the other end of an open connection, and whether both SVIDs still hold."""

    def __init__(
        self,
        sock: ssl.SSLSocket,
        source: IdentitySource,
        shown: Credentials,
        chain: bytes = b"",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Verify the peer; raises what `verified_peer` raises."""
        self._source = source
        self._clock = clock
        self._own = shown.svid
        self._generation = source.generation
        self._leaf, self._chain = _leaf(sock), chain
        self.peer = verify_leaf(self._leaf, source, clock(), chain)
        cert = x509.load_pem_x509_certificate(self._leaf)
        starts, self._peer_ends = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
        life = min(self._own.expires - self._own.issued, self._peer_ends - starts)
        self._renew_at = clock() + life / 2

    def check(self) -> None:
        """Raise `IdentityExpired`, `UnknownTrustDomain` or `PeerNotVerified` where the connection may not go on."""
        now, generation = self._clock(), self._source.generation
        if now >= self._own.expires:
            raise IdentityExpired(f"the SVID of {self._own.spiffe_id} that was shown expired")
        # A new generation may have lost the peer's authority.
        if generation != self._generation or now >= self._peer_ends:
            verify_leaf(self._leaf, self._source, now, self._chain)
            self._generation = generation

    @property
    def is_old(self) -> bool:
        """Whether half the life of the shorter SVID went by since the handshake: time for a new connection."""
        return self._clock() >= self._renew_at


def _leaf(sock: ssl.SSLSocket) -> bytes:
    der = sock.getpeercert(binary_form=True)
    if not der:
        raise PeerNotVerified("the peer showed no certificate")
    return ssl.DER_cert_to_PEM_cert(der).encode()


def _filled(context: ssl.SSLContext, svid: Svid, roots: bytes) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # What a bundle holds is trusted as it is, self-signed or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=roots.decode("ascii"))
    with _as_file(svid.key_pem + svid.cert_pem) as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _as_file(secret: bytes) -> Iterator[str]:
    """A path to read `secret` from: `load_cert_chain` takes no bytes. In memory where the system can, else short."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor, named = os.memfd_create("svid"), None
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp(prefix="swl-")  # mode 0600
        named = path
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            yield path
    finally:
        if named is not None:
            os.unlink(named)

"""Who is at the other end: a peer's leaf certificate checked against the trust domain that it claims."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Protocol

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from swarm_lab.errors import IdentityExpired, PeerNotVerified
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import IdentitySource

# A chain as SPIRE makes it under an upstream authority: leaf, intermediate, one more, root.
MAX_INTERMEDIATES = 2
REMEMBERED = 256


class ServerContext(Protocol):
    """The part of gRPC's `ServicerContext` (sync and aio) that tells who calls."""

    def auth_context(self) -> Any:
        """gRPC's findings about the peer: lists of bytes by name."""
        ...


def shown_by(context: ServerContext) -> tuple[bytes, bytes]:
    """The caller's leaf and its whole chain as PEM, unchecked; raises `PeerNotVerified` where there is none.

    gRPC makes the answer anew each time, so a stream that is checked with each message asks once.
    """
    found: Mapping[str, Any] = context.auth_context()
    leaf = b"".join(found.get("x509_pem_cert", ()))
    if not leaf:
        raise PeerNotVerified("the caller showed no certificate")
    return leaf, b"".join(found.get("x509_pem_cert_chain", ()))


def verify_leaf(leaf: bytes, source: IdentitySource, now: float | None = None, chain: bytes = b"") -> SpiffeId:
    """The verified SPIFFE ID in a PEM certificate of a peer; `chain` may hold intermediates.

    gRPC accepts a chain to any of the server's roots, so the leaf is checked here against the bundle of the trust
    domain it claims, with its life, key usage and form. Raises `PeerNotVerified`, `UnknownTrustDomain`,
    `IdentityExpired`.
    """
    now = time.time() if now is None else now
    key = hashlib.sha256(leaf + b"\0" + chain).digest()
    known = _remembered.get(key)
    if known is None:
        cert = _load(leaf)
        spiffe_id = leaf_id(cert)
    else:
        cert, spiffe_id = known[0], known[1]
    _check_life(cert, spiffe_id, now)
    bundle = source.bundle(spiffe_id.trust_domain)
    if known is None or known[2] != bundle:
        _check_chain(cert, spiffe_id, bundle, chain, now)
        _remembered.put(key, (cert, spiffe_id, bundle))
    return spiffe_id


def leaf_id(cert: x509.Certificate) -> SpiffeId:
    """The SPIFFE ID that a leaf claims; raises `PeerNotVerified` when it is no SVID of this project's form."""
    try:
        extensions = cert.extensions
        san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise PeerNotVerified(f"the certificate is not an SVID: {error}") from error
    uris = san.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise PeerNotVerified(f"the certificate has {len(uris)} URI names; an SVID has one")
    try:
        spiffe_id = SpiffeId.parse(uris[0])
    except ValueError as error:
        raise PeerNotVerified(str(error)) from error
    if not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
        raise PeerNotVerified(f"the certificate of {spiffe_id} is not for digital signatures alone")
    if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise PeerNotVerified(f"the certificate of {spiffe_id} is not for clients")
    return spiffe_id


def _load(leaf: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(leaf)
    except ValueError as error:
        raise PeerNotVerified(f"the certificate cannot be read: {error}") from error


def _check_life(cert: x509.Certificate, spiffe_id: SpiffeId, now: float) -> None:
    starts, ends = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
    if now >= ends:
        raise IdentityExpired(f"the SVID of {spiffe_id} expired {now - ends:.0f} s ago")
    if now < starts:
        raise IdentityExpired(f"the SVID of {spiffe_id} is not valid before {starts - now:.0f} s from now")


def _check_chain(cert: x509.Certificate, spiffe_id: SpiffeId, bundle: bytes, chain: bytes, now: float) -> None:
    try:
        intermediates = [c for c in x509.load_pem_x509_certificates(chain) if c != cert] if chain else []
        verifier = (
            PolicyBuilder()
            .store(Store(x509.load_pem_x509_certificates(bundle)))
            .time(datetime.fromtimestamp(now, UTC))
            .max_chain_depth(MAX_INTERMEDIATES)
            .build_client_verifier()
        )
        verifier.verify(cert, intermediates)
    except (VerificationError, ValueError) as error:
        raise PeerNotVerified(
            f"a certificate says {spiffe_id} and is not of the authority of {spiffe_id.trust_domain}"
        ) from error


class _Remembered:
    """Leaves whose chain was checked, with the bundle it was checked against: a call costs a hash, not a proof."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: OrderedDict[bytes, tuple[x509.Certificate, SpiffeId, bytes]] = OrderedDict()

    def get(self, key: bytes) -> tuple[x509.Certificate, SpiffeId, bytes] | None:
        with self._lock:
            return self._entries.get(key)

    def put(self, key: bytes, entry: tuple[x509.Certificate, SpiffeId, bytes]) -> None:
        with self._lock:
            self._entries[key] = entry
            while len(self._entries) > REMEMBERED:
                self._entries.popitem(last=False)


_remembered = _Remembered()

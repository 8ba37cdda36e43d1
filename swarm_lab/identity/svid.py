"""An SVID as the nodes hold it, and what gives one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509

from swarm_lab.errors import UnknownTrustDomain
from swarm_lab.identity.ids import SpiffeId


@dataclass(frozen=True, slots=True)
class Svid:
    """An X.509-SVID: `cert_pem` is the chain, leaf first; `key_pem` its PKCS #8 key; times are unix seconds."""

    spiffe_id: SpiffeId
    cert_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    issued: float
    expires: float

    def facts(self) -> dict[str, object]:
        """For `state.json`: the times of its life, and the serial number of its certificate in hex."""
        serial = x509.load_pem_x509_certificate(self.cert_pem).serial_number
        return {"issued": self.issued, "expires": self.expires, "serial": f"{serial:x}"}


class IdentitySource(Protocol):
    """Where a node's identity and the bundles it trusts come from; safe to call from any thread."""

    @property
    def generation(self) -> int:
        """Counts up whenever the SVID or a bundle changed."""
        ...

    def svid(self) -> Svid:
        """The SVID to show now; raises `IdentityExpired` when the last one is over."""
        ...

    def bundle(self, trust_domain: str) -> bytes:
        """The authorities of one trust domain, PEM; raises `UnknownTrustDomain`."""
        ...

    def bundles(self) -> Mapping[str, bytes]:
        """All bundles by trust domain, PEM."""
        ...


class FixedSource:
    """An identity that stays until it is replaced: for tests and for SVIDs that come from elsewhere."""

    def __init__(self, svid: Svid, bundles: Mapping[str, bytes]) -> None:
        self._state = (1, svid, dict(bundles))

    def replace(self, svid: Svid, bundles: Mapping[str, bytes] | None = None) -> None:
        """Take another SVID (and bundles) from now on."""
        generation, _, old = self._state
        self._state = (generation + 1, svid, old if bundles is None else dict(bundles))

    @property
    def generation(self) -> int:
        """See `IdentitySource`."""
        return self._state[0]

    def svid(self) -> Svid:
        """See `IdentitySource`; the life of a fixed SVID is the peers' to check."""
        return self._state[1]

    def bundle(self, trust_domain: str) -> bytes:
        """See `IdentitySource`."""
        return bundle_of(self._state[2], trust_domain)

    def bundles(self) -> Mapping[str, bytes]:
        """See `IdentitySource`."""
        return self._state[2]


def bundle_of(bundles: Mapping[str, bytes], trust_domain: str) -> bytes:
    """The bundle of a trust domain; raises `UnknownTrustDomain`."""
    try:
        return bundles[trust_domain]
    except KeyError:
        known = ", ".join(sorted(bundles)) or "none"
        raise UnknownTrustDomain(f"no bundle for trust domain {trust_domain!r}; known: {known}") from None

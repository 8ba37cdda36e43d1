"""A leaf certificate against the trust domain that it claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarm_lab.errors import IdentityExpired, PeerNotVerified, UnknownTrustDomain
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.peers import shown_by, verify_leaf
from swarm_lab.identity.svid import FixedSource

HOUR = timedelta(hours=1)
US = SpiffeId("a.swarm", "sl", "sl-1")
PEER = SpiffeId("a.swarm", "sl", "sl-2")
A, B = Authority.create("a.swarm"), Authority.create("b.swarm")
SOURCE = FixedSource(A.issue(US, HOUR), {"a.swarm": A.bundle, "b.swarm": B.bundle})


class Context:
    def __init__(self, **found: list[bytes]) -> None:
        self._found = found

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._found


def leaf(uris: list[str], usages: list[x509.ObjectIdentifier] | None = None, *, ca: bool = False) -> bytes:
    """A certificate that no issuer of ours would make, signed with A's key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    names = [x509.UniformResourceIdentifier(uri) for uri in uris] or [x509.DNSName("sl-2.a.swarm")]
    issuer = x509.load_pem_x509_certificate(A.bundle)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.KeyUsage(True, False, False, False, False, ca, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages or [ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(A._key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_an_honest_peer_is_who_it_says() -> None:
    theirs = SpiffeId("b.swarm", "sn", "sentinel")
    assert verify_leaf(A.issue(PEER, HOUR).cert_pem, SOURCE) == PEER
    assert verify_leaf(B.issue(theirs, HOUR).cert_pem, SOURCE) == theirs


@pytest.mark.parametrize("times", [1, 2])
def test_a_federated_authority_cannot_speak_for_ours(times: int) -> None:
    forged = B.issue(PEER, HOUR).cert_pem
    for _ in range(times):
        with pytest.raises(PeerNotVerified, match=r"not of the authority of a\.swarm"):
            verify_leaf(forged, SOURCE)


def test_a_trust_domain_without_a_bundle_is_named() -> None:
    stranger = SpiffeId("c.swarm", "sl", "sl-1")
    with pytest.raises(UnknownTrustDomain, match=r"c\.swarm"):
        verify_leaf(A.issue(stranger, HOUR).cert_pem, SOURCE)


def test_a_life_is_looked_at_each_time() -> None:
    svid = A.issue(PEER, HOUR)
    assert verify_leaf(svid.cert_pem, SOURCE, svid.expires - 1) == PEER
    with pytest.raises(IdentityExpired, match="expired"):
        verify_leaf(svid.cert_pem, SOURCE, svid.expires + 1)
    with pytest.raises(IdentityExpired, match="not valid before"):
        verify_leaf(svid.cert_pem, SOURCE, svid.issued - 120)


def test_a_proof_does_not_outlive_the_bundle_it_was_made_with() -> None:
    svid = A.issue(PEER, HOUR)
    source = FixedSource(A.issue(US, HOUR), {"a.swarm": A.bundle})
    assert verify_leaf(svid.cert_pem, source) == PEER
    source.replace(source.svid(), {"a.swarm": Authority.create("a.swarm").bundle})
    with pytest.raises(PeerNotVerified):
        verify_leaf(svid.cert_pem, source)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["spiffe://a.swarm/sl/sl-2", "spiffe://a.swarm/sl/sl-3"],
        ["https://a.swarm/sl/sl-2"],
        ["spiffe://a.swarm"],
        ["spiffe://a.swarm/sl/sl-2/more"],
        ["spiffe://A.swarm/sl/sl-2"],
    ],
)
def test_only_one_uri_of_our_form_is_an_identity(uris: list[str]) -> None:
    with pytest.raises(PeerNotVerified):
        verify_leaf(leaf(uris), SOURCE)


def test_a_certificate_for_another_use_is_no_client() -> None:
    with pytest.raises(PeerNotVerified, match="not for clients"):
        verify_leaf(leaf([str(PEER)], [ExtendedKeyUsageOID.SERVER_AUTH]), SOURCE)
    with pytest.raises(PeerNotVerified, match="digital signatures"):
        verify_leaf(leaf([str(PEER)], ca=True), SOURCE)


def test_the_authority_itself_is_no_peer() -> None:
    with pytest.raises(PeerNotVerified):
        verify_leaf(A.bundle, SOURCE)


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(PeerNotVerified, match="cannot be read"):
        verify_leaf(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", SOURCE)
    with pytest.raises(PeerNotVerified, match="no certificate"):
        shown_by(Context())
    leaf, chain = shown_by(Context(x509_pem_cert=[A.issue(PEER, HOUR).cert_pem]))
    assert verify_leaf(leaf, SOURCE, chain=chain) == PEER

"""The dev authority: what it signs and how it lies on disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from spiffe import X509Svid

from swarm_lab.errors import AuthorityDamaged
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.ids import SpiffeId

NODE = SpiffeId("demo.swarm", "sl", "sl-1")


def test_an_svid_is_one_for_the_standard_library() -> None:
    svid = Authority.create("demo.swarm").issue(NODE, timedelta(minutes=10))
    assert str(X509Svid.parse(svid.cert_pem, svid.key_pem).spiffe_id) == str(NODE)
    cert = x509.load_pem_x509_certificate(svid.cert_pem)
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(NODE)]
    assert names.get_values_for_type(x509.DNSName) == ["sl-1.demo.swarm"]
    purposes = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    key = cert.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert 598 <= svid.expires - svid.issued <= 600


def test_an_svid_does_not_show_its_key() -> None:
    svid = Authority.create("demo.swarm").issue(NODE, timedelta(minutes=10))
    assert "PRIVATE" not in repr(svid)


def test_the_authority_survives_a_restart_and_is_private(tmp_path: Path) -> None:
    first = Authority.load_or_create(tmp_path / "identity", "demo.swarm")
    again = Authority.load_or_create(tmp_path / "identity", "demo.swarm")
    assert first.bundle == again.bundle
    files = sorted((tmp_path / "identity").iterdir())
    assert [path.name for path in files] == ["ca.key", "ca.pem"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_an_authority_that_was_half_written_is_made_anew(tmp_path: Path) -> None:
    first = Authority.load_or_create(tmp_path, "demo.swarm")
    (tmp_path / "ca.pem").unlink()
    second = Authority.load_or_create(tmp_path, "demo.swarm")
    assert second.bundle != first.bundle
    assert Authority.load_or_create(tmp_path, "demo.swarm").bundle == second.bundle


def test_a_damaged_or_foreign_authority_is_named(tmp_path: Path) -> None:
    Authority.load_or_create(tmp_path, "demo.swarm")
    with pytest.raises(AuthorityDamaged, match=r"other\.swarm"):
        Authority.load_or_create(tmp_path, "other.swarm")
    good = (tmp_path / "ca.key").read_bytes()
    Authority.load_or_create(tmp_path / "second", "demo.swarm")
    (tmp_path / "ca.key").write_bytes((tmp_path / "second" / "ca.key").read_bytes())
    with pytest.raises(AuthorityDamaged, match="not the key"):
        Authority.load_or_create(tmp_path, "demo.swarm")
    (tmp_path / "ca.key").write_bytes(good[:40])
    with pytest.raises(AuthorityDamaged):
        Authority.load_or_create(tmp_path, "demo.swarm")

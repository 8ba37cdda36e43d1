"""The dev swarm's certificate authority: one key on disk that signs SVIDs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarm_lab.errors import AuthorityDamaged
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import Svid

# The authority is not rotated: a dev swarm that needs this uses SPIRE, which speaks the same API.
AUTHORITY_LIFE = timedelta(days=3650)
# Clocks of one machine agree, but a second may fall between issuing and checking.
BACKDATING = timedelta(seconds=30)


class Authority:
    """Signs SVIDs of one trust domain with a P-256 key."""

    def __init__(self, trust_domain: str, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate) -> None:
        self.trust_domain = trust_domain
        self._key = key
        self._cert = cert

    @classmethod
    def create(cls, trust_domain: str, now: datetime | None = None) -> Authority:
        """A new authority, in memory only."""
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "swarm-lab"),
                x509.NameAttribute(NameOID.COMMON_NAME, trust_domain[:64]),
            ]
        )
        ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        cert = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATING)
            .not_valid_after(now + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(ski, critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        return cls(trust_domain, key, cert)

    @classmethod
    def load_or_create(cls, directory: Path, trust_domain: str) -> Authority:
        """The authority kept in `directory` (`ca.key`, `ca.pem`), made there at the first call.

        Raises `AuthorityDamaged` when what lies there cannot be used.
        """
        key_path, cert_path = directory / "ca.key", directory / "ca.pem"
        if key_path.exists() and cert_path.exists():
            return cls._load(key_path, cert_path, trust_domain)
        authority = cls.create(trust_domain)
        directory.mkdir(parents=True, exist_ok=True)
        # The certificate is written last: without it the pair does not exist and is made anew.
        cert_path.unlink(missing_ok=True)
        _write_private(key_path, _key_pem(authority._key))
        _write_private(cert_path, authority.bundle)
        return authority

    @classmethod
    def _load(cls, key_path: Path, cert_path: Path, trust_domain: str) -> Authority:
        try:
            key = load_pem_private_key(key_path.read_bytes(), None)
            cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
            san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, OSError, x509.ExtensionNotFound) as error:
            raise AuthorityDamaged(f"{key_path.parent}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
            raise AuthorityDamaged(f"{key_path} is not the key of {cert_path}")
        uris = san.get_values_for_type(x509.UniformResourceIdentifier)
        if uris != [f"spiffe://{trust_domain}"]:
            raise AuthorityDamaged(f"{cert_path} is of {uris}, this swarm is spiffe://{trust_domain}")
        return cls(trust_domain, key, cert)

    @property
    def bundle(self) -> bytes:
        """The trust domain's bundle, PEM."""
        return self._cert.public_bytes(Encoding.PEM)

    @property
    def expires(self) -> float:
        """When the authority itself ends, unix seconds."""
        return self._cert.not_valid_after_utc.timestamp()

    def issue(self, spiffe_id: SpiffeId, life: timedelta, now: datetime | None = None) -> Svid:
        """A new key with an SVID for `spiffe_id`: URI and DNS names, for servers and clients.

        The trust domain of `spiffe_id` is not compared with the authority's: the issuer does this, and tests forge.
        """
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._key.public_key()
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(str(spiffe_id)),
            x509.DNSName(spiffe_id.dns_name),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        cert = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "swarm-lab")]))
            .issuer_name(self._cert.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATING)
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        expires = cert.not_valid_after_utc.timestamp()
        return Svid(spiffe_id, cert.public_bytes(Encoding.PEM), _key_pem(key), now.timestamp(), expires)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 in one step."""
    temporary = path.with_suffix(f"{path.suffix}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

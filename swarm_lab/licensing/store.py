"""Where this user's license lies: the installed file, the key that signs here, the keys that are trusted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from filelock import FileLock

from swarm_lab.errors import LicenseTampered, NoLicense, UnknownIssuer
from swarm_lab.licensing import token
from swarm_lab.licensing.token import License

COMMUNITY_SEATS = {"sn": 100, "sl": 100, "swci": 100}
COMMUNITY_FEATURES = ("trainings",)
_LOCK_LIMIT_S = 30.0


def license_root() -> Path:
    """The directory of this user's license, common to all swarms; `XDG_DATA_HOME` moves it."""
    return platformdirs.user_data_path("swarm-lab") / "license"


@dataclass(frozen=True, slots=True)
class LicenseStore:
    """The license directory: `license.jwt`, `issuer.key` (0600), `issuers/<key id>.pem`, `leases.db`."""

    root: Path

    @property
    def path(self) -> Path:
        """The installed license."""
        return self.root / "license.jwt"

    @property
    def leases(self) -> Path:
        """The leases of all swarms that use this license, and the highest time seen."""
        return self.root / "leases.db"

    def ensure(self, clock: Callable[[], float] = time.time) -> License:
        """The installed license; makes a community license where there has been none. Raises what `read` raises."""
        with self._lock():
            if not self.path.exists():
                community = token.make(
                    self._own_key(),
                    holder="community",
                    seats=COMMUNITY_SEATS,
                    features=COMMUNITY_FEATURES,
                    issued=int(clock()),
                    expires=None,
                )
                _write(self.path, community.encode() + b"\n")
        return self.read()

    def read(self) -> License:
        """The installed license, its signature checked against the trusted keys; raises a license error."""
        try:
            text = self.path.read_text("ascii").strip()
        except FileNotFoundError as error:
            raise NoLicense(f"there is no license in {self.root}") from error
        except UnicodeDecodeError as error:
            raise LicenseTampered(f"{self.path} is not a license file") from error
        except OSError as error:
            raise NoLicense(f"the license cannot be read: {error}") from error
        return token.read(text, self.trusted())

    def issue(self, **values: object) -> str:
        """Sign a license with this machine's key (made now where there is none); `values` as in `token.make`."""
        with self._lock():
            return token.make(self._own_key(), **values)  # type: ignore[arg-type]

    def check(self, text: str) -> License:
        """What a license file grants, if a trusted key signed it; raises a license error."""
        return token.read(text.strip(), self.trusted())

    def install(self, text: str) -> License:
        """Check a license and put it in the place of the installed one, in one step; raises a license error."""
        license = self.check(text)
        with self._lock():
            _write(self.path, text.strip().encode("ascii") + b"\n")
        return license

    def trust(self, pem: bytes) -> str:
        """Trust licenses signed by this public key (PEM, Ed25519); returns its id. Raises `UnknownIssuer`."""
        key = _public_key(pem, "the issuer's key")
        with self._lock():
            return self._keep(key)

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """The trusted keys by key id."""
        keys = [_public_key(path.read_bytes(), str(path)) for path in sorted(self.root.glob("issuers/*.pem"))]
        return {token.key_id(key): key for key in keys}

    def public_key(self) -> bytes:
        """This machine's public key as PEM, to be trusted by others; made now where there is none."""
        with self._lock():
            return _pem(self._own_key().public_key())

    def _lock(self) -> FileLock:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(str(self.root / "lock"), timeout=_LOCK_LIMIT_S, mode=0o600)

    def _own_key(self) -> Ed25519PrivateKey:
        path = self.root / "issuer.key"
        if path.exists():
            key = load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise UnknownIssuer(f"{path} is not an Ed25519 key")
        else:
            key = Ed25519PrivateKey.generate()
            _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._keep(key.public_key())
        return key

    def _keep(self, key: Ed25519PublicKey) -> str:
        name = token.key_id(key)
        path = self.root / "issuers" / f"{name}.pem"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write(path, _pem(key))
        return name


def _public_key(pem: bytes, name: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise UnknownIssuer(f"{name} is not a public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UnknownIssuer(f"{name} is not an Ed25519 key")
    return key


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, readable by its owner only, on the disk when this returns."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)

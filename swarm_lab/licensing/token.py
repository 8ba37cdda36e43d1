"""The license file: an EdDSA-signed JWT that names holder, features, seats per kind of node, and its last moment."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Annotated, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarm_lab.errors import LicenseTampered, OtherVersion, UnknownIssuer

TOKEN_VERSION = 1
_TYPE = "swarm-lab-license+jwt"
_AUDIENCE = "swarm-lab"
MAX_BYTES = 16_384

# What a node is counted as is the role in its identity; other roles need no seat.
SEAT_KINDS = ("sn", "sl", "swci")

Seats = dict[Literal["sn", "sl", "swci"], Annotated[int, Field(ge=0, le=1_000_000)]]


class License(BaseModel):
    """What a license grants. `issued` and `expires` are unix seconds; no `expires` means no end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[1] = 1
    aud: Literal["swarm-lab"] = "swarm-lab"
    id: Annotated[str, Field(alias="jti", min_length=1, max_length=64)]
    holder: Annotated[str, Field(alias="sub", min_length=1, max_length=200)]
    issuer: Annotated[str, Field(alias="iss", pattern=r"[0-9a-f]{16}")]
    issued: Annotated[int, Field(alias="iat")]
    expires: Annotated[int | None, Field(alias="exp")] = None
    features: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")], ...] = ()
    seats: Seats

    def to_dict(self) -> dict[str, object]:
        """What `license show` prints of the file."""
        return self.model_dump(mode="json", by_alias=False, exclude={"v", "aud"})


def key_id(key: Ed25519PublicKey) -> str:
    """16 hex digits that name a key: the beginning of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def make(
    key: Ed25519PrivateKey,
    *,
    holder: str,
    seats: Mapping[str, int],
    features: tuple[str, ...],
    issued: int,
    expires: int | None,
) -> str:
    """Sign a new license; raises pydantic's `ValidationError` for values that no license may have."""
    issuer = key_id(key.public_key())
    values = {"jti": uuid.uuid4().hex, "sub": holder, "iss": issuer, "iat": issued, "exp": expires}
    license = License.model_validate({**values, "features": features, "seats": dict(seats)})
    claims = license.model_dump(mode="json", by_alias=True, exclude_none=True)
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"typ": _TYPE, "kid": issuer})


def read(token: str, trusted: Mapping[str, Ed25519PublicKey]) -> License:
    """Check a license file's signature and form; says nothing of the time.

    Raises `UnknownIssuer` when no key of `trusted` (by key id) signed it, `LicenseTampered` for anything that is not
    what that key signed, `OtherVersion` for a format of another version.
    """
    if len(token) > MAX_BYTES:
        raise LicenseTampered(f"the license file is larger than {MAX_BYTES} bytes")
    try:
        header = jwt.get_unverified_header(token)
        issuer = header.get("kid")
        if header.get("typ") != _TYPE or not isinstance(issuer, str):
            raise LicenseTampered("the file is a signed token, and not a license")
        if issuer not in trusted:
            raise UnknownIssuer(f"the license is signed by key {issuer[:16]!r}, which is not trusted here")
        claims = jwt.decode(
            token,
            trusted[issuer],
            algorithms=["EdDSA"],
            audience=_AUDIENCE,
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.PyJWTError as error:
        raise LicenseTampered(f"the license's signature does not hold: {error}") from error
    if claims.get("v") != TOKEN_VERSION:
        raise OtherVersion(f"the license has format version {claims.get('v')!r}; this package reads {TOKEN_VERSION}")
    try:
        license = License.model_validate(claims)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise LicenseTampered(f"the license's field {where!r} is missing or malformed") from error
    if license.issuer != issuer:
        raise LicenseTampered(f"the license names the issuer {license.issuer}, and {issuer} signed it")
    return license

"""License files: what is signed is what is read; everything else is refused with its own error."""

import base64
import json
import stat

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from swarm_lab.errors import LicenseTampered, NoLicense, OtherVersion, UnknownIssuer
from swarm_lab.licensing import token
from swarm_lab.licensing.store import LicenseStore

KEY = Ed25519PrivateKey.generate()
TRUSTED = {token.key_id(KEY.public_key()): KEY.public_key()}


def made(key=KEY, **changes):
    values = {"holder": "acme", "seats": {"sl": 4}, "features": ("trainings",), "issued": 1000, "expires": 2000}
    return token.make(key, **{**values, **changes})


def forged(claims=None, header=None, key=KEY, algorithm="EdDSA"):
    """A license with other claims or headers, signed by `key`."""
    good = jwt.decode(made(), options={"verify_signature": False})
    heads = {"typ": "swarm-lab-license+jwt", "kid": token.key_id(KEY.public_key())}
    return jwt.encode({**good, **(claims or {})}, key, algorithm=algorithm, headers={**heads, **(header or {})})


def test_round_trip():
    license = token.read(made(), TRUSTED)
    assert (license.holder, license.seats, license.features) == ("acme", {"sl": 4}, ("trainings",))
    assert (license.issued, license.expires) == (1000, 2000)
    assert token.read(made(expires=None), TRUSTED).expires is None


def test_changed_payload():
    head, payload, signature = made().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["seats"]["sl"] = 400
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    with pytest.raises(LicenseTampered):
        token.read(f"{head}.{payload}.{signature}", TRUSTED)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", made()[:-8], made() * 200])
def test_damaged(text):
    with pytest.raises(LicenseTampered):
        token.read(text, TRUSTED)


def test_other_key_with_our_id():
    other = Ed25519PrivateKey.generate()
    with pytest.raises(LicenseTampered):
        token.read(forged(key=other), TRUSTED)


def test_untrusted_key():
    with pytest.raises(UnknownIssuer):
        token.read(made(Ed25519PrivateKey.generate()), TRUSTED)


def test_no_algorithm_and_shared_secret():
    with pytest.raises(LicenseTampered):
        token.read(forged(key="", algorithm="none"), TRUSTED)
    with pytest.raises(LicenseTampered):
        token.read(forged(key="public bytes used as a secret, 32 or more", algorithm="HS256"), TRUSTED)


def test_other_kind_of_token():
    with pytest.raises(LicenseTampered, match="not a license"):
        token.read(forged(header={"typ": "JWT"}), TRUSTED)
    with pytest.raises(LicenseTampered):
        token.read(forged({"aud": "another"}), TRUSTED)


def test_other_version_names_both():
    with pytest.raises(OtherVersion, match=r"version 2.* 1"):
        token.read(forged({"v": 2}), TRUSTED)


@pytest.mark.parametrize(
    "claims", [{"seats": {"sl": -1}}, {"seats": {"gpu": 1}}, {"iat": "soon"}, {"more": 1}, {"iss": "0" * 16}]
)
def test_malformed_claims(claims):
    with pytest.raises(LicenseTampered):
        token.read(forged(claims), TRUSTED)


def test_cannot_make_nonsense():
    with pytest.raises(ValidationError):
        made(seats={"sl": -2})


def test_community_license_is_made_once(tmp_path):
    store = LicenseStore(tmp_path / "license")
    with pytest.raises(NoLicense):
        store.read()
    first = store.ensure(lambda: 5000.0)
    assert (first.holder, first.issued, first.expires) == ("community", 5000, None)
    assert store.ensure(lambda: 9000.0) == first
    for path in (store.path, store.root / "issuer.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_install_needs_a_trusted_issuer(tmp_path):
    here, there = LicenseStore(tmp_path / "here"), LicenseStore(tmp_path / "there")
    text = there.issue(holder="x", seats={"sl": 1}, features=(), issued=1, expires=None)
    here.ensure()
    with pytest.raises(UnknownIssuer):
        here.install(text)
    assert here.read().holder == "community"
    with pytest.raises(UnknownIssuer):
        here.trust(b"not a key")
    here.trust(there.public_key())
    assert here.install(text).holder == "x"
    assert here.read().holder == "x"


def test_edited_file_is_refused(tmp_path):
    store = LicenseStore(tmp_path)
    store.ensure()
    store.path.write_bytes(b"\xff\xfe")
    with pytest.raises(LicenseTampered):
        store.read()

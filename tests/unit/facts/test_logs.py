"""Log lines: their form, their context, and that no key ever gets into one."""

import io
import json
import logging
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from eth_account import Account

from swarm_lab.facts import logs
from swarm_lab.nodes.config import NodeConfig


class Gone(io.StringIO):
    """A pipe whose reader was killed."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError("reader is gone")


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return NodeConfig(
        swarm="demo", name="sl-1", kind="sl", trust_domain="demo.swarm",
        directory=tmp_path, swarm_dir=tmp_path, run_dir=tmp_path,
    )  # fmt: skip


@pytest.fixture
def out(config: NodeConfig):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(config, stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.captureWarnings(False)


log = logging.getLogger("swarm_lab.test")


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_has_place_context_and_fields(out):
    with logs.bound(training="t-1", round=3):
        log.info("round %d", 3, extra={"seconds": 0.5, "nodes": ["sl-1", "sl-2"], "loss": float("nan")})
    log.info("after")
    first, after = lines(out)
    assert first["message"] == "round 3"
    assert (first["swarm"], first["node"], first["training"], first["round"]) == ("demo", "sl-1", "t-1", 3)
    assert (first["seconds"], first["nodes"], first["loss"]) == (0.5, ["sl-1", "sl-2"], "nan")
    assert first["level"] == "info"
    assert first["time"].endswith("+00:00")
    assert "training" not in after


def test_fields_cannot_displace_the_lines_own(out):
    log.info("hello", extra={"node": "sl-9", "time": 1})
    (line,) = lines(out)
    assert (line["node"], line["field_node"], line["field_time"]) == ("sl-1", "sl-9", 1)


def test_traceback_is_one_line(out):
    try:
        raise ValueError("bad value")
    except ValueError:
        log.exception("failed")
    (line,) = lines(out)
    assert "ValueError: bad value" in line["traceback"]


def secrets() -> list[str]:
    eth = "0x" + bytes(Account.create().key).hex()
    pems = [
        key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()))
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
        if not (form is PrivateFormat.TraditionalOpenSSL and isinstance(key, ed25519.Ed25519PrivateKey))
    ]
    token = jwt.encode({"sub": "x"}, ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA")
    return [eth, *pems, token]


def body(secret: str) -> str:
    """The part of a secret that must not appear: without PEM's first line."""
    return secret.splitlines()[1] if secret.startswith("-----") else secret[8:]


@pytest.mark.parametrize("secret", secrets(), ids=["eth", "ed25519", "p256", "p256-sec1", "jwt"])
def test_no_secret_gets_through(out, secret):
    log.info("key is %s.", secret)
    log.info("key", extra={"value": secret, "deep": {"list": [f"a {secret}"]}, secret: 1})
    log.info("key", extra={"tx": f"note {secret}", "raw": secret.encode()})
    try:
        raise RuntimeError(f"cannot use {secret}")
    except RuntimeError:
        log.exception("failed")
    assert body(secret) not in out.getvalue()
    assert len(lines(out)) == 4


def test_cut_off_key_and_named_secrets(out):
    log.info("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIF")
    log.info("x", extra={"password": "hunter2", "admin_token": "abc"})
    assert "MC4C" not in out.getvalue()
    assert "hunter2" not in out.getvalue()
    assert "abc" not in out.getvalue()


def test_hash_in_its_field_stays(out):
    tx = "0x" + "ab" * 32
    log.info("committed", extra={"tx": tx, "digest": "cd" * 32})
    (line,) = lines(out)
    assert (line["tx"], line["digest"]) == (tx, "cd" * 32)


def test_lost_stderr_goes_on_in_the_nodes_file(config, out):
    logs.configure(config, Gone())
    log.info("one")
    log.info("two")
    written = [json.loads(x) for x in (config.directory / "log.jsonl").read_text().splitlines()]
    assert [x["message"] for x in written] == ["stderr is lost: reader is gone", "one", "two"]


def test_wrong_arguments_do_not_raise(out, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info("%d", "x")
    log.info("fine")
    assert [x["message"] for x in lines(out)] == ["fine"]

"""Structured logs: a JSON object a line on stderr, with swarm, node, training and round; never a secret.

    logs.configure(config)                       # once, in a node's main program: `nodes.run` does it
    log = logging.getLogger(__name__)
    with logs.bound(training="t-3f9a2c", round=7):
        log.info("round committed", extra={"tx": tx_hash, "seconds": 0.4})

What looks like a key is removed from messages, fields and tracebacks. A transaction's hash has the form of
a private key, so pass hashes as one of the fields in `PUBLIC_FIELDS`; in a message they are removed.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from swarm_lab.nodes.config import NodeConfig

REMOVED = "[secret removed]"
PUBLIC_FIELDS = frozenset({"tx", "block", "root", "digest", "result", "prev", "model", "program"})
MAX_TEXT = 20_000
FALLBACK_BYTES = 10_000_000

_SECRETS = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*"  # a JWT: three base64url parts, the first a JSON object
    r"|\b0x[0-9a-fA-F]{64}(?![0-9a-fA-F])",  # 32 bytes in hex: an Ethereum private key
    re.DOTALL,
)
_SECRET_NAMES = re.compile(r"(^|_)(secret|password|passwd|private_key|key_pem|pem|jwt|token|mnemonic)($|_)", re.I)
_OWN_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LINE_FIELDS = frozenset({"time", "level", "logger", "message", "swarm", "node", "traceback"})
_LOUD = ("grpc", "urllib3", "web3", "asyncio", "hpack", "grpclib", "spiffe")

_training: ContextVar[str | None] = ContextVar("training", default=None)
_round: ContextVar[int | None] = ContextVar("round", default=None)


@contextmanager
def bound(training: str | None = None, round: int | None = None) -> Iterator[None]:
    """Every log line inside, also of tasks started inside, says this training and round."""
    outer = _training.get(), _round.get()
    if training is not None:
        _training.set(training)
    if round is not None:
        _round.set(round)
    try:
        yield
    finally:
        _training.set(outer[0])
        _round.set(outer[1])


def set_round(round: int | None) -> None:
    """Log lines of this task say `round` from now on."""
    _round.set(round)


def redact(text: str) -> str:
    """`text` without PEM private keys, JWTs and 32-byte keys in 0x hex."""
    return _SECRETS.sub(REMOVED, text)


def _clean(name: str, value: object) -> object:
    """`value` as JSON knows it, without secrets; bytes only by their length, since they may be a key."""
    if _SECRET_NAMES.search(name):
        return REMOVED
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {redact(str(k)): _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(name, item) for item in value]
    text = str(value)
    if name in PUBLIC_FIELDS and re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        return text
    return redact(text)[:MAX_TEXT]


class JsonFormatter(logging.Formatter):
    """Makes the line; what it returns holds no secret and no newline."""

    def __init__(self, swarm: str, node: str) -> None:
        super().__init__()
        self._place = {"swarm": swarm, "node": node}

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object: time (ISO, UTC), level, logger, message, swarm, node; then what else is known."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage())[:MAX_TEXT],
            **self._place,
        }
        for name, value in (("training", _training.get()), ("round", _round.get())):
            if value is not None:
                line[name] = value
        for name, value in record.__dict__.items():
            if name not in _OWN_FIELDS:
                line[redact(f"field_{name}" if name in _LINE_FIELDS else name)] = _clean(name, value)
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))[-MAX_TEXT:]
        return json.dumps(line)


class NodeHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr; when its reader is gone (a killed supervisor), to the node's own log file instead."""

    def __init__(self, stream: TextIO, fallback: Path) -> None:
        super().__init__(stream)
        self._path = fallback
        self._file: RotatingFileHandler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; never raises."""
        if self._file is not None:
            self._file.emit(record)
            return
        try:
            line = self.format(record)
        except (
            TypeError,
            ValueError,
            KeyError,
        ):  # the arguments do not fit the message: a mistake of the caller
            self.handleError(record)
            return
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._open_file(error)
            self.emit(record)

    def _open_file(self, error: Exception) -> None:
        self._file = RotatingFileHandler(self._path, maxBytes=FALLBACK_BYTES, backupCount=1, delay=True)
        self._file.setFormatter(self.formatter)
        self._file.emit(
            logging.makeLogRecord({"name": __name__, "levelname": "WARNING", "msg": f"stderr is lost: {error}"})
        )


def configure(config: NodeConfig, stream: TextIO | None = None) -> None:
    """Send all logging of this process, warnings included, to `stream` (default stderr) as JSON lines.

    The level is `config.options["log_level"]`, `info` by default. May be called again.
    """
    handler = NodeHandler(stream or sys.stderr, config.directory / "log.jsonl")
    handler.setFormatter(JsonFormatter(config.swarm, config.name))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.options.get("log_level", "info").upper())
    logging.captureWarnings(True)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)

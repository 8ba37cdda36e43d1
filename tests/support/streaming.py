"""What tests of the tensor streams share: identities, a sink that keeps what comes, both ends, bare sockets."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from swarm_lab.identity.authority import Authority
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.streams import client_context
from swarm_lab.identity.svid import FixedSource, IdentitySource, Svid
from swarm_lab.nodes import frames
from swarm_lab.nodes.frames import Head, Hello, Refusal
from swarm_lab.nodes.stream_wire import Line
from swarm_lab.nodes.streams import StreamClient, StreamServer
from swarm_lab.rounds.codec import BadMessage

HOUR = timedelta(hours=1)
SERVER = SpiffeId("a.swarm", "sl", "sl-1")
PEER = SpiffeId("a.swarm", "sl", "sl-2")
WAIT_S = 15.0
BLOCK = Head("t", "BLOCK")


def source(authority: Authority, who: SpiffeId, *also: Authority, **issue: Any) -> FixedSource:
    bundles = {one.trust_domain: one.bundle for one in (authority, *also)}
    return FixedSource(authority.issue(who, issue.pop("life", HOUR), **issue), bundles)


def below_an_intermediate(*who: SpiffeId) -> list[FixedSource]:
    """Sources of one trust domain whose authority stands below a root: the bundle has the root alone."""
    middle, key = Authority.create("a.swarm"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])

    def certificate(subject: x509.Name, public: Any, length: int) -> bytes:
        now = datetime.now(UTC)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - HOUR).not_valid_after(now + HOUR)
        for extension, critical in (
            (x509.BasicConstraints(True, length), True),
            (usage, True),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)

    root = certificate(name, key.public_key(), 1)
    between = certificate(middle._cert.subject, middle._key.public_key(), 0)
    svids = [middle.issue(one, HOUR) for one in who]
    return [
        FixedSource(Svid(s.spiffe_id, s.cert_pem + between, s.key_pem, s.issued, s.expires), {"a.swarm": root})
        for s in svids
    ]


class Kept:
    """A sink: bodies go to memory of its own; what happened waits in queues."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.most = limit
        self.placed: queue.Queue[tuple[SpiffeId, Head, int]] = queue.Queue()
        self.came: queue.Queue[tuple[SpiffeId, str, Head, bytes | memoryview | None]] = queue.Queue()
        self.gone: queue.Queue[Head] = queue.Queue()
        self.refusals: queue.Queue[tuple[SpiffeId, Head | None, str]] = queue.Queue()
        self.memory: bytearray | None = None  # one for all frames; else one for each

    def limit(self, head: Head) -> int:
        return self.most

    def place(self, peer: SpiffeId, instance: str, head: Head, nbytes: int) -> memoryview | None:
        self.placed.put((peer, head, nbytes))
        if head.name == "drop":
            return None
        if head.name == "bad place":
            raise BadMessage("not wanted")
        if head.name == "wrong size":
            return memoryview(bytearray(nbytes + 1))
        return memoryview(self.memory if self.memory is not None else bytearray(nbytes))

    def arrived(self, peer: SpiffeId, instance: str, head: Head, body: memoryview | None) -> None:
        if head.name == "bad body":
            raise BadMessage("not believed")
        self.came.put((peer, instance, head, body))

    def lost(self, peer: SpiffeId, instance: str, head: Head) -> None:
        self.gone.put(head)

    def refuse(self, peer: SpiffeId, head: Head | None, reason: str) -> None:
        self.refusals.put((peer, head, reason))

    def body(self) -> bytes | memoryview | None:
        return self.came.get(timeout=WAIT_S)[3]


@contextlib.contextmanager
def serving(ours: IdentitySource, sink: Kept, **more: Any) -> Iterator[StreamServer]:
    server = StreamServer(ours, sink, "server", more.pop("admit", lambda peer: True), **more)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def sending(ours: IdentitySource, port: int, peer: SpiffeId = SERVER, **more: Any) -> Iterator[Outgoing]:
    client = StreamClient(ours, peer, "127.0.0.1", port, "client", **more)
    try:
        yield Outgoing(client)
    finally:
        client.close()


class Outgoing:
    """A client, and how each of its frames ended."""

    def __init__(self, client: StreamClient) -> None:
        self.client = client
        self.ends: queue.Queue[tuple[bool, float, int]] = queue.Queue()

    def send(self, head: Head = BLOCK, body: Any = None, urgent: bool = False) -> bool:
        return self.client.send(head, body, lambda *end: self.ends.put(end), urgent)

    def ended(self) -> bool:
        """Whether the next frame was sent."""
        return self.ends.get(timeout=WAIT_S)[0]

    def goes(self, head: Head = BLOCK, body: Any = None) -> bool:
        """Send one and say how it ended."""
        assert self.send(head, body)
        return self.ended()


class Bare:
    """A peer by hand: what a hostile or broken one does on a connection."""

    def __init__(
        self, ours: IdentitySource, port: int, peer: SpiffeId = SERVER, context: ssl.SSLContext | None = None
    ) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        context = context or client_context(ours, peer)
        self.sock: ssl.SSLSocket = context.wrap_socket(raw, server_hostname=peer.dns_name)
        self.line = Line(self.sock)

    def greet(self, hello: Hello | None = None) -> Hello | Refusal:
        self.sock.sendall(frames.encode(hello or frames.greeting("bare", b"")))
        return self.answer()

    def answer(self) -> Hello | Refusal:
        found = self.line.next(lambda: WAIT_S)
        assert found is not None
        return frames.decode_answer(found[0])

    def ended(self) -> bool:
        """Whether the server closes, whatever it says before."""
        try:
            while self.sock.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return True

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()


class Lines(logging.Handler):
    """Log lines of one end, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[logging.LogRecord] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put(record)

    def reason(self, wanted: Callable[[str], bool]) -> str:
        """The next reason of that kind."""
        while True:
            reason = str(getattr(self.lines.get(timeout=WAIT_S), "reason", ""))
            if wanted(reason):
                return reason


@contextlib.contextmanager
def lines(end: str = "stream_server") -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger(f"swarm_lab.nodes.{end}")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)

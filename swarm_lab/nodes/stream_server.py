"""The receiving end of the tensor streams: who gets in, and where the bytes of each frame go."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol

from swarm_lab.errors import RoleRefused, SwarmLabError
from swarm_lab.facts import metrics
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.streams import Credentials, ServerContexts, Standing
from swarm_lab.identity.svid import IdentitySource
from swarm_lab.nodes import frames
from swarm_lab.nodes.frames import Head
from swarm_lab.nodes.stream_wire import HANDSHAKE_S, STALL_S, Greeted, Line, Patience, handshake, tune
from swarm_lab.rounds.codec import BadMessage

log = logging.getLogger(__name__)

PER_PEER, IN_ALL = 4, 1024
_CLOSE_S = 1.8
_EMPTY = memoryview(b"")


class Sink(Protocol):
    """Takes frames, on the threads of the connections. `place` and `arrived` may raise `BadMessage`."""

    def limit(self, head: Head) -> int:
        """The most bytes that the body of such a frame may have; a longer one ends the connection unread."""
        ...

    def place(self, peer: SpiffeId, instance: str, head: Head, nbytes: int) -> memoryview | None:
        """Where to put the body: exactly `nbytes` of writable memory, or None to drop it. Not asked for no bytes.

        The memory is written to until `arrived` or `lost` was called: one of the two always is.
        """
        ...

    def arrived(self, peer: SpiffeId, instance: str, head: Head, body: memoryview | None) -> None:
        """The frame is whole. `body` is what `place` gave (None: dropped), or empty."""
        ...

    def lost(self, peer: SpiffeId, instance: str, head: Head) -> None:
        """The connection ended within the body: what `place` gave holds part of it, and may be given to others."""
        ...

    def refuse(self, peer: SpiffeId, head: Head | None, reason: str) -> None:
        """A frame broke a rule (None: its head cannot be read); its connection is closed after this."""
        ...


class StreamServer:
    """Listens for peers' streams: verified, of role `sl` and admitted. A thread for each connection.

    A peer that dials a fifth time loses its oldest connection: after a power cut the old ones stand for a while. While
    a peer renews its connection two threads may hand over its frames at the same time.
    """

    def __init__(
        self,
        source: IdentitySource,
        sink: Sink,
        instance: str,
        admit: Callable[[SpiffeId], bool],
        host: str = "127.0.0.1",
        port: int = 0,
        stall_s: Callable[[], float] = lambda: STALL_S,
    ) -> None:
        """Listen (port 0 = a free one). `stall_s`: how long no byte may come within a frame. Raises `OSError`."""
        self._source = source
        self._sink = sink
        self._instance = instance
        self._admit = admit
        self._stall_s = stall_s
        self._contexts = ServerContexts(source)
        self._lock = threading.Lock()
        self._lines: dict[Line, threading.Thread] = {}
        self._by_peer: dict[SpiffeId, list[Line]] = {}
        self._closed = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept_all, name="stream-accept", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections and wait for their threads, two seconds at most."""
        deadline = time.monotonic() + _CLOSE_S
        self._closed.set()
        with contextlib.suppress(OSError):
            self._waker.send(b"x")
        self._thread.join(_CLOSE_S)
        with self._lock:
            lines = dict(self._lines)
        for line in lines:
            line.cut()
        for thread in lines.values():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._waker.close()

    # --- who gets in --------------------------------------------------------------------------------------

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._woken:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closed.is_set():
                selector.select()
                try:
                    raw, address = self._listener.accept()
                except BlockingIOError:  # woken to end, or the caller has gone again
                    continue
                except OSError as error:  # as a rule too many open files: some of them will be closed
                    log.warning("a stream could not be taken", extra={"reason": str(error)})
                    self._closed.wait(0.1)
                    continue
                self._take(raw, f"{address[0]}:{address[1]}")

    def _take(self, raw: socket.socket, address: str) -> None:
        try:
            raw.settimeout(HANDSHAKE_S)
            tune(raw)
            shown = self._contexts.current()
            sock = shown.context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError, SwarmLabError) as error:
            raw.close()
            self._refused(address, error)
            return
        line = Line(sock)
        thread = threading.Thread(
            target=self._serve, args=(line, shown, address), name=f"stream-from-{address}", daemon=True
        )
        with self._lock:
            full = len(self._lines) >= IN_ALL
            if not full:
                self._lines[line] = thread
        if full:
            line.close()
            self._refused(address, ConnectionRefusedError(f"{IN_ALL} connections are open"))
            return
        thread.start()

    def _serve(self, line: Line, shown: Credentials, address: str) -> None:
        """The thread of one connection."""
        greeted = None
        try:
            greeted = self._welcome(line, shown)
            threading.current_thread().name = f"stream-from-{greeted.standing.peer.node}"
            while self._frame(greeted):
                pass
        except (SwarmLabError, BadMessage, OSError) as error:
            if not self._closed.is_set():
                self._ended(address, greeted, error)
                if not isinstance(error, OSError):
                    line.refuse(error)
        except Exception as error:  # the sink's fault: this connection ends, the node goes on
            log.exception("a stream ended by a fault of this node", extra={"peer": address})
            line.refuse(ConnectionError(f"a fault of the node: {type(error).__name__}"))
        finally:
            self._forget(line)
            line.close()

    def _welcome(self, line: Line, shown: Credentials) -> Greeted:
        """Handshake, hellos and authorisation, within `HANDSHAKE_S` seconds."""
        with handshake() as patience:
            line.sock.settimeout(patience())
            line.sock.do_handshake()
            return self._greet(line, shown, patience)

    def _greet(self, line: Line, shown: Credentials, patience: Patience) -> Greeted:
        found = line.next(patience)
        if found is None:
            raise ConnectionError("closed without a word")
        data, nbytes = found
        if nbytes:
            raise BadMessage("a hello with a body")
        hello = frames.decode_hello(data)
        standing = Standing(line.sock, self._source, shown, hello.chain.encode())
        peer = standing.peer
        if peer.role != "sl":
            raise RoleRefused(f"{peer} has role {peer.role}; tensor streams are for sl")
        if not self._admit(peer):
            raise RoleRefused(f"{peer} is not admitted by this node")
        frames.check_version(hello, str(peer))
        self._make_room(line, peer)
        line.write(frames.encode(frames.greeting(self._instance, shown.svid.cert_pem)), _EMPTY, patience)
        return Greeted(line, standing, hello.instance)

    def _make_room(self, line: Line, peer: SpiffeId) -> None:
        with self._lock:
            lines = self._by_peer.setdefault(peer, [])
            lines.append(line)
            oldest = lines.pop(0) if len(lines) > PER_PEER else None
        if oldest is not None:
            log.info("ended the oldest stream of a peer", extra={"peer": peer.node, "open": PER_PEER})
            oldest.cut()

    def _forget(self, line: Line) -> None:
        with self._lock:
            self._lines.pop(line, None)
            for peer, lines in list(self._by_peer.items()):
                if line in lines:
                    lines.remove(line)
                    if not lines:
                        del self._by_peer[peer]

    # --- frames -------------------------------------------------------------------------------------------

    def _frame(self, greeted: Greeted) -> bool:
        """Read one frame; False where the peer has closed."""
        line, peer = greeted.line, greeted.standing.peer
        head: Head | None = None
        try:
            found = line.next(self._stall_s, greeted.standing.check)
            if found is None:
                return False
            greeted.standing.check()
            head = frames.decode(found[0])
            self._body(greeted, head, found[1])
            metrics.received_bytes.labels(peer.node).inc(frames.PREFIX.size + len(found[0]) + found[1])
        except BadMessage as error:
            self._sink.refuse(peer, head, str(error))
            raise
        return True

    def _body(self, greeted: Greeted, head: Head, nbytes: int) -> None:
        sink, peer, instance = self._sink, greeted.standing.peer, greeted.instance
        limit = sink.limit(head)
        if nbytes > limit:
            raise BadMessage(f"{head.kind} with {nbytes} bytes: at most {limit}")
        if nbytes == 0:
            sink.arrived(peer, instance, head, _EMPTY)
            return
        target = sink.place(peer, instance, head, nbytes)
        try:
            if target is None:
                greeted.line.drop(nbytes, self._stall_s)
            else:
                if target.nbytes != nbytes or target.readonly:
                    raise ValueError(f"place gave {target.nbytes} bytes for a body of {nbytes}")
                greeted.line.fill(target.cast("B"), self._stall_s)
        except BaseException:  # also a fault of ours: what `place` gave must come back
            sink.lost(peer, instance, head)
            raise
        sink.arrived(peer, instance, head, target)

    # --- what is told -------------------------------------------------------------------------------------

    def _ended(self, address: str, greeted: Greeted | None, error: Exception) -> None:
        if greeted is None or isinstance(error, SwarmLabError | BadMessage):
            self._refused(address if greeted is None else greeted.standing.peer.node, error)
        else:
            reason = {"peer": greeted.standing.peer.node, "reason": _text(error)}
            log.warning("a stream broke", extra=reason)

    def _refused(self, peer: str, error: Exception) -> None:
        code = error.code if isinstance(error, SwarmLabError) else ""
        log.warning("refused a stream", extra={"event": "refused", "code": code, "reason": _text(error), "peer": peer})


def _text(error: Exception) -> str:
    if isinstance(error, SwarmLabError):
        return error.message
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return str(error) or type(error).__name__

"""The sending end of the tensor streams: one queue, one thread and at most one connection for each peer."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from swarm_lab.errors import PeerNotVerified, SwarmLabError
from swarm_lab.facts import metrics
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.streams import Credentials, Standing
from swarm_lab.identity.svid import IdentitySource
from swarm_lab.nodes import frames
from swarm_lab.nodes.frames import Head
from swarm_lab.nodes.stream_wire import HANDSHAKE_S, STALL_S, Greeted, Line, Patience, handshake, tune
from swarm_lab.rounds.codec import BadMessage
from swarm_lab.rounds.layout import Buffer

log = logging.getLogger(__name__)

MAX_ITEMS, MAX_BYTES = 1024, 1 << 30
_REDIAL_S = 0.05
_CLOSE_S = 2.0
_EMPTY = memoryview(b"")

OnSent = Callable[[bool, float, int], None]


@dataclass(frozen=True, slots=True)
class _Item:
    training: str
    head: bytes
    body: memoryview
    on_sent: OnSent | None

    @property
    def nbytes(self) -> int:
        return len(self.head) + self.body.nbytes


class StreamClient:
    """Frames to one peer, in order, urgent ones first. Dials when there is something to send.

    A frame may be lost, as any message of the rounds may: "sent" means that this machine took it over. On a broken
    connection there is one redial; after that all that waits has failed, and the next frame dials anew.
    """

    def __init__(
        self,
        source: IdentitySource,
        peer: SpiffeId,
        host: str,
        port: int,
        instance: str,
        stall_s: Callable[[], float] = lambda: STALL_S,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`stall_s`: how long the peer may take nothing within a frame. The bounds are those of the queue."""
        self.peer = peer
        self._source = source
        self._instance = instance
        self._stall_s = stall_s
        self._max_items, self._max_bytes = max_items, max_bytes
        self._address = (host, port)
        self._dialled: tuple[str, int] | None = None
        self._greeted: Greeted | None = None
        self._changed = threading.Condition()
        self._queues: tuple[deque[_Item], deque[_Item]] = (deque(), deque())  # urgent, others
        self._bytes = 0
        self._closed = False
        self._open: Line | None = None  # for `close`: whatever the thread may be waiting on
        self.trouble: str = ""
        """Why the last connection failed; "" while it stands."""
        self._thread = threading.Thread(target=self._run, name=f"stream-to-{peer.node}", daemon=True)
        self._thread.start()

    def send(self, head: Head, body: Buffer | None = None, on_sent: OnSent | None = None, urgent: bool = False) -> bool:
        """Queue a frame; False where the queue is full or closed, and then `on_sent` is not called.

        `body` must not change until `on_sent(ok, seconds, nbytes)`, on the sending thread: seconds on the wire, bytes
        of the whole frame. A frame always fits into an empty queue. An urgent frame goes before all others, though not
        into the midst of one, and has a queue of its own, bounded by items alone.
        """
        view = _EMPTY if body is None else memoryview(body).cast("B")
        item = _Item(head.training, frames.encode(head, view.nbytes), view, on_sent)
        with self._changed:
            queue = self._queues[0 if urgent else 1]
            heavy = not urgent and queue and self._bytes + item.nbytes > self._max_bytes
            if self._closed or heavy or len(queue) >= self._max_items:
                return False
            queue.append(item)
            if not urgent:
                self._bytes += item.nbytes
            self._changed.notify()
        return True

    def purge(self, training: str) -> None:
        """Drop what waits of a training; a frame that is being sent goes on, with the bytes that are there then."""
        with self._changed:
            for queue in self._queues:
                kept = [item for item in queue if item.training != training]
                if queue is self._queues[1]:
                    self._bytes = sum(item.nbytes for item in kept)
                queue.clear()
                queue.extend(kept)

    def redirect(self, host: str, port: int) -> None:
        """The peer is at another address from now on; the frame that is being sent ends on the old connection."""
        with self._changed:
            self._address = (host, port)

    def close(self) -> None:
        """End the connection; what waits has failed. Returns within two seconds."""
        with self._changed:
            self._closed = True
            line = self._open
            self._changed.notify()
        if line is not None:
            line.cut()
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSE_S)

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._deliver(item)
        self._hang_up()
        self._fail_all()

    def _next(self) -> _Item | None:
        with self._changed:
            while not self._closed:
                for queue in self._queues:
                    if queue:
                        item = queue.popleft()
                        if queue is self._queues[1]:
                            self._bytes -= item.nbytes
                        return item
                self._changed.wait()
        return None

    def _deliver(self, item: _Item) -> None:
        began = time.monotonic()
        for last in (False, True):
            try:
                line = self._ready().line
                began = time.monotonic()
                line.write(item.head, item.body, self._stall_s)
            except Exception as error:  # noqa: BLE001 - whatever it is: without this thread nothing is ever sent again
                final = self._broken(error)
                if final or last or self._closed:
                    break
                time.sleep(_REDIAL_S)
            else:
                self.trouble = ""
                metrics.sent_bytes.labels(self.peer.node).inc(item.nbytes)
                _tell(item, True, time.monotonic() - began)
                return
        _tell(item, False, time.monotonic() - began)
        self._fail_all()

    def _fail_all(self) -> None:
        with self._changed:
            waiting = [item for queue in self._queues for item in queue]
            for queue in self._queues:
                queue.clear()
            self._bytes = 0
        for item in waiting:
            _tell(item, False, 0.0)

    def _broken(self, error: Exception) -> bool:
        """Let a failed connection go; True where a second try cannot help."""
        said: Exception | None = None
        if self._greeted is not None and isinstance(error, OSError):
            said = self._greeted.line.last_words()
        self._hang_up()
        self._say(said or error)
        return isinstance(said or error, SwarmLabError | BadMessage)

    def _say(self, error: Exception) -> None:
        """Tell the log once, however often it is tried."""
        code = error.code if isinstance(error, SwarmLabError) else ""
        text = error.message if isinstance(error, SwarmLabError) else str(error) or type(error).__name__
        known, self.trouble = self.trouble, text
        if text != known and not self._closed:
            log.info("a stream to a peer broke", extra={"peer": self.peer.node, "code": code, "reason": text[:300]})

    # --- the connection -----------------------------------------------------------------------------------

    def _ready(self) -> Greeted:
        """The connection for the next frame: the open one while it may be used, else a new one."""
        greeted = self._greeted
        if greeted is not None and self._usable(greeted):
            return greeted
        self._hang_up()
        self._greeted = self._dial()
        return self._greeted

    def _usable(self, greeted: Greeted) -> bool:
        if self._dialled != self._address or greeted.standing.is_old:
            return False
        try:
            greeted.standing.check()
        except SwarmLabError:
            return False
        if not greeted.line.over():
            return True
        said = greeted.line.last_words()
        if said is not None:
            self._say(said)
        return False

    def _dial(self) -> Greeted:
        shown = Credentials.for_client(self._source, self.peer)
        self._dialled = self._address
        raw = socket.create_connection(self._dialled, timeout=HANDSHAKE_S)
        try:
            tune(raw)
            name = self.peer.dns_name
            sock = shown.context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False)
        except BaseException:  # whatever it is: the socket must not stay open
            raw.close()
            raise
        line = Line(sock)
        try:
            self._show(line)
            with handshake() as patience:
                return self._greet(line, shown, patience)
        except BaseException:  # as above
            self._show(None)
            line.close()
            raise

    def _greet(self, line: Line, shown: Credentials, patience: Patience) -> Greeted:
        line.sock.settimeout(patience())
        line.sock.do_handshake()
        hello = frames.greeting(self._instance, shown.svid.cert_pem)
        line.write(frames.encode(hello), _EMPTY, patience)
        answer = line.answer(patience)
        standing = Standing(line.sock, self._source, shown, answer.chain.encode())
        if standing.peer != self.peer:
            raise PeerNotVerified(f"{standing.peer} answered in place of {self.peer}")
        frames.check_version(answer, str(standing.peer))
        return Greeted(line, standing, answer.instance)

    def _show(self, line: Line | None) -> None:
        """Let `close` cut this connection."""
        with self._changed:
            self._open = line
            closed = self._closed
        if line is not None and closed:
            line.cut()

    def _hang_up(self) -> None:
        greeted, self._greeted = self._greeted, None
        self._show(None)
        if greeted is not None:
            with contextlib.suppress(OSError):
                greeted.line.close()


def _tell(item: _Item, ok: bool, seconds: float) -> None:
    if item.on_sent is None:
        return
    try:
        item.on_sent(ok, seconds, item.nbytes)
    except Exception:  # the listener's fault: the frames behind this one still go
        log.exception("a listener failed")

"""Frames on one TLS connection: how bytes are read into memory that is there already, and written without copies."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from swarm_lab.errors import (
    IdentityExpired,
    OtherProtocol,
    PeerNotVerified,
    RoleRefused,
    SwarmLabError,
    UnknownTrustDomain,
)
from swarm_lab.identity.streams import Standing
from swarm_lab.nodes import frames
from swarm_lab.rounds.codec import BadMessage

HANDSHAKE_S = 5.0
STALL_S = 30.0
PIECE = 1 << 20
# Head and body together: one TLS record, one system call at each side.
SMALL = 16 * 1024
_LAST_WORDS_S = 0.2

Patience = Callable[[], float]

# What a peer's refusal is here, by its code.
_REFUSALS: dict[str, type[SwarmLabError]] = {
    cls.code: cls for cls in (IdentityExpired, OtherProtocol, PeerNotVerified, RoleRefused, UnknownTrustDomain)
}


def tune(sock: socket.socket) -> None:
    """No waiting for more to send, and a peer that is gone without a word is noticed.

    Buffers are left to the kernel: sizes from 256 kB to 4 MB made no round faster, and a fixed one no longer grows
    with the distance.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPALIVE", 15), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # each system has some of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@contextlib.contextmanager
def handshake() -> Iterator[Patience]:
    """How long a wait may still take until both sides are greeted. Raises `TimeoutError` when the time is over."""
    deadline = time.monotonic() + HANDSHAKE_S

    def left() -> float:
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError
        return rest

    try:
        yield left
    except TimeoutError:
        raise TimeoutError(f"no handshake within {HANDSHAKE_S:g} s") from None


class Line:
    """One open connection. Reading and writing may be done by two threads, each by one."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        # Heads and small bodies come through here. A large body begins a record of its own and goes straight to
        # where it belongs, so that this never holds more than the end of one record.
        self._ahead = memoryview(bytearray(frames.PREFIX.size + frames.MAX_HEAD + SMALL))
        self._start = self._end = 0

    # --- reading ------------------------------------------------------------------------------------------

    def next(self, patience: Patience, on_idle: Callable[[], None] | None = None) -> tuple[bytes, int] | None:
        """The next frame's head, and its body's size; None where the peer has closed between two frames.

        `patience` says how long the next byte may take within a frame. Between frames that time is not a limit but the
        beat of `on_idle`, where given. Raises `OSError` and `BadMessage`.
        """
        while self._start == self._end:
            try:
                if not self._more(patience()):
                    return None
            except TimeoutError:
                if on_idle is None:
                    raise
                on_idle()
        self._gather(frames.PREFIX.size, patience)
        size, nbytes = frames.lengths(self._ahead[self._start : self._start + frames.PREFIX.size])
        self._gather(frames.PREFIX.size + size, patience)
        begin = self._start + frames.PREFIX.size
        self._start = begin + size
        return bytes(self._ahead[begin : self._start]), nbytes

    def fill(self, into: memoryview, patience: Patience) -> None:
        """Read exactly what fits into `into` (bytes, contiguous). Raises `OSError`."""
        done = self._take(into)
        size = into.nbytes
        if done == size:
            return
        limit = patience()
        self.sock.settimeout(limit)
        read = self.sock.recv_into
        try:
            while done < size:
                end = min(done + PIECE, size)
                while done < end:
                    count = read(into[done:end], end - done)
                    if not count:
                        raise ConnectionError(f"the peer closed after {done} of a body's {size} bytes")
                    done += count
        except TimeoutError:
            raise TimeoutError(f"stood still for {limit:.1f} s after {done} of a body's {size} bytes") from None

    def drop(self, nbytes: int, patience: Patience) -> None:
        """Read `nbytes` and forget them. Raises `OSError`."""
        bin_ = memoryview(bytearray(min(nbytes, PIECE)))
        while nbytes > 0:
            self.fill(bin_[:nbytes], patience)
            nbytes -= len(bin_)

    def _take(self, into: memoryview) -> int:
        count = min(self._end - self._start, into.nbytes)
        into[:count] = self._ahead[self._start : self._start + count]
        self._start += count
        return count

    def _gather(self, count: int, patience: Patience) -> None:
        """Have `count` bytes of the frame in hand."""
        while self._end - self._start < count:
            limit = patience()
            try:
                if not self._more(limit):
                    raise ConnectionError("the peer closed in the head of a frame")
            except TimeoutError:
                raise TimeoutError(f"stood still for {limit:.1f} s in the head of a frame") from None

    def _more(self, limit: float) -> bool:
        """Read what is there; False where the peer has closed."""
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._ahead) - self._end < SMALL:  # the frame in hand is moved to the front: never more than one head
            rest = bytes(self._ahead[self._start : self._end])
            self._ahead[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        self.sock.settimeout(limit)
        count = self.sock.recv_into(self._ahead[self._end :])
        self._end += count
        return count > 0

    # --- writing ------------------------------------------------------------------------------------------

    def write(self, head: bytes, body: memoryview, patience: Patience) -> None:
        """Send a frame. Raises `OSError`."""
        self.sock.settimeout(patience())
        size = body.nbytes
        if len(head) + size <= SMALL:
            self.sock.sendall(head + body if size else head)
            return
        self.sock.sendall(head)
        for start in range(0, size, PIECE):
            self.sock.sendall(body[start : start + PIECE])

    def refuse(self, error: Exception) -> None:
        """Tell the peer why the connection ends, if it still listens."""
        code = error.code if isinstance(error, SwarmLabError) else ""
        reason = error.message if isinstance(error, SwarmLabError) else str(error)
        refusal = frames.Refusal(reason[:1024] or type(error).__name__, code)
        with contextlib.suppress(OSError, ValueError):  # it is a courtesy: no failure of it counts
            self.write(frames.encode(refusal), _NOTHING, lambda: _LAST_WORDS_S)

    def answer(self, patience: Patience) -> frames.Hello:
        """The server's `Hello`. Raises what its refusal stands for, `OSError` and `BadMessage`."""
        found = self.next(patience)
        if found is None:
            raise ConnectionError("the peer closed without a word")
        data, nbytes = found
        if nbytes:
            raise BadMessage("an answer with a body")
        answer = frames.decode_answer(data)
        if isinstance(answer, frames.Refusal):
            kind = _REFUSALS.get(answer.code)
            # It may end up in a terminal.
            said = "the peer refused: " + "".join(c if c.isprintable() else "?" for c in answer.refused)
            raise ConnectionRefusedError(said) if kind is None else kind(said)
        return answer

    def last_words(self) -> Exception | None:
        """Why the peer has closed, if it said so; what it stands for, see `answer`."""
        try:
            self.answer(lambda: _LAST_WORDS_S)
        except (ConnectionRefusedError, SwarmLabError) as said:
            return said
        except (OSError, BadMessage):
            return None
        return None

    def over(self) -> bool:
        """Whether the peer, which has nothing to say after its `Hello`, has said something or closed."""
        try:
            if self._start == self._end:
                self._more(0)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            return True
        return True

    # --- ending -------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """End it from another thread: whoever reads or writes gets an error at once."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: that one also takes the encryption off, under the hands of the other thread.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the socket go."""
        with contextlib.suppress(OSError):
            self.sock.close()


_NOTHING = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Greeted:
    """An open connection whose other side is verified: who it is, and which of its processes."""

    line: Line
    standing: Standing
    instance: str

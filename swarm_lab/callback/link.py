"""The program's end of the link: the socket to its node and the shared segment for tensors."""

from __future__ import annotations

import mmap
import os
import select
import socket
import time
from collections.abc import Callable, Mapping

from swarm_lab.callback.errors import LinkError, NodeGoneError, NoNodeError, WrongCallerError
from swarm_lab.callback.messages import (
    AT_BATCHES,
    AT_EPOCH,
    AT_HELD,
    AT_HOLD,
    AT_LOSS,
    AT_TIME,
    HEADER,
    LENGTH,
    MAX_FRAME,
    FromNode,
    FromProgram,
    TensorSpec,
    Welcome,
    decode_from_node,
    encode,
)

CONNECT_LIMIT = 20.0
VARIABLE = "SWARM_LINK"
_ROOM_S = 0.002


class Link:
    """A blocking connection to the node.

    A wait for an answer ends with the answer or with the node: the socket closes when the node dies, and the node
    has a limit for each of its own waits.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pid = os.getpid()
        self._descriptor: int | None = None
        self.greeted = False  # one training a program

    @classmethod
    def connect(cls, path: str) -> Link:
        """Connect to the node's socket; raises NodeGoneError when nobody answers."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_LIMIT)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            raise NodeGoneError(f"no node answers at {path}: {error.strerror or error}") from error
        connection.settimeout(None)
        return cls(connection)

    @property
    def is_mine(self) -> bool:
        """Whether this process opened it, and not the one it was forked from."""
        return os.getpid() == self._pid

    def send(self, message: FromProgram) -> None:
        """Send one message; raises NodeGoneError when the node is gone."""
        if not self.is_mine:
            raise WrongCallerError(f"process {os.getpid()} used the callback of process {self._pid}")
        try:
            self._socket.sendall(encode(message))
        except OSError as error:
            raise NodeGoneError(f"the node closed the link: {error.strerror or error}") from error

    def check(self) -> None:
        """Raise NodeGoneError when the node is gone; nothing is read."""
        try:
            gone = self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return
        except OSError as error:
            raise NodeGoneError(f"the link to the node broke: {error.strerror or error}") from error
        if gone:
            raise NodeGoneError("the node closed the link while the program waited for it")

    def receive(self) -> FromNode:
        """Wait for the node's answer; raises NodeGoneError when it is gone, LinkError on another version."""
        size = LENGTH.unpack(self._exactly(LENGTH.size, descriptors=True))[0]
        if size > MAX_FRAME:
            raise LinkError(f"the node announced a message of {size} bytes; at most {MAX_FRAME} are allowed")
        return decode_from_node(self._exactly(size))

    def take_descriptor(self) -> int:
        """The descriptor that came with the last message, once."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            raise LinkError("the node sent no shared memory with its welcome")
        return descriptor

    def alive(self) -> bool:
        """Whether the node still holds its end."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        return not readable or bool(self._socket.recv(1, socket.MSG_PEEK))

    def _exactly(self, size: int, *, descriptors: bool = False) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                if descriptors:
                    data, fds, _, _ = socket.recv_fds(self._socket, size - len(parts), 1)
                    for descriptor in fds:
                        self._descriptor = descriptor
                        os.set_inheritable(descriptor, False)
                else:
                    data = self._socket.recv(size - len(parts))
            except OSError as error:
                raise NodeGoneError(f"the link to the node broke: {error.strerror or error}") from error
            if not data:
                raise NodeGoneError("the node closed the link while the program waited for its answer")
            parts += data
        return bytes(parts)


class Segment:
    """The shared memory of one program: header, contribution, merged model.

    `contribution[i]` and `merged[i]` are writable byte views of the i-th tensor of the layout.
    """

    def __init__(self, descriptor: int, layout: tuple[TensorSpec, ...], welcome: Welcome) -> None:
        try:
            self._map = mmap.mmap(descriptor, HEADER + 2 * welcome.size)
        except (OSError, ValueError) as error:
            raise LinkError(f"the node's shared memory cannot be mapped: {error}") from error
        finally:
            os.close(descriptor)
        whole = memoryview(self._map)
        self._bytes = whole[:HEADER]
        self._integers = self._bytes.cast("Q")
        self._floats = self._bytes.cast("d")
        self.contribution = self._views(whole, HEADER, layout, welcome.offsets)
        self.merged = self._views(whole, HEADER + welcome.size, layout, welcome.offsets)

    @staticmethod
    def _views(
        whole: memoryview, base: int, layout: tuple[TensorSpec, ...], offsets: tuple[int, ...]
    ) -> list[memoryview]:
        return [
            whole[base + offset : base + offset + spec.nbytes] for spec, offset in zip(layout, offsets, strict=True)
        ]

    @property
    def attention(self) -> bool:
        """Whether the node wants the program at a sync point now."""
        return bool(self._bytes[0])

    def tick(self, batches: int, loss: float) -> float:
        """Write what the node reads of a running program; returns the time written."""
        now = time.monotonic()
        self._floats[AT_TIME // 8] = now
        self._floats[AT_LOSS // 8] = loss
        self._integers[AT_BATCHES // 8] = batches
        return now

    def wait_for_room(self, check: Callable[[], None]) -> None:
        """Wait until the node does not need the last contribution any more: it makes room as soon as it sees the wait.

        `check` raises when the node is gone.
        """
        while self._bytes[AT_HOLD]:
            self._bytes[AT_HELD] = 1
            check()
            time.sleep(_ROOM_S)
        self._bytes[AT_HELD] = 0

    def epoch(self, epochs: int) -> None:
        """Write the number of epochs done."""
        self._integers[AT_EPOCH // 8] = epochs


class _Present:
    """The link of this process, where the runner opened it before the program began."""

    link: Link | None = None


def open_link(environment: Mapping[str, str]) -> Link:
    """The runner's link, or a new one to the socket that `SWARM_LINK` names; raises NoNodeError without it."""
    # A forked child has a copy of its parent's: it speaks for the program over one of its own, if nobody has yet.
    if _Present.link is not None and _Present.link.is_mine:
        return _Present.link
    check_node(environment)
    return Link.connect(environment[VARIABLE])


def check_node(environment: Mapping[str, str]) -> None:
    """Raise NoNodeError when there is no node to open a link to."""
    if _Present.link is None and not environment.get(VARIABLE):
        raise NoNodeError("no node stands beside this program (SWARM_LINK is not set)")


def keep_link(link: Link | None) -> None:
    """Make `link` the one of this process."""
    _Present.link = link

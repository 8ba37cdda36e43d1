"""The node's socket to one program: frames in, frames and a descriptor out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from swarm_lab.callback.messages import LENGTH, MAX_FRAME, FromNode, encode
from swarm_lab.errors import ProgramNotStarted
from swarm_lab.nodes.program_edge import Misbehaviour

log = logging.getLogger(__name__)

SEND_S = 10.0
PART = 1 << 20
CONNECTIONS = 16


class ProgramLink:
    """Listens at `path` until `heard`, then has no name any more. Belongs to one event loop.

    Every process of the program's session may connect until then: the one that trains need not be the one that was
    launched (`torch.multiprocessing.spawn`). What is sent goes to the connection that spoke last.
    """

    def __init__(self, path: Path) -> None:
        """Open the socket; raises ProgramNotStarted."""
        self._path = path
        self._socket: socket.socket | None = None
        self._open = 0
        self._named = True
        self._came = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._bodies: asyncio.Queue[tuple[socket.socket, bytes | Misbehaviour | None]] = asyncio.Queue(1)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            self._listener.bind(str(path))
            os.chmod(path, 0o600)
            self._listener.listen(4)
            self._listener.setblocking(False)
        except OSError as error:
            self._listener.close()
            raise ProgramNotStarted(f"the link {path} cannot be opened: {error}") from error

    async def accept(self, pid: int, limit: float) -> None:
        """Wait for the program whose session `pid` leads; raises Misbehaviour when it does not come in time."""
        self._listening = asyncio.create_task(self._listen(pid), name="program link, connections")
        try:
            async with asyncio.timeout(limit):
                await self._came.wait()
        except TimeoutError as error:
            self.heard()
            raise Misbehaviour(f"did not connect within {limit:g} s") from error

    def heard(self) -> None:
        """The program has said hello: nobody else can come after it."""
        if self._named:
            self._named = False
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            if self._listening is None:
                self._listener.close()
            else:
                self._listening.cancel()

    async def frames(self, over: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The bodies of the frames until the speaker closes; raises Misbehaviour on one that is too long.

        Once `over` what comes is read until all have closed: the launched process may still have to do, or fail.
        """
        while True:
            connection, body = await self._bodies.get()
            if isinstance(body, Misbehaviour):
                raise body
            if body is not None:
                self._socket = connection
                yield body
                continue
            self._open -= 1
            if not self._open or (connection is self._socket and not over()):
                return

    async def send(self, message: FromNode, descriptor: int | None = None) -> None:
        """Send an answer; that a program has just ended is no failure here, its exit says more."""
        if self._socket is None:
            return
        frame = encode(message)
        try:
            async with asyncio.timeout(SEND_S):
                if descriptor is not None:
                    socket.send_fds(self._socket, [frame[: LENGTH.size]], [descriptor])
                    frame = frame[LENGTH.size :]
                await asyncio.get_running_loop().sock_sendall(self._socket, frame)
        except (OSError, TimeoutError) as error:
            log.info("the program does not take its answer: %s", error)

    def close(self) -> None:
        """Close the link; the program then reads its end."""
        self.heard()
        for task in self._reading:
            task.cancel()

    async def _listen(self, pid: int) -> None:
        try:
            while self._open < CONNECTIONS:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
                connection.setblocking(False)
                if not _belongs(connection, pid):
                    log.warning("a process that is not program %d tried its link", pid)
                    connection.close()
                    continue
                self._socket = self._socket or connection
                self._open += 1
                self._reading.append(asyncio.create_task(self._read(connection), name="program link, frames"))
                self._came.set()
        finally:
            await asyncio.sleep(0)  # the loop still watches it: its number must not be another's before that ends
            self._listener.close()

    async def _read(self, connection: socket.socket) -> None:
        last: Misbehaviour | None = None
        try:
            while (head := await _exactly(connection, LENGTH.size)) is not None:
                size = LENGTH.unpack(head)[0]
                if size > MAX_FRAME:
                    last = Misbehaviour(f"announced a message of {size} bytes; at most {MAX_FRAME} are allowed")
                    break
                if (body := await _exactly(connection, size)) is None:
                    break
                await self._bodies.put((connection, body))
        except OSError as error:
            log.info("the program's link ended: %s", error)
        finally:
            await asyncio.sleep(0)  # as above
            connection.close()
        await self._bodies.put((connection, last))


async def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(connection, min(size - len(data), PART))
        if not part:
            return None
        data += part
    return bytes(data)


def _belongs(connection: socket.socket, pid: int) -> bool:
    """Whether the other end is in the program's session; true where the system cannot tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    peer = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)
    try:
        return os.getsid(peer) == pid
    except ProcessLookupError:
        return False

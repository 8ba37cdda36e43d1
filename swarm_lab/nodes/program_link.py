"""The node's socket to one program: one connection, frames in, frames and a descriptor out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from swarm_lab.callback.messages import LENGTH, MAX_FRAME, FromNode, encode
from swarm_lab.errors import ProgramNotStarted
from swarm_lab.nodes.program_edge import Misbehaviour

log = logging.getLogger(__name__)

SEND_S = 10.0
PART = 1 << 20


class ProgramLink:
    """Listens at `path` until the program has connected, then has no name any more. Belongs to one event loop."""

    def __init__(self, path: Path) -> None:
        """Open the socket; raises ProgramNotStarted."""
        self._path = path
        self._socket: socket.socket | None = None
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
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit):
                while self._socket is None:
                    connection, _ = await loop.sock_accept(self._listener)
                    connection.setblocking(False)
                    if _belongs(connection, pid):
                        self._socket = connection
                    else:
                        log.warning("a process that is not program %d tried its link", pid)
                        connection.close()
        except TimeoutError as error:
            raise Misbehaviour(f"did not connect within {limit:g} s") from error
        finally:
            # One program, one connection: nobody else can come after it.
            self._stop_listening()

    async def frames(self) -> AsyncIterator[bytes]:
        """The bodies of the frames until the program closes; raises Misbehaviour on one that is too long."""
        while (head := await self._exactly(LENGTH.size)) is not None:
            size = LENGTH.unpack(head)[0]
            if size > MAX_FRAME:
                raise Misbehaviour(f"announced a message of {size} bytes; at most {MAX_FRAME} are allowed")
            if (body := await self._exactly(size)) is None:
                return
            yield body

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
        self._stop_listening()
        if self._socket is not None:
            self._socket.close()

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    async def _exactly(self, size: int) -> bytes | None:
        assert self._socket is not None
        data = bytearray()
        while len(data) < size:
            part = await asyncio.get_running_loop().sock_recv(self._socket, min(size - len(data), PART))
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

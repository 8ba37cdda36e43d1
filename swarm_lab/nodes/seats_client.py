"""Asks the warm parent of this host's seats for programs."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from swarm_lab.callback.messages import LENGTH
from swarm_lab.errors import ProgramNotStarted, SeatsUnavailable
from swarm_lab.facts.process import ProcessRecord, record_of
from swarm_lab.nodes.launching import ProgramSpec, signal_group

ANSWER_S = 20.0
MAX_ANSWER = 1024 * 1024
POLL_S = 0.2


class WarmProcess:
    """A program that the warm parent forked; the connection tells its exit."""

    def __init__(self, record: ProcessRecord, connection: socket.socket) -> None:
        self.pid = record.pid
        self._record = record
        self._connection = connection
        self._ended = False

    async def wait(self) -> int | None:
        """Exit status, negative for a signal; None when the parent died first and so nobody knows it."""
        try:
            code = int((await _receive(self._connection))["exit"])
        except (OSError, KeyError, ValueError):
            # The parent is gone and the program goes on: only its end can still be seen.
            while self._record.alive:
                await asyncio.sleep(POLL_S)
            code = None
        finally:
            self._connection.close()
            self._ended = True
        return code

    def signal(self, number: signal.Signals) -> None:
        """Signal the program's group, if the pid is still its own."""
        if not self._ended and self._record.alive:
            signal_group(self.pid, number)


class SeatsClient:
    """The socket of the warm parent, `run_dir/seats.sock`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def start(self, spec: ProgramSpec, environment: Mapping[str, str], stdout: int, stderr: int) -> WarmProcess:
        """Fork a seat for this program; raises SeatsUnavailable, or ProgramNotStarted with the parent's reason."""
        request = {
            "do": "start",
            "program": str(spec.program),
            "arguments": list(spec.arguments),
            "directory": str(spec.directory),
            "environment": dict(environment),
        }
        connection, answer = await self._ask(request, [stdout, stderr])
        if "pid" not in answer:
            connection.close()
            raise ProgramNotStarted(f"no seat for {spec.program}: {answer.get('error', 'no reason given')}")
        pid = int(answer["pid"])
        try:
            record = record_of(pid)
        except psutil.NoSuchProcess:  # ended and reaped already; the connection has its status
            record = ProcessRecord(pid, 0.0)
        return WarmProcess(record, connection)

    async def show(self) -> dict[str, Any]:
        """`pid`, `programs` that run, and memory in MB (`rss_mb`, `pss_mb`, `private_mb`); raises SeatsUnavailable."""
        connection, answer = await self._ask({"do": "show"}, [])
        connection.close()
        return answer

    async def ready(self, limit: float) -> None:
        """Wait until the parent has imported its framework; raises SeatsUnavailable after `limit` seconds."""
        deadline = asyncio.get_running_loop().time() + limit
        while True:
            try:
                await self.show()
                return
            except SeatsUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(POLL_S)

    async def _ask(self, request: dict[str, Any], descriptors: list[int]) -> tuple[socket.socket, dict[str, Any]]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        body = json.dumps(request).encode()
        try:
            async with asyncio.timeout(ANSWER_S):
                await loop.sock_connect(connection, str(self._path))
                if descriptors:
                    socket.send_fds(connection, [LENGTH.pack(len(body))], descriptors)
                else:
                    await loop.sock_sendall(connection, LENGTH.pack(len(body)))
                await loop.sock_sendall(connection, body)
                return connection, await _receive(connection)
        except (OSError, ValueError, TimeoutError) as error:
            connection.close()
            raise SeatsUnavailable(f"no answer at {self._path}: {error or 'too late'}") from error


async def _receive(connection: socket.socket) -> dict[str, Any]:
    """One answer; raises ConnectionResetError at the end of the connection, ValueError on what is no answer."""
    size = LENGTH.unpack(await _exactly(connection, LENGTH.size))[0]
    if size > MAX_ANSWER:
        raise ValueError(f"an answer of {size} bytes")
    answer = json.loads(await _exactly(connection, size))
    if not isinstance(answer, dict):
        raise ValueError("an answer that is no object")
    return answer


async def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(connection, size - len(data))
        if not part:
            raise ConnectionResetError("the seats' parent closed the connection")
        data += part
    return bytes(data)

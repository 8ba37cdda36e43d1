"""Which processes the swarm's supervisor runs, and a memory of them for when the supervisor is gone."""

from __future__ import annotations

import http.client
import socket
import threading
import xmlrpc.client
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import psutil
from supervisor.xmlrpc import SupervisorTransport

CALL_LIMIT = 5.0


class LauncherSilentError(Exception):
    """The launcher does not answer."""


class Launcher(Protocol):
    """What started the swarm's processes."""

    def running(self) -> Mapping[int, str]:
        """The names of its processes by pid; blocks a few seconds at most; raises `LauncherSilentError`."""
        ...


class Process(Protocol):
    """A process that is told from a later one with the same pid; `psutil.Process` is one."""

    def is_running(self) -> bool:
        """Whether this very process still runs."""
        ...


class SupervisorLauncher:
    """Asks supervisord over its Unix socket."""

    def __init__(self, control_socket: Path) -> None:
        self._socket = str(control_socket)

    def running(self) -> Mapping[int, str]:
        """See `Launcher`."""
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        transport._get_connection = lambda: _Connection(self._socket)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
                found = proxy.supervisor.getAllProcessInfo()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise LauncherSilentError(f"supervisor does not answer on {self._socket}: {error}") from error
        if not isinstance(found, list):
            raise LauncherSilentError(f"supervisor on {self._socket} answers {type(found).__name__}")
        return {int(one["pid"]): str(one["name"]) for one in found if one["pid"]}


class Launches:
    """The processes that the launcher was ever seen to run; safe to call from any thread."""

    def __init__(self, launcher: Launcher, look: Callable[[int], Process] = psutil.Process) -> None:
        self._launcher = launcher
        self._look = look
        self._lock = threading.Lock()
        self._known: dict[int, tuple[Process, str]] = {}

    def name_of(self, pid: int) -> str | None:
        """The name under which exactly this process runs, or None.

        Raises `LauncherSilentError` when the process is not remembered and the launcher does not answer.
        """
        name = self.remembered(pid)
        if name is None:
            self.refresh()
            name = self.remembered(pid)
        return name

    def remembered(self, pid: int) -> str | None:
        """`name_of` without asking."""
        with self._lock:
            process, name = self._known.get(pid, (None, None))
        return name if process is not None and process.is_running() else None

    def refresh(self) -> None:
        """Ask the launcher; what it does not run any more stays remembered while it runs."""
        found: dict[int, tuple[Process, str]] = {}
        for pid, name in self._launcher.running().items():
            try:
                found[pid] = (self._look(pid), name)
            except psutil.NoSuchProcess:
                continue
        with self._lock:
            alive = {pid: known for pid, known in self._known.items() if known[0].is_running()}
            self._known = {**alive, **found}


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket with a limit; supervisor's own has none."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CALL_LIMIT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CALL_LIMIT)
        self.sock.connect(self._path)

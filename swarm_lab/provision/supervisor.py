"""The process supervisor of a swarm: its configuration, its start, and the calls on its control socket."""

from __future__ import annotations

import http.client
import os
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from swarm_lab.errors import SupervisorFailed
from swarm_lab.facts.process import SWARM_VARIABLE, record_of, write_record

_CALL_LIMIT_S = 20.0
_START_LIMIT_S = 15.0
# What a notebook's kernel adds to its environment and no node may inherit.
_NOT_INHERITED = ("MPLBACKEND", "JPY_PARENT_PID", "JPY_SESSION_NAME", "SUPERVISOR_ENABLED")

_DAEMON = """\
[unix_http_server]
file = {socket}
chmod = 0700

[supervisord]
nodaemon = true
silent = true
logfile = supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = supervisord.pid
identifier = {name}
nocleanup = true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = conf.d/*.conf
"""

# A node that ends within two seconds is started again after 1, 2, 3 ... s, ten times; one that lived longer, at once.
_PROGRAM = """\
[program:{name}]
command = {command}
directory = {directory}
priority = {priority}
autostart = true
autorestart = true
startsecs = 2
startretries = 10
stopsignal = TERM
stopwaitsecs = 8
stopasgroup = false
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. `directory` is its working directory, `log` takes its stdout and stderr."""

    name: str
    command: tuple[str, ...]
    directory: Path
    log: Path
    priority: int = 500


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the supervisor says of a process: `state` is one of its own names, RUNNING and FATAL among them."""

    name: str
    state: str
    pid: int
    exit_status: int
    said: str


class _Connection(http.client.HTTPConnection):
    """HTTP over the control socket, with a limit: the transport's own connection would wait for ever."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CALL_LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Supervisor:
    """A swarm's supervisor: `swarm_dir` holds its configuration and log, `run_dir` its socket."""

    def __init__(self, swarm_dir: Path, run_dir: Path) -> None:
        self.swarm_dir = swarm_dir
        self.socket = run_dir / "supervisor.sock"

    @property
    def _programs(self) -> Path:
        return self.swarm_dir / "conf.d"

    def write_daemon(self, name: str) -> None:
        """Write the configuration without its programs, and forget the programs of before."""
        self._programs.mkdir(parents=True, exist_ok=True)
        for path in self._programs.glob("*.conf"):
            path.unlink()
        values = {"socket": self.socket, "name": name}
        (self.swarm_dir / "supervisord.conf").write_text(_fill(_DAEMON, values), "utf-8")

    def write(self, program: Program) -> None:
        """Write one program's configuration; a running supervisor takes it by `add`."""
        values = {
            "name": program.name,
            "command": shlex.join(program.command),
            "directory": program.directory,
            "priority": program.priority,
            # Below the daemon's own directory: a `%` in a log's path would have to be doubled twice.
            "log": program.log.relative_to(self.swarm_dir),
        }
        program.directory.mkdir(parents=True, exist_ok=True)
        (self._programs / f"{program.name}.conf").write_text(_fill(_PROGRAM, values), "utf-8")

    def start(self) -> None:
        """Start the daemon in a session of its own, so that it outlives its starter; raises `SupervisorFailed`."""
        self.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "swarm_lab.provision.daemon", "-c", "supervisord.conf"]
        with (self.swarm_dir / "supervisord.out").open("wb") as output:
            daemon = subprocess.Popen(
                command,
                cwd=self.swarm_dir,
                env=_environment(self.swarm_dir),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        write_record(self.swarm_dir / "supervisor.json", record_of(daemon.pid))
        until = time.monotonic() + _START_LIMIT_S
        while not self.answers():
            if daemon.poll() is not None or time.monotonic() > until:
                daemon.kill()
                daemon.wait(timeout=5)
                said = (self.swarm_dir / "supervisord.out").read_text("utf-8", "replace").strip()
                raise SupervisorFailed(f"supervisord did not start: {said[-400:] or 'it said nothing'}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether the daemon answers on its socket."""
        try:
            self._call("getState")
        except SupervisorFailed:
            return False
        return True

    def programs(self) -> dict[str, ProgramInfo]:
        """Every process by name; raises `SupervisorFailed` when the daemon does not answer."""
        return {
            str(item["name"]): ProgramInfo(
                name=str(item["name"]),
                state=str(item["statename"]),
                pid=int(item["pid"]),
                exit_status=int(item["exitstatus"]),
                said=str(item["spawnerr"] or item["description"]),
            )
            for item in self._call("getAllProcessInfo")
        }

    def add(self, program: Program) -> None:
        """Start another program under the running daemon."""
        self.write(program)
        self._call("reloadConfig")
        self._call("addProcessGroup", program.name)

    def remove(self, name: str) -> None:
        """Stop a program and forget it."""
        self.stop([name])
        self._call("removeProcessGroup", name)
        (self._programs / f"{name}.conf").unlink(missing_ok=True)
        self._call("reloadConfig")

    def restart(self, name: str) -> None:
        """Stop a program and start it again, also one that was given up."""
        self.stop([name])
        self._call("startProcess", name, False)

    def stop(self, names: list[str], limit_s: float = 15.0) -> None:
        """Stop programs side by side; raises `SupervisorFailed` naming those that still run at the limit."""
        for name in names:
            try:
                self._call("stopProcess", name, False)
            except NotRunning:
                continue
        until = time.monotonic() + limit_s
        while left := [name for name, info in self.programs().items() if name in names and info.pid]:
            if time.monotonic() > until:
                raise SupervisorFailed(f"{', '.join(left)} did not stop within {limit_s:.0f} s")
            time.sleep(0.05)

    def shutdown(self) -> None:
        """Ask the daemon to stop everything and end; it does so after the answer."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        transport._get_connection = lambda: _Connection(str(self.socket))
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            kind = NotRunning if fault.faultString.startswith("NOT_RUNNING") else SupervisorFailed
            raise kind(f"supervisord refused {method} {arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise SupervisorFailed(f"supervisord does not answer on {self.socket}: {error}") from error


class NotRunning(SupervisorFailed):
    """A program that was to be stopped did not run."""


def _environment(swarm_dir: Path) -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    return {**kept, SWARM_VARIABLE: str(swarm_dir), "PYTHONUNBUFFERED": "1"}


def _fill(template: str, values: Mapping[str, object]) -> str:
    """Fill in values as supervisor's INI reads them: `%` doubled; a comment sign after a space cannot be written."""
    texts = {key: str(value).replace("%", "%%") for key, value in values.items()}
    for text in texts.values():
        if any(sign in text for sign in ("\n", " ;", " #")):
            raise SupervisorFailed(f"a path with ' ;', ' #' or a line break cannot be used: {text!r}")
    return template.format(**texts)

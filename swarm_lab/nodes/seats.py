"""The warm parent of a host's seats: it has imported the framework, and forks a process for each program.

It computes nothing itself (thread pools do not survive a fork), runs no event loop and no thread, and ends no program:
children of a dead parent go on. `SeatsClient` is the other end of its socket.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import os
import selectors
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

from swarm_lab.callback import runner
from swarm_lab.callback.messages import LENGTH
from swarm_lab.facts import logs, process
from swarm_lab.facts.state import StateFile
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.launching import allowed

log = logging.getLogger(__name__)

SOCKET = "seats.sock"
MAX_REQUEST = 1024 * 1024
MAX_CLIENTS = 256
# Pools of threads that libraries make when they are imported would be lost in a child.
SINGLE = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True, slots=True)
class Job:
    """What a forked child runs."""

    program: str
    arguments: tuple[str, ...]
    directory: str
    environment: dict[str, str]
    stdout: int
    stderr: int


@dataclass(slots=True)
class Client:
    """A connection: what it has sent so far, and the child that it waits for."""

    socket: socket.socket
    data: bytearray = field(default_factory=bytearray)
    descriptors: list[int] = field(default_factory=list)
    child: int | None = None

    def say(self, **answer: Any) -> None:
        """Send one answer; a client that has gone does not need it."""
        body = json.dumps(answer).encode()
        with contextlib.suppress(OSError):
            self.socket.sendall(LENGTH.pack(len(body)) + body)

    def close(self) -> None:
        """Close the connection and the descriptors that were not used."""
        self.socket.close()
        while self.descriptors:
            os.close(self.descriptors.pop())


class Seats:
    """The loop: takes requests, forks, reports exits. `serve` returns a Job in a child and None in the parent."""

    def __init__(self, path: Path, state: StateFile) -> None:
        self._state = state
        self._clients: dict[socket.socket, Client] = {}
        self._ending = False
        self._memory: dict[str, float] = {}
        self._listener = _listener(path)
        self._woken, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for part in (self._listener, self._woken, self._wake):
            part.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self) -> Job | None:
        """Serve until SIGTERM or SIGINT; None then. In a forked child: what it has to run."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._tell()
        while not self._ending:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._reap()
                elif (
                    _is_socket(key.fileobj)
                    and (client := self._clients.get(key.fileobj))
                    and (job := self._read(client))
                ):
                    return job
        self._close()
        return None

    def _end(self, number: int, frame: object) -> None:
        self._ending = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._clients) >= MAX_CLIENTS:
                connection.close()
                return
            connection.setblocking(False)
            self._clients[connection] = Client(connection)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, client: Client) -> Job | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(client.socket, 65536, 2)
        except BlockingIOError:
            return None
        except OSError:
            data, descriptors = b"", []
        client.descriptors += descriptors
        client.data += data
        if not data or client.child is not None or len(client.data) > MAX_REQUEST:
            self._drop(client)
            return None
        size = LENGTH.unpack_from(client.data)[0] if len(client.data) >= LENGTH.size else MAX_REQUEST
        if len(client.data) < LENGTH.size + size:
            return None
        return self._answer(client, bytes(client.data[LENGTH.size :]))

    def _answer(self, client: Client, body: bytes) -> Job | None:
        try:
            request = json.loads(body)
            if request["do"] == "show":
                client.say(**self._facts())
                self._drop(client)
                return None
            stdout, stderr = client.descriptors
            job = Job(
                str(request["program"]),
                tuple(map(str, request["arguments"])),
                str(request["directory"]),
                {str(name): str(value) for name, value in request["environment"].items()},
                stdout,
                stderr,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning("refused a request that has no known form: %s", error)
            client.say(error=f"the request has no known form: {error}")
            self._drop(client)
            return None
        return self._fork(client, job)

    def _fork(self, client: Client, job: Job) -> Job | None:
        try:
            child = os.fork()
        except OSError as error:
            client.say(error=f"no new process: {error.strerror}")
            self._drop(client)
            return None
        if child == 0:
            client.descriptors.clear()
            self._close()
            return job
        client.child = child
        while client.descriptors:
            os.close(client.descriptors.pop())
        client.say(pid=child)
        log.info("forked a seat for %s", job.program, extra={"pid": child})
        self._tell()
        return None

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if child == 0:
                break
            code = os.waitstatus_to_exitcode(status)
            log.info("a seat's program ended with %d", code, extra={"pid": child})
            for client in [one for one in self._clients.values() if one.child == child]:
                client.say(exit=code)
                self._drop(client)
        self._tell()

    def _drop(self, client: Client) -> None:
        self._selector.unregister(client.socket)
        del self._clients[client.socket]
        client.close()

    def _close(self) -> None:
        """Close every object that owns a descriptor, so that no late destructor closes another one's number."""
        signal.set_wakeup_fd(-1)
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._selector.close()
        for part in (self._listener, self._woken, self._wake):
            part.close()

    def _facts(self) -> dict[str, Any]:
        running = sum(1 for client in self._clients.values() if client.child is not None)
        return {"pid": os.getpid(), "programs": running, **self._memory}

    def _tell(self) -> None:
        # Counting pages takes tens of milliseconds of a core, and every seat asks every few seconds.
        self._memory = memory()
        facts = self._facts()
        self._state.update("ready", f"{facts['programs']} programs run", **facts)


def memory() -> dict[str, float]:
    """Memory of this process in MB: resident, its share of it (PSS), and what is its alone; empty where unknown."""
    wanted = {"Rss:": "rss_mb", "Pss:": "pss_mb", "Private_Clean:": "", "Private_Dirty:": ""}
    found: dict[str, float] = {}
    private = 0.0
    try:
        lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return {}
    for line in lines:
        name, _, rest = line.partition(" ")
        if name in wanted:
            megabytes = int(rest.split()[0]) / 1024
            private += megabytes if not wanted[name] else 0.0
            found |= {wanted[name]: round(megabytes, 1)} if wanted[name] else {}
    return {**found, "private_mb": round(private, 1)}


def become(job: Job) -> None:
    """Turn a forked child into an ordinary process: session, signals, descriptors, directory, environment, streams."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    stdout, stderr = os.dup(job.stdout), os.dup(job.stderr)
    for source, target in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(job.environment)
    os.chdir(job.directory)
    # The parent's logs are a node's; a program's own logging begins as in a fresh interpreter.
    logging.captureWarnings(False)
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)


def main(config: NodeConfig) -> None:
    """Run the warm parent; a forked child leaves here as the user's program."""
    _fresh_environment()
    logs.configure(config)
    config.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.record_self(config.directory)
    state = StateFile(config.directory / "state.json")
    state.update("starting", f"importing {config.framework}")
    runner.warm_up(config.framework)
    if (tasks := Path("/proc/self/task")).is_dir() and (threads := len(list(tasks.iterdir()))) > 1:
        log.warning("%d threads run after the import; a program may miss them", threads)
    # Without this the collector would touch, and so copy, every shared page in each child.
    gc.collect()
    gc.freeze()
    job = Seats(config.run_dir / SOCKET, state).serve()
    if job is None:
        state.update("stopped")
        return
    become(job)
    leave(runner.run(job.program, list(job.arguments)))


def leave(status: int) -> NoReturn:
    """End a forked program as `multiprocessing` ends its children: threads, exit functions, streams, and out.

    The interpreter's own teardown would touch, and so copy, every page that it shares with the parent: four programs
    on two cores took eight seconds to end.
    """
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _fresh_environment() -> None:
    """Start again with an environment that programs may inherit; hash seed and pools are set at a start only."""
    if all(os.environ.get(name) == value for name, value in SINGLE.items()):
        return
    environment = allowed(os.environ) | SINGLE
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - this very command


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    os.chmod(path, 0o600)
    listener.listen(64)
    return listener


def _is_socket(found: object) -> TypeGuard[socket.socket]:
    return isinstance(found, socket.socket)

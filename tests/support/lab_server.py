"""A Jupyter Server with the extension, as a process of its own, and calls to it as a browser makes them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from support.lab_policies import POLICY
from support.ports import free_port
from websocket import WebSocket, WebSocketTimeoutException, create_connection

TOKEN = "for-tests"
LIMIT_S = 110.0
TESTS = Path(__file__).parents[1]


class LabServer:
    """Started on a free port. `data` is the user's data directory, `root` where files are; see `policy`."""

    def __init__(self, data: Path, root: Path) -> None:
        self.data, self.root = data, root
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = root / "server.log"

    def start(self) -> LabServer:
        self.port = free_port()
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", f"--port={self.port}", "--allow-root"]
        # Of the installed extensions only ours: JupyterLab's own take seconds.
        only = {"swarm_lab": True, "jupyterlab": False, "notebook": False, "jupyter_lsp": False,
                "notebook_shim": False, "jupyter_server_terminals": False}  # fmt: skip
        command += [
            f"--ServerApp.jpserver_extensions={only}",
            "--ServerApp.port_retries=0",
            "--ServerApp.allow_unauthenticated_access=False",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={self.root}",
            "--ServerApp.authorizer_class=support.lab_policies.Changing",
        ]
        environment = {**os.environ, "XDG_DATA_HOME": str(self.data), "PYTHONPATH": str(TESTS)}
        environment |= {"JUPYTER_CONFIG_DIR": str(self.root / "config"), "JUPYTER_RUNTIME_DIR": str(self.root / "run")}
        environment[POLICY] = str(self.root / "policy")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + LIMIT_S
        while True:
            try:
                self.get("about")
                return self
            except httpx.TransportError:
                assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    @contextlib.contextmanager
    def policy(self, allowed: str) -> Iterator[None]:
        """What its authorizer allows meanwhile, see `lab_policies`."""
        file = self.root / "policy"
        file.write_text(allowed)
        yield
        file.unlink()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/swarm-lab/api/"

    def call(self, method: str, path: str, body: Any = None, *, token: str = TOKEN) -> tuple[int, Any]:
        """Status and answer."""
        headers = {"Authorization": f"token {token}"} if token else {}
        found = httpx.request(method, self.base + path, json=body, headers=headers, timeout=LIMIT_S)
        return found.status_code, found.json() if "json" in found.headers.get("content-type", "") else found.text

    def get(self, path: str) -> tuple[int, Any]:
        return self.call("GET", path)

    def does(self, method: str, path: str, body: Any = None, *, limit: float = 120.0) -> dict[str, Any]:
        """An operation that was begun, at its end."""
        status, begun = self.call(method, path, body)
        assert status == 202, begun
        until = time.monotonic() + limit
        while begun["state"] == "running":
            assert time.monotonic() < until, begun
            time.sleep(0.05)
            begun = self.get(f"operations/{begun['id']}")[1]
        found: dict[str, Any] = begun
        return found

    def live(self, token: str = TOKEN) -> Live:
        """The WebSocket."""
        header = {"Authorization": f"token {token}"} if token else {}
        return Live(create_connection(self.base.replace("http", "ws") + "live", header=header, timeout=10))


class Live:
    """A client of the WebSocket."""

    def __init__(self, connection: WebSocket) -> None:
        self.connection = connection

    def ask(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def next(self, *kinds: str, limit: float = 10.0) -> dict[str, Any]:
        """The next message of one of these types."""
        until = time.monotonic() + limit
        while (left := until - time.monotonic()) > 0:
            self.connection.settimeout(left)
            try:
                found: dict[str, Any] = json.loads(self.connection.recv())
            except WebSocketTimeoutException:
                break
            if not kinds or found["type"] in kinds:
                return found
        raise AssertionError(f"no {kinds} within {limit} s")

    def close(self) -> None:
        self.connection.close()

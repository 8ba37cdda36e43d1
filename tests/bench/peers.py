"""Runs systems whose peers are plain processes: the floor, gloo, and others in environments of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.bench import rows
from tests.bench.machine import Watch, own_network
from tests.bench.others import Environment
from tests.bench.rows import Row

ROOT = Path(__file__).parents[2]
WARM = 1


def run(system: str, command: list[str], params: int, n: int, rounds: int, until: float) -> Row:
    """Start a peer for each rank with `command` and its arguments; end them by `until` (monotonic seconds)."""
    row = Row(system, params, n)
    with tempfile.TemporaryDirectory(prefix="swl-bench-") as place:
        folder = Path(place)
        told = folder / "instants.jsonl"
        if "floor" in command[-1]:
            from tests.bench.floor import certificates

            certificates(folder)
        begun = time.time()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        with (folder / "output").open("wb") as output:
            peers = [
                subprocess.Popen(
                    [*command, *map(str, (rank, n, params, rounds)), str(told), str(folder)],
                    cwd=ROOT,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                for rank in range(n)
            ]
        family = Family(peers)
        try:
            with Watch(family) as watch:
                ended = _wait(peers, lambda: rows.finished(rows.read_lines(told), n, rounds), until)
        finally:
            family.end()
        for name, value in watch.found.items():
            setattr(row, name, value)
        if not ended:
            row.note = "cut off by --limit"
        rows.fill(row, rows.read_lines(told), begun, WARM, counted=own_network())
        if not row.rounds and ended:
            row.note = _last_line(folder / "output")
    return row


def floor(params: int, n: int, rounds: int, until: float) -> Row:
    """The leader merge over mutual TLS."""
    return run("mTLS floor", [sys.executable, "-m", "tests.bench.floor"], params, n, rounds, until)


def gloo(params: int, n: int, rounds: int, until: float) -> Row:
    """PyTorch's all-reduce, plain."""
    return run("gloo (plain)", [sys.executable, "-m", "tests.bench.gloo"], params, n, rounds, until)


def other(environment: Environment) -> Callable[[int, int, int, float], Row]:
    """A system in its own environment."""
    command = [str(environment.python), str(environment.peer)]
    return lambda params, n, rounds, until: run(environment.label, command, params, n, rounds, until)


class Family:
    """Some processes and all that they start; ended by pid."""

    def __init__(self, peers: list[subprocess.Popen[bytes]]) -> None:
        self._peers = [psutil.Process(peer.pid) for peer in peers]
        self._children = peers
        self._known: dict[int, psutil.Process] = {}

    def __call__(self) -> Iterator[psutil.Process]:
        """Those that run."""
        for peer in self._peers:
            try:
                self._known.update({one.pid: one for one in (peer, *peer.children(recursive=True))})
            except psutil.NoSuchProcess:
                continue
        return iter([one for one in self._known.values() if one.is_running()])

    def end(self) -> None:
        """End what still runs."""
        for process in self():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for peer in self._children:
            peer.wait(30)


def _wait(peers: list[subprocess.Popen[bytes]], done: Callable[[], bool], until: float) -> bool:
    """Whether all was done, or a peer gave up, before the time was over."""
    while time.monotonic() < until:
        codes = [peer.poll() for peer in peers]
        if done() or any(codes):
            return True
        time.sleep(0.05)
    return False


def _last_line(output: Path) -> str:
    lines = output.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it ended without a word"

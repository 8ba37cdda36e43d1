"""The hosts of the fault matrix: links are hurt as asked, heal, and nothing of them is left."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from support.hosts import PARTS, Network

SIZE = 2 << 20
SERVE = f"""
import socket
with socket.create_server(("", 5000)) as server:
    print("ready", flush=True)
    while True:
        with server.accept()[0] as peer, peer.makefile("rb") as file:
            file.read({SIZE})
            peer.sendall(b"ok")
"""
ASK = f"""
import socket, sys, time
begun = time.monotonic()
with socket.create_connection((sys.argv[1], 5000), timeout=float(sys.argv[2])) as peer:
    found = time.monotonic() - begun
    peer.sendall(bytes({SIZE}))
    peer.shutdown(socket.SHUT_WR)
    peer.settimeout(20)
    assert peer.recv(2) == b"ok"
print(found, time.monotonic() - begun)
"""


@pytest.fixture
def network(need: Callable[..., None]) -> Iterator[Network]:
    """Two hosts, of which the second answers."""
    need(*PARTS)
    with contextlib.closing(Network(["one", "two"])) as made:
        command = ["nsenter", f"--net=/run/netns/{made.netns('two')}", "--", sys.executable, "-c", SERVE]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            yield made
        finally:
            server.kill()
            server.communicate(timeout=10)


def asked(network: Network, limit: float = 15.0) -> tuple[float, float] | None:
    """Seconds until connected and until 2 MB were taken; None where nobody was reached within the limit."""
    command = ["nsenter", f"--net=/run/netns/{network.netns('one')}", "--", sys.executable, "-c", ASK]
    done = subprocess.run(
        [*command, network.address("two"), str(limit)], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        assert "timed out" in done.stderr, done.stderr
        return None
    found, whole = done.stdout.split()
    return float(found), float(whole)


def test_links_are_hurt_and_heal(network: Network) -> None:
    assert asked(network) is not None
    network.far("two", 0.2)
    far = asked(network)
    assert far is not None and far[0] > 0.35
    network.heal()
    network.slow("two", "8mbit")
    slow = asked(network)
    assert slow is not None and slow[1] > 1.2
    network.heal()
    network.halves(["one"], ["two"])
    assert asked(network, 2.0) is None
    network.heal()
    network.one_way("two", ["one"])
    assert asked(network, 2.0) is None
    network.heal()
    network.unplug("one")
    assert asked(network, 2.0) is None
    network.heal()
    network.lossy("two", 2.0)
    assert asked(network) is not None
    network.heal()
    assert asked(network) is not None


def test_nothing_is_left(network: Network) -> None:
    network.far("one", 0.1)
    network.slow("two", "1mbit")
    network.close()
    until = time.monotonic() + 5
    while left := _listed(network.bridge[:-1]):
        assert time.monotonic() < until, left
        time.sleep(0.05)


def _listed(tag: str) -> list[str]:
    found = [
        subprocess.run(["ip", *what], capture_output=True, text=True, timeout=10, check=True).stdout
        for what in (("netns", "list"), ("-brief", "link"))
    ]
    return [line for text in found for line in text.splitlines() if line.startswith((tag, "swt-far"))]

"""Which ports a swarm on one machine listens on: the defaults when they are free, else free ones."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Container, Iterator, Mapping

import psutil

from swarm_lab.errors import BadSpec, PortTaken

LOOPBACK = "127.0.0.1"
DEFAULTS = {"license": 5814, "chain": 8545, "sentinel": 30304, "sn": 30304, "sl": 30305}
# Below the range that the kernel takes for outgoing connections, so that a stopped swarm finds its ports again.
_OTHERS = range(30400, 32700)


def port_of(address: str) -> int:
    """The port of `host:port`."""
    return int(address.rpartition(":")[2])


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now; raises `BadSpec` for an address that this machine lacks."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            if error.errno == errno.EADDRNOTAVAIL:
                raise BadSpec(f"hosts: this machine does not have the address {host}") from error
            raise
        return True


def free_ports(kind: str, taken: Container[int]) -> Iterator[int]:
    """Ports for nodes of a kind, its default first, without those in `taken` (of other swarms, running or not)."""
    # From a place of its own, so that two swarms that come up at the same moment do not want the same ports.
    start = random.randrange(len(_OTHERS))  # noqa: S311 - nobody is to be kept from guessing it
    for port in (DEFAULTS[kind], *_OTHERS[start:], *_OTHERS[:start]):
        if port not in taken and is_free(port):
            yield port
    raise PortTaken(f"no free port for {kind} in {_OTHERS.start}-{_OTHERS.stop - 1}")


def holder(port: int) -> psutil.Process | None:
    """Who listens on the port; None where that cannot be seen."""
    for process in psutil.process_iter(["name", "cmdline"]):
        try:
            found = process.net_connections(kind="tcp")
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in found):
            return process
    return None


def held_by(port: int) -> str:
    """Who listens on the port, for people: command and pid, or that it cannot be seen."""
    found = holder(port)
    if found is None:
        return "a process that this user cannot see"
    return f"{' '.join(found.info['cmdline'] or [found.info['name']])[:120]} (pid {found.pid})"


def check_free(addresses: Mapping[str, str]) -> None:
    """Raise `PortTaken` naming each node whose `host:port` another process holds, and who that is."""
    taken = []
    for node, address in addresses.items():
        host, _, port = address.rpartition(":")
        if not is_free(int(port), host):
            taken.append(f"port {port} of {node} is held by {held_by(int(port))}")
    if taken:
        raise PortTaken("; ".join(taken))

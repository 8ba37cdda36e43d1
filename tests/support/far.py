"""Frames between an interface and a bridge, each some time later: a long way for kernels without `netem`.

`python far.py INTERFACE BRIDGE SECONDS` takes INTERFACE's place on BRIDGE by a TAP device of its own, until SIGTERM.
It needs root, and INTERFACE must not be a port of the bridge itself.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

_ETH_P_ALL, _PACKET_VNET_HDR, _SOL_PACKET, _OUTGOING = 0x0003, 15, 263, 4
_TUNSETIFF, _TAP, _NO_PI, _VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
_FORWARDING = "3"  # of a bridge's port
# A frame travels with the kernel's own header before it: what is longer than the link's limit stays one frame.
_LARGEST = 1 << 17

Frames = deque[tuple[float, bytes]]


def tap(bridge: str) -> tuple[int, str]:
    """A TAP device that is a port of the bridge; it is gone once the file is closed."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    asked = struct.pack("16sH22x", b"swt-far%d", _TAP | _NO_PI | _VNET_HDR)
    name = fcntl.ioctl(device, _TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
    subprocess.run(["ip", "link", "set", name, "master", bridge, "up"], check=True, timeout=10)
    return device, name


def packets(interface: str) -> socket.socket:
    """All frames that come in on the interface; what is sent goes out there."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    found.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    found.bind((interface, _ETH_P_ALL))
    found.setblocking(False)
    return found


def _taken(source: int, wire: socket.socket, device: int) -> bytes | None:
    """The next frame of one side; None where there is none, or where it is one that went out."""
    try:
        if source == device:
            return os.read(device, _LARGEST)
        frame, address = wire.recvfrom(_LARGEST)
    except (BlockingIOError, InterruptedError):
        return None
    return None if address[2] == _OUTGOING else frame


def carry(wire: socket.socket, device: int, delay: float) -> None:
    """Move frames both ways for ever; one that the other side does not take is lost, as on any wire."""
    ways: dict[int, Frames] = {wire.fileno(): deque(), device: deque()}
    while True:
        due = min((way[0][0] for way in ways.values() if way), default=None)
        wait = 1.0 if due is None else max(due - time.monotonic(), 0.0)
        for source in select.select(list(ways), [], [], wait)[0]:
            frame = _taken(source, wire, device)
            if frame is not None:
                ways[source].append((time.monotonic() + delay, frame))
        for source, way in ways.items():
            while way and way[0][0] <= time.monotonic():
                frame = way.popleft()[1]
                try:
                    os.write(wire.fileno() if source == device else device, frame)
                except OSError:
                    continue


def main() -> None:
    """Say `ready` once frames go through."""
    interface, bridge, delay = sys.argv[1], sys.argv[2], float(sys.argv[3])
    wire = packets(interface)
    device, name = tap(bridge)
    # The bridge takes a new port up to a second later.
    state = Path(f"/sys/class/net/{name}/brport/state")
    until = time.monotonic() + 5
    while state.read_text().strip() != _FORWARDING and time.monotonic() < until:
        time.sleep(0.01)
    print("ready", flush=True)
    carry(wire, device, delay)


if __name__ == "__main__":
    main()

"""Which process is at the other end of a Unix socket: the one place that differs between Linux and macOS."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass
from typing import Protocol

# <sys/un.h> of macOS; Python has no names for them.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
_XUCRED = struct.Struct("IIh16I")


@dataclass(frozen=True, slots=True)
class Caller:
    """The process that connected, as the kernel says: it cannot be claimed."""

    pid: int
    uid: int


class HasOptions(Protocol):
    """A socket, or asyncio's stand-in for one."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """See `socket.socket`."""
        ...


def caller_of(connection: HasOptions) -> Caller:
    """The process at the other end of a connected Unix socket, as it was when it connected."""
    if sys.platform == "darwin":
        found = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        uid = _XUCRED.unpack(found.ljust(_XUCRED.size, b"\0"))[1]
        (pid,) = struct.unpack("i", connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4))
    else:
        pid, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Caller(pid, uid)

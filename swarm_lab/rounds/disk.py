"""Large buffers to disk, durably: past the kernel's cache where memory and file system allow it.

A model that is written every round is not read again soon; copying it into the cache costs as much as the write.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np

from swarm_lab.rounds.layout import Buffer

PAGE: Final = 4096
"""Direct writes begin, end, and lie in memory at multiples of it."""
_DIRECT: Final[int] = getattr(os, "O_DIRECT", 0)
_SMALL: Final = 1 << 20  # bytes below which the cache is no slower


def write_durably(path: Path, head: bytes, body: Buffer) -> None:
    """Make `path` a file of `head` and `body`, and have it on the disk; the head fills whole pages. Raises `OSError`.

    A file that is there is written over in its place, which spares the file system the search for room.
    """
    data = memoryview(body).cast("B")
    done = _directly(path, head, data)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        if not done:
            _all(descriptor, memoryview(head), 0)
        _all(descriptor, data[done:], len(head) + done)
        os.ftruncate(descriptor, len(head) + data.nbytes)
        getattr(os, "fdatasync", os.fsync)(descriptor)
    finally:
        os.close(descriptor)


def _directly(path: Path, head: bytes, data: memoryview) -> int:
    """Write the head and as many whole pages of the body as can be; 0 where nothing was written."""
    whole = data.nbytes // PAGE * PAGE
    if not _DIRECT or data.nbytes < _SMALL or np.frombuffer(data, np.uint8).ctypes.data % PAGE:
        return 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _DIRECT, 0o644)
    except OSError as error:
        if error.errno == errno.EINVAL:  # this file system always goes through its cache
            return 0
        raise
    try:
        with mmap.mmap(-1, len(head)) as aligned:
            aligned[:] = head
            _all(descriptor, memoryview(aligned), 0)
        _all(descriptor, data[:whole], len(head))
    except OSError as error:
        if error.errno == errno.EINVAL:  # it says so only now, or wants larger pages
            return 0
        raise
    finally:
        os.close(descriptor)
    return whole


def _all(descriptor: int, data: memoryview, at: int) -> None:
    done = 0
    while done < data.nbytes:
        done += os.pwrite(descriptor, data[done:], at + done)

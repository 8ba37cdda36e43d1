"""The memory that a node shares with one program: header, contribution, merged model."""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import struct
import sys
import tempfile
from dataclasses import dataclass

import psutil

from swarm_lab.callback.messages import (
    AT_ATTENTION,
    AT_BATCHES,
    AT_EPOCH,
    AT_HELD,
    AT_HOLD,
    AT_LOSS,
    AT_TIME,
    HEADER,
    PAGE,
)
from swarm_lab.errors import ModelTooLarge


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running program's header says.

    `at` is the monotonic clock in seconds at the end of the last batch, 0 before the first; `loss` the training loss
    of that batch, None when the program does not tell it.
    """

    batches: int
    epochs: int
    at: float
    loss: float | None


class Segment:
    """Anonymous memory of `HEADER + 2 * size` bytes behind one descriptor; it has no name in any file system.

    On Linux it is a memfd whose size is sealed, so that a program cannot cut it and crash the node that maps it;
    elsewhere an unlinked file, which a program of the same user could cut.
    """

    def __init__(self, nbytes: int) -> None:
        """Room for two models of `nbytes` each; raises ModelTooLarge when the machine has not that much memory."""
        self.size = max(PAGE, -(-nbytes // PAGE) * PAGE)
        total = HEADER + 2 * self.size
        free = psutil.virtual_memory().available
        if total > free:
            raise ModelTooLarge(f"two models of {nbytes} bytes do not fit into {free} bytes of free memory")
        self.descriptor = _anonymous(total)
        self._map = mmap.mmap(self.descriptor, total)
        self._whole = memoryview(self._map)
        self.contribution = self._whole[HEADER : HEADER + nbytes]
        """The program's tensors; a hostile program may write there while it is parked."""
        self.merged = self._whole[HEADER + self.size : HEADER + self.size + nbytes]
        """Where the node puts the model that the program loads."""
        self._last: Progress | None = None

    def attend(self, wanted: bool) -> None:
        """Ask the program to come to a sync point after its present batch, or take that back."""
        if self.descriptor >= 0:
            self._map[AT_ATTENTION] = int(wanted)

    def hold(self, wanted: bool) -> None:
        """Ask the program to leave its contribution as it is, or take that back."""
        if self.descriptor >= 0:
            self._map[AT_HOLD] = int(wanted)

    @property
    def held(self) -> bool:
        """Whether the program waits to write its next contribution."""
        return self.descriptor >= 0 and bool(self._map[AT_HOLD]) and bool(self._map[AT_HELD])

    def progress(self) -> Progress:
        """The header as it is now, or was at the end; a program can write anything there, so it decides nothing."""
        if self._last is not None:
            return self._last
        batches, at, loss, epochs = (
            struct.unpack_from(form, self._map, position)[0]
            for form, position in (("=Q", AT_BATCHES), ("=d", AT_TIME), ("=d", AT_LOSS), ("=Q", AT_EPOCH))
        )
        known = loss if batches and math.isfinite(loss) else None
        return Progress(batches, epochs, at if math.isfinite(at) else 0.0, known)

    def close(self) -> None:
        """Give the memory back; views that others still hold keep their part of it."""
        if self.descriptor >= 0:
            # The program may end at any moment: whoever samples its progress must not meet a closed map.
            self._last = self.progress()
            os.close(self.descriptor)
            self.descriptor = -1
        # Who still holds a view keeps the memory until it lets it go: a last contribution outlives its program.
        self.contribution = self.merged = memoryview(b"")
        with contextlib.suppress(BufferError):
            self._whole.release()
            self._map.close()


def _anonymous(total: int) -> int:
    if sys.platform == "linux":
        descriptor = os.memfd_create("swarm-lab", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        descriptor, path = tempfile.mkstemp(prefix="swarm-lab-")
        os.unlink(path)
    try:
        os.ftruncate(descriptor, total)
        if hasattr(os, "posix_fallocate"):
            # Now or never: a page that is missing later is a SIGBUS in the middle of a round.
            os.posix_fallocate(descriptor, 0, total)
        if sys.platform == "linux":
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        os.close(descriptor)
        raise ModelTooLarge(f"{total} bytes of shared memory cannot be had: {error.strerror}") from error
    return descriptor

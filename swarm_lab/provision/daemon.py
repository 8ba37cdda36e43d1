"""Runs supervisord so that a full disk does not end it: `python -m swarm_lab.provision.daemon -c supervisord.conf`.

Its log handlers report what they could not write on stderr, which lies on the same disk; that second failure would
otherwise leave the event loop and end the supervisor with all its nodes.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO

from supervisor import supervisord


class _Shrugging:
    """A text stream that drops what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()


if __name__ == "__main__":
    sys.stdout, sys.stderr = _Shrugging(sys.stdout), _Shrugging(sys.stderr)
    supervisord.main()

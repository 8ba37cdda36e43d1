"""The next try of a write that a full disk did not take."""

from __future__ import annotations

import threading
from collections.abc import Callable

RETRY_S = 1.0


def later(work: Callable[[], None]) -> None:
    """Do `work` in a while, in a thread that holds no process up."""
    timer = threading.Timer(RETRY_S, work)
    timer.daemon = True
    timer.start()

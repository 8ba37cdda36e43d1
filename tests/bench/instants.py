"""What every peer of a bench does alike: the content that it starts from, and a line for each average that it holds.

Standard library and numpy only: it also runs in the environments of other systems, and beside a program of a swarm.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

TENSORS = 20


def content(count: int) -> list[Any]:
    """`count` float32 in 20 tensors, the same for every peer; random, as equal content is deduplicated by some systems.

    The very last element is 0, so that an average can be read off it.
    """
    rng = np.random.default_rng(5)
    cuts = [count * i // TENSORS for i in range(TENSORS + 1)]
    tensors = [rng.standard_normal(b - a, dtype=np.float32) for a, b in itertools.pairwise(cuts)]
    tensors[-1][-1] = 0
    return tensors


def loopback() -> int:
    """Bytes that this network namespace has received over loopback; 0 where the kernel does not tell."""
    try:
        lines = Path("/proc/net/dev").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:")), 0)


def put(path: str | Path, **facts: Any) -> None:
    """Append one line; lines of several processes do not mix."""
    line = json.dumps({"time": time.time(), **facts}) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def held(path: str | Path, who: int, number: int, value: float) -> None:
    """Peer `who` holds the average of round `number` (from 0); `value` is its last element."""
    put(path, who=who, round=number, value=value, loopback=loopback())


def checked(path: str | Path, tensors: list[Any], rounds: int, mean: float) -> None:
    """Compare all elements with what they must be after so many rounds, each of which added `mean`."""
    start = content(sum(tensor.size for tensor in tensors))
    worst = max(
        float(np.max(np.abs(now - (was + np.float32(rounds * mean))))) for now, was in zip(tensors, start, strict=True)
    )
    put(path, worst=worst)

"""A node's log for people: its last lines, and what comes after."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from swarm_lab.facts.paths import SwarmPaths

_BLOCK = 1 << 20
_LOOK_S = 0.1


def tail(paths: SwarmPaths, node: str, lines: int) -> list[str]:
    """The last lines of a node's log, also over a rotation; empty where it has written nothing."""
    path = paths.log(node)
    found: list[str] = []
    for part in (path.with_name(path.name + ".1"), path):
        if part.exists():
            with part.open("rb") as file:
                file.seek(max(0, part.stat().st_size - _BLOCK))
                found += file.read().decode("utf-8", "replace").splitlines()
    return found[-lines:] if lines > 0 else []


def follow(paths: SwarmPaths, node: str, lines: int, limit_s: float) -> Iterator[str]:
    """The last `lines`, then each line as it comes; ends when none came for `limit_s` seconds."""
    path = paths.log(node)
    position = path.stat().st_size if path.exists() else 0
    yield from tail(paths, node, lines)
    until = time.monotonic() + limit_s
    rest = b""
    while time.monotonic() < until:
        size = path.stat().st_size if path.exists() else 0
        if size < position:  # rotated: what follows is in a new file
            position, rest = 0, b""
        if size == position:
            time.sleep(_LOOK_S)
            continue
        with path.open("rb") as file:
            file.seek(position)
            block = file.read(_BLOCK)
        position += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
        until = time.monotonic() + limit_s


def for_people(line: str) -> str:
    """A line of a structured log as one would say it; any other line as it is."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return line
    if not isinstance(found, dict) or "message" not in found:
        return line
    where = "".join(f" [{found[key]}]" for key in ("training", "round") if key in found)
    trace = f"\n{found['traceback']}" if found.get("traceback") else ""
    return f"{found.get('time', '')} {found.get('level', '')!s:7}{where} {found['message']}{trace}"

"""Pages of a node's log by byte offsets, and a search that reads a large one in pieces and within a limit of time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

from swarm_lab.jupyter.server.models import LogLine, LogPage

MAX_LINES = 5000
MAX_MATCHES = 1000
SEARCH_S = 2.0
_BLOCK = 64 << 10
_SEARCH_BLOCK = 4 << 20
# Lines of one page are looked for in so many bytes: a file without a line break is no page.
_PAGE_BYTES = 8 << 20
_MAX_TEXT = 20_000

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: dict[str, Level] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "critical": "error",
}


def page(
    path: Path,
    lines: int,
    before: int | None = None,
    search: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> LogPage:
    """The last `lines` lines that end at offset `before` or the end; with `search` also where lines have that text."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return LogPage(lines=[], start=0, end=0, size=0, matches=[] if search else None, searched_from=None)
    with file:
        size = file.seek(0, 2)
        end = size if before is None else min(max(before, 0), size)
        block, start = _last_lines(file, end, min(max(lines, 0), MAX_LINES))
        found, down_to = _search(file, end, search, clock) if search else (None, None)
    return LogPage(lines=lines_of(block, start), start=start, end=end, size=size, matches=found, searched_from=down_to)


def lines_of(block: bytes, start: int) -> list[LogLine]:
    """The lines of a piece of a log that begins at offset `start`."""
    found = []
    for line in block.splitlines(keepends=True):
        found.append(_line(line, start))
        start += len(line)
    return found


def _last_lines(file: BinaryIO, end: int, count: int) -> tuple[bytes, int]:
    """The last `count` lines before `end`, and where they begin."""
    parts: list[bytes] = []
    start, breaks = end, 0
    # One more: the break before the first of them.
    while start > 0 and end - start < _PAGE_BYTES and breaks <= count:
        step = min(_BLOCK, start)
        start -= step
        file.seek(start)
        parts.append(file.read(step))
        breaks += parts[-1].count(b"\n")
    block = b"".join(reversed(parts))
    lines = block.splitlines(keepends=True)
    kept = lines[max(len(lines) - count, 0) :]
    if start > 0 and len(kept) == len(lines) > 1:
        del kept[0]  # its beginning lies before the piece that was read
    size = sum(map(len, kept))
    return block[len(block) - size :], end - size


def _search(file: BinaryIO, end: int, text: str, clock: Callable[[], float]) -> tuple[list[int], int]:
    """Offsets of the lines before `end` that have the text, newest first, and down to where was looked.

    Case does not matter; what is not ASCII is looked for as it is and as JSON writes it.
    """
    needles = {text.lower().encode(), json.dumps(text)[1:-1].lower().encode()}
    overlap = max(map(len, needles))
    until = clock() + SEARCH_S
    found: dict[int, None] = {}
    start = end
    while start > 0 and clock() < until and len(found) < MAX_MATCHES:
        stop = min(start + overlap, end)
        start = max(start - _SEARCH_BLOCK, 0)
        file.seek(start)
        block = file.read(stop - start).lower()
        places = sorted((at for needle in needles for at in _places(block, needle)), reverse=True)
        for at in places:
            found[_line_start(file, start + at)] = None
            if len(found) >= MAX_MATCHES:
                break
    return list(found), start


def _places(block: bytes, needle: bytes) -> list[int]:
    """One place a line: the last in it."""
    places, end = [], len(block)
    while (at := block.rfind(needle, 0, end)) >= 0:
        places.append(at)
        end = block.rfind(b"\n", 0, at) + 1
        if end == 0:
            break
    return places


def _line_start(file: BinaryIO, at: int) -> int:
    """Where the line around an offset begins; within a page's bytes."""
    start = at
    while start > 0 and at - start < _PAGE_BYTES:
        step = min(_BLOCK, start)
        file.seek(start - step)
        place = file.read(step).rfind(b"\n")
        if place >= 0:
            return start - step + place + 1
        start -= step
    return start


def _line(line: bytes, offset: int) -> LogLine:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        found = json.loads(text) if text.startswith("{") else None
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or "message" not in found:
        level: Level = "error" if "Error" in text or "Traceback" in text else "info"
        return LogLine(offset=offset, time=None, level=level, text=text[:_MAX_TEXT])
    where = "".join(f"[{found[key]}] " for key in ("training", "round") if key in found)
    trace = f"\n{found['traceback']}" if found.get("traceback") else ""
    return LogLine(
        offset=offset,
        time=_seconds(found.get("time")),
        level=_LEVELS.get(str(found.get("level")), "info"),
        text=f"{where}{found['message']}{trace}"[:_MAX_TEXT],
    )


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None

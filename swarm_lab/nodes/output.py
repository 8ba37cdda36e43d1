"""What a program writes to stdout and stderr: raw into a file, as lines to whoever shows them."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Stream = Literal["stdout", "stderr"]
OnLine = Callable[[Stream, str], None]

CHUNK = 65536
MAX_LINE = 4096
MAX_FILE = 64 * 1024 * 1024
LINES_PER_SECOND = 100
BURST = 1000
TAIL = 20


class Lines:
    """Cuts bytes into lines of at most `MAX_LINE` bytes, of which it lets a bounded number a second through.

    Bytes that are no UTF-8 become replacement characters; of a line that is redrawn with carriage returns the last
    state counts. What is left out is counted and said.
    """

    def __init__(self, on_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_line = on_line
        self._clock = clock
        self._part = bytearray()
        self._cut = 0
        self._returned = False
        self._tokens = float(BURST)
        self._then = clock()
        self._left_out = 0

    def feed(self, data: bytes) -> None:
        """Take what was written."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._append(part)
            self._flush()
        self._append(rest)

    def end(self) -> None:
        """No more comes."""
        if self._part:
            self._flush()
        self._say_left_out()

    def _append(self, part: bytes) -> None:
        for number, piece in enumerate(part.split(b"\r")):
            self._returned |= number > 0
            if not piece:
                continue
            if self._returned:
                self._clear()
            room = MAX_LINE - len(self._part)
            self._part += piece[:room]
            self._cut += max(0, len(piece) - room)

    def _clear(self) -> None:
        self._part.clear()
        self._cut = 0
        self._returned = False

    def _flush(self) -> None:
        text = self._part.decode("utf-8", "replace")
        if self._cut:
            text += f" [{self._cut} more bytes]"
        self._clear()
        now = self._clock()
        self._tokens = min(float(BURST), self._tokens + (now - self._then) * LINES_PER_SECOND)
        self._then = now
        if self._tokens < 1:
            self._left_out += 1
            return
        self._tokens -= 1
        self._say_left_out()
        self._on_line(text)

    def _say_left_out(self) -> None:
        if self._left_out:
            self._on_line(f"[{self._left_out} lines left out here; output.log has them]")
            self._left_out = 0


class Output:
    """Reads both streams of a program until they end. `tail` holds the last lines of stderr."""

    def __init__(self, path: Path, on_line: OnLine) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._room = MAX_FILE - os.fstat(self._file).st_size
        self._on_line = on_line
        self._open: dict[int, Lines] = {}
        self._ended = asyncio.Event()
        self.tail: deque[str] = deque(maxlen=TAIL)

    def add(self, stream: Stream) -> int:
        """A new pipe for this stream; returns the end for the program, which the caller closes after the start."""
        mine, theirs = os.pipe()
        os.set_blocking(mine, False)
        lines = Lines(lambda text: self._line(stream, text))
        self._open[mine] = lines
        asyncio.get_running_loop().add_reader(mine, self._read, mine, lines)
        return theirs

    def write(self, text: str) -> None:
        """Add something that the node says to the file."""
        self._store(text.encode())

    async def ended(self, limit: float) -> None:
        """Wait at most `limit` seconds for the end of both streams, then close: a left-over child may hold them."""
        try:
            async with asyncio.timeout(limit):
                await self._ended.wait()
        except TimeoutError:
            pass
        for descriptor in list(self._open):
            self._close(descriptor)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self, descriptor: int, lines: Lines) -> None:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return
        if data:
            self._store(data)
            lines.feed(data)
        else:
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        self._open.pop(descriptor).end()
        if not self._open:
            self._ended.set()

    def _line(self, stream: Stream, text: str) -> None:
        if stream == "stderr":
            self.tail.append(text)
        self._on_line(stream, text)

    def _store(self, data: bytes) -> None:
        if self._file < 0 or self._room <= 0:
            return
        if len(data) > self._room:
            data = data[: self._room] + f"\n[output.log ends here: {MAX_FILE} bytes]\n".encode()
        self._room -= len(data)
        try:
            os.write(self._file, data)
        except OSError:  # a full disk costs the log, not the training
            self._room = 0

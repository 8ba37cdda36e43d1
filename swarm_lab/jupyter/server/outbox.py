"""What is on its way to one client: a bounded queue in which a newer state takes the place of an older one."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

LIMIT = 512


@dataclass(frozen=True, slots=True)
class Message:
    """A message, encoded once for all clients. One with a `key` replaces the one of the same key that still waits.

    `stream`: what a client has to fetch again where this could not be delivered, as (what, swarm).
    """

    text: str
    key: Hashable = None
    stream: tuple[str, str] | None = None


class Outbox:
    """One client's queue, of the event loop. Never waits when something is put in."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._waiting: OrderedDict[Hashable, Message] = OrderedDict()
        self._dropped: dict[tuple[str, str], None] = {}
        self._numbers = itertools.count()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message) -> None:
        """Add a message. Without room the oldest one that can be fetched again goes, and the client is told."""
        key = ("", next(self._numbers)) if message.key is None else message.key
        if key in self._waiting:
            self._waiting[key] = message
        elif message.stream not in self._dropped or message.stream is None:
            self._make_room()
            self._waiting[key] = message
        self._some.set()

    def _make_room(self) -> None:
        if len(self._waiting) < self._limit:
            return
        victim = next((key for key, found in self._waiting.items() if found.stream), next(iter(self._waiting)))
        stream = self._waiting.pop(victim).stream
        if stream is not None:
            # The rest of it would leave a hole: all of it is fetched again.
            self._dropped[stream] = None
            for key in [key for key, found in self._waiting.items() if found.stream == stream]:
                del self._waiting[key]

    async def take(self) -> Message | tuple[str, str]:
        """The next message, or what was dropped as (what, swarm); waits until there is something."""
        while not self._waiting and not self._dropped:
            self._some.clear()
            await self._some.wait()
        if self._dropped:
            stream = next(iter(self._dropped))
            del self._dropped[stream]
            return stream
        return self._waiting.popitem(last=False)[1]

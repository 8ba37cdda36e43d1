"""Channels to peers that outlive an SVID: new calls move to the new one, open calls end on the old."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from swarm_lab.identity.credentials import channel
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import IdentitySource

# All channels of all nodes learn of a rotation in the same second; they move within this many seconds.
SPREAD = 30.0

Clock = Callable[[], float]
Opener = Callable[[str, SpiffeId, IdentitySource], grpc.aio.Channel]


class Dialer:
    """The channels of one node, one for each address and peer. Belongs to the event loop that it is used in."""

    def __init__(
        self,
        source: IdentitySource,
        opener: Opener = channel,
        clock: Clock = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._opener = opener
        self._clock = clock
        self._draw = draw
        self._channels: dict[tuple[str, SpiffeId], RotatingChannel] = {}

    def channel(self, address: str, peer: SpiffeId) -> RotatingChannel:
        """The channel to `peer` at `address`; keep it, and stubs made of it, as long as you like.

        Connects at the first call. A call raises `IdentityExpired` or `UnknownTrustDomain` where no connection can be
        begun, else gRPC's errors.
        """
        key = (address, peer)
        found = self._channels.get(key)
        if found is None:

            def opener() -> grpc.aio.Channel:
                return self._opener(address, peer, self._source)

            found = RotatingChannel(self._source, opener, self._clock, self._draw)
            self._channels[key] = found
        return found

    async def forget(self, address: str, peer: SpiffeId) -> None:
        """Close the channel to a peer that has left or moved."""
        found = self._channels.pop((address, peer), None)
        if found is not None:
            await found.close()

    async def close(self, grace: float | None = None) -> None:
        """Close all channels; open calls are cancelled after `grace` seconds."""
        channels, self._channels = list(self._channels.values()), {}
        await asyncio.gather(*(one.close(grace) for one in channels))


class RotatingChannel(grpc.aio.Channel):
    """A gRPC channel that opens a new connection, with the new SVID, after its source has rotated.

    When to move is drawn at random within `SPREAD` seconds or a quarter of the old SVID's rest of life. The old
    connection is closed when its last call is over.
    """

    def __init__(
        self,
        source: IdentitySource,
        opener: Callable[[], grpc.aio.Channel],
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._source = source
        self._opener = opener
        self._clock = clock
        self._draw = draw
        self._current: _Line | None = None
        self._retired: set[_Line] = set()
        self._move_at: float | None = None
        self._opened = 0

    @property
    def connection(self) -> int:
        """The number of the connection that a call made now would take; raises as such a call does.

        A stream that was begun on an earlier one keeps that one, and its SVID, in use: who has it should begin anew.
        """
        self._line()
        return self._opened

    def _line(self) -> _Line:
        """The connection for a new call."""
        line = self._current
        if line is None:
            self._current = line = self._open()
        elif self._source.generation != line.generation and self._is_time(line):
            self._current, self._move_at = self._open(), None
            self._retired.add(line)
            line.retire(self._retired.discard)
            line = self._current
        return line

    def _open(self) -> _Line:
        # Read first: should the source rotate in between, the line is moved once more than needed, not once less.
        generation, expires = self._source.generation, self._source.svid().expires
        self._opened += 1
        return _Line(self._opener(), generation, expires)

    def _is_time(self, line: _Line) -> bool:
        now = self._clock()
        if self._move_at is None:
            self._move_at = now + self._draw() * max(0.0, min(SPREAD, (line.expires - now) / 4))
        return now >= self._move_at

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._multi("unary_unary", method, args, kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._multi("unary_stream", method, args, kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._multi("stream_unary", method, args, kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """See `grpc.aio.Channel`."""
        return self._multi("stream_stream", method, args, kwargs)

    def _multi(self, kind: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def call(*request: Any, **options: Any) -> Any:
            return self._line().call((kind, method), args, kwargs, request, options)

        return call

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See `grpc.aio.Channel`; of the connection that a new call would take."""
        return self._line().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See `grpc.aio.Channel`."""
        await self._line().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Connect; without a limit of its own, so call it under `asyncio.timeout`."""
        await self._line().channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close all connections; open calls are cancelled after `grace` seconds."""
        lines = [line for line in (self._current, *self._retired) if line is not None]
        self._current, self._retired = None, set()
        await asyncio.gather(*(line.channel.close(grace) for line in lines))

    async def __aenter__(self) -> RotatingChannel:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class _Line:
    """One connection, with the SVID it was opened with and the number of its open calls."""

    def __init__(self, opened: grpc.aio.Channel, generation: int, expires: float) -> None:
        self.channel = opened
        self.generation = generation
        self.expires = expires
        self._calls = 0
        self._methods: dict[tuple[str, str], Any] = {}
        self._when_over: Callable[[_Line], None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def call(
        self,
        name: tuple[str, str],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        request: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        """Begin a call on this connection and count it until it is done."""
        method = self._methods.get(name)
        if method is None:
            kind, path = name
            method = self._methods[name] = getattr(self.channel, kind)(path, *args, **kwargs)
        started = method(*request, **options)
        self._calls += 1
        started.add_done_callback(self._ended)
        return started

    def retire(self, when_over: Callable[[_Line], None]) -> None:
        """Take no new calls; close after the last one, then tell `when_over`."""
        self._when_over = when_over
        self._close_if_idle()

    def _ended(self, _: object) -> None:
        self._calls -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._when_over is not None and self._calls == 0 and self._closing is None:
            # Kept in a field: a task that nobody holds may be collected before it ran.
            self._closing = asyncio.ensure_future(self.channel.close(None))
            self._closing.add_done_callback(lambda _: self._when_over and self._when_over(self))

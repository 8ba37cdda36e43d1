"""When heartbeats go out, and to whom: twice a second to all, and soon when anything but the batch count changed.

A round changes a node's state half a dozen times: what comes within some milliseconds travels as one. The coordinator
that a node follows hears of each change at once, since its plan may wait for just that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from swarm_lab.rounds.messages import Heartbeat, NodeId, Phase

HEARTBEAT_S = 0.5
GATHER_S = 0.06
# In any other phase a node comes or goes, which nobody should learn late.
_AT_WORK = frozenset({Phase.TRAINING, Phase.CHECKED_IN, Phase.PLANNED, Phase.EXCHANGING, Phase.CONFIRMING})


class Heartbeats:
    """Sends what `present` gives. `spawn` runs the wait for further changes, and ends with its owner."""

    def __init__(
        self,
        me: NodeId,
        present: Callable[[], Heartbeat],
        members: Callable[[], Sequence[NodeId]],
        send: Callable[[NodeId, Heartbeat], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], float],
    ) -> None:
        self._me = me
        self._present = present
        self._members = members
        self._send = send
        self._spawn = spawn
        self._clock = clock
        self._last: Heartbeat | None = None
        self._due = 0.0
        self._gathering = False

    def beat(self) -> None:
        """Send what is due. Call it after every event, and as often as heartbeats should go out."""
        beat, now = self._present(), self._clock()
        changed = self._last is None or _without_progress(self._last) != _without_progress(beat)
        if not changed and now < self._due:
            return
        self._last = beat
        if not changed or beat.phase not in _AT_WORK:
            self._to_all(beat, now)
            return
        if beat.coordinator and beat.coordinator != self._me:
            self._send(beat.coordinator, beat)
        if not self._gathering:
            self._gathering = True
            self._spawn(self._soon())

    async def _soon(self) -> None:
        await asyncio.sleep(GATHER_S)
        if self._gathering:  # else it went to all in between
            self._last = self._present()
            self._to_all(self._last, self._clock())

    def _to_all(self, beat: Heartbeat, now: float) -> None:
        self._gathering, self._due = False, now + HEARTBEAT_S
        for peer in self._members():
            if peer != self._me:
                self._send(peer, beat)


def _without_progress(beat: Heartbeat) -> tuple[object, ...]:
    # Whether blocks move already changes nothing for others.
    phase = Phase.PLANNED if beat.phase is Phase.EXCHANGING else beat.phase
    place = (phase, beat.round, beat.prev, beat.attempt, beat.coordinator)
    return (*place, beat.model, beat.stored, beat.reason, beat.lacks, beat.unmerged, beat.heard)

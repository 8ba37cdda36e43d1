"""A training that is over on this node: who still needs its last model is given it from disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from swarm_lab.identity.ids import SpiffeId
from swarm_lab.ledger.signing import training_key
from swarm_lab.nodes.round_ports import Arrived
from swarm_lab.rounds.checkpoints import Checkpoint, Checkpoints
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.messages import FetchMessage, Heartbeat, Message, ModelMessage, NodeId, Phase

log = logging.getLogger(__name__)

Post = Callable[[NodeId, Message, "tuple[str, Buffer] | None"], Awaitable[None]]


class Archive:
    """Answers heartbeats with FINISHED, so that it is seen, and FETCH with a model."""

    layout: Layout | None = None  # it takes no models

    def __init__(
        self,
        training: str,
        checkpoints: Checkpoints,
        post: Post,
        member: Callable[[SpiffeId], NodeId | None],
    ) -> None:
        self._training = training
        self._checkpoints = checkpoints
        self._post = post
        self.member = member
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: Checkpoint | None = max(checkpoints.stored(), key=lambda c: c.round, default=None)

    def receive(self, arrived: Arrived) -> None:
        """Answer a peer that came late."""
        if self._last is None:
            return
        message = arrived.message
        if isinstance(message, Heartbeat) and message.phase is not Phase.FINISHED:
            self._spawn(self._post(arrived.sender, self._beat(self._last), None))
        elif isinstance(message, FetchMessage):
            self._spawn(self._give(arrived.sender, message.root))

    def refuse(self, sender: NodeId, reason: str) -> None:
        """A message broke a rule; the training is over, so a log line is enough."""
        log.info("refused a message for a training that is over", extra={"sender": sender, "reason": reason})

    async def _give(self, to: NodeId, digest: str) -> None:
        found = await asyncio.to_thread(self._checkpoints.load, digest)
        if found is not None:
            await self._post(to, ModelMessage(digest), (digest, found[1]))

    def _beat(self, last: Checkpoint) -> Heartbeat:
        return Heartbeat(
            training=training_key(self._training),
            phase=Phase.FINISHED,
            round=last.round + 1,
            prev=last.result_id,
            batches=last.batches,
            model=last.root,
            stored=(last.result_id,),
        )

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

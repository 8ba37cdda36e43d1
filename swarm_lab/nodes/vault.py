"""The models of one training in this node's memory, by root; what is on disk is found there."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from swarm_lab.facts import metrics
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.events import Merge, StoredModel
from swarm_lab.rounds.layout import Buffer, Layout, find_not_finite, root
from swarm_lab.rounds.merge import merge, rebase
from swarm_lab.rounds.messages import Digest

log = logging.getLogger(__name__)


class Vault:
    """Buffers by root. They are never written again once they are in; work on them runs in threads.

    `layout` is None until the program, or a checkpoint, has said what the model looks like.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.layout: Layout | None = None
        self._checkpoints = checkpoints
        self._buffers: dict[Digest, Buffer] = {}
        self._pins: Counter[Digest] = Counter()
        self._needed: frozenset[Digest] = frozenset()

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._buffers

    @property
    def nbytes(self) -> int:
        """Bytes of all models in memory."""
        return sum(memoryview(buffer).nbytes for buffer in self._buffers.values())

    def put(self, digest: Digest, buffer: Buffer) -> None:
        """Hold a model whose root has been checked."""
        self._buffers[digest] = buffer

    def get(self, digest: Digest) -> Buffer:
        """A model in memory; raises `KeyError`."""
        return self._buffers[digest]

    def keep(self, roots: frozenset[Digest]) -> None:
        """Drop all other models that are not pinned."""
        for digest in self._buffers.keys() - roots - self._pins.keys():
            del self._buffers[digest]

    def pin(self, *digests: Digest) -> None:
        """Hold these until `unpin`, whatever `keep` says."""
        self._pins.update(digests)

    def unpin(self, *digests: Digest) -> None:
        """Undo one `pin`; the next `keep` may drop them."""
        self._pins.subtract(digests)
        self._pins = +self._pins

    async def add(self, buffer: Buffer) -> Digest:
        """Hold a model and compute its root."""
        layout = self._known_layout()
        digest = await asyncio.to_thread(root, layout, buffer)
        self.put(digest, buffer)
        return digest

    async def not_finite(self, buffer: Buffer) -> str | None:
        """Name of the first tensor with a NaN or an infinity, None if all is finite."""
        return await asyncio.to_thread(find_not_finite, self._known_layout(), buffer)

    async def find(self, digest: Digest) -> Buffer | None:
        """A model in memory or on disk, None where it is in neither."""
        found = self._buffers.get(digest)
        if found is not None:
            return found
        loaded = await asyncio.to_thread(self._checkpoints.load, digest)
        if loaded is None:
            return None
        layout, buffer = loaded
        if self.layout is not None and layout != self.layout:
            log.warning("a checkpoint is of another model", extra={"difference": self.layout.difference(layout)})
            return None
        self.layout = layout
        self.put(digest, buffer)
        return buffer

    async def merge(self, order: Merge) -> Digest:
        """Do the merge that the machine ordered; raises `KeyError` where a contribution or the base is missing."""
        layout = self._known_layout()
        contributions = [(p.weight, self.get(p.root)) for p in order.participants]
        base = await self.find(order.base) if order.base else None
        if order.base and base is None:
            raise KeyError(order.base)
        with metrics.merge_seconds.time():
            merged = await asyncio.to_thread(merge, order.method, layout, contributions, base)
        return await self.add(merged)

    async def rebase(self, merged: Digest, local: Buffer, base: Digest) -> Buffer:
        """Merged model plus local work since `base`."""
        start = await self.find(base)
        if start is None:
            raise KeyError(base)
        return await asyncio.to_thread(rebase, self._known_layout(), self.get(merged), local, start)

    async def store(self, round_: int, result_id: Digest, digest: Digest, batches: int) -> None:
        """Write a model that is in memory to disk, in the place of the oldest; raises `OSError`."""
        buffer = self.get(digest)
        layout = self._known_layout()
        await asyncio.to_thread(self._checkpoints.store, round_, result_id, layout, buffer, digest, batches)
        await asyncio.to_thread(self._checkpoints.keep, self._needed | {result_id})

    async def prune(self, result_ids: frozenset[Digest]) -> None:
        """Drop checkpoints that are neither named, now or until the next call, nor of the last rounds."""
        self._needed = result_ids
        await asyncio.to_thread(self._checkpoints.keep, result_ids)

    def disk(self) -> tuple[StoredModel, ...]:
        """What the checkpoints hold, every byte of it checked: what is named here is never asked of a peer."""
        self._checkpoints.clean()
        sound = self._checkpoints.sound(self.layout)
        return tuple(StoredModel(c.result_id, c.root, c.round, c.batches) for c in sound)

    def _known_layout(self) -> Layout:
        if self.layout is None:
            raise KeyError("the model's layout is not known yet")
        return self.layout

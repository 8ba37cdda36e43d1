"""The models of one training in this node's memory, by root; what is on disk is found there."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from swarm_lab.errors import TrainingLost
from swarm_lab.facts import metrics
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.digests import Examined, examine
from swarm_lab.rounds.events import Merge, StoredModel
from swarm_lab.rounds.layout import Buffer, Layout, root
from swarm_lab.rounds.merge import merge, rebase
from swarm_lab.rounds.messages import Digest
from swarm_lab.rounds.model_file import write_model
from swarm_lab.rounds.wire import WIRES

log = logging.getLogger(__name__)

_LOOK_S, _BUSY_S = 0.01, 60.0


class Areas(Protocol):
    """The two models' worth of memory that the node shares with its program, and whose content changes (`Segment`)."""

    contribution: memoryview
    merged: memoryview

    def hold(self, wanted: bool) -> None:
        """Ask the program to leave its contribution as it is, or take that back."""
        ...


class Vault:
    """Buffers by root; those that are not in the shared areas are never written again once they are in.

    `layout` is None until the program, or a checkpoint, has said what the model looks like.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.layout: Layout | None = None
        self._checkpoints = checkpoints
        self._buffers: dict[Digest, Buffer] = {}
        self._rounded: dict[Digest, Digest] = {}
        self._blocks: dict[Digest, tuple[bytes, ...]] = {}
        self._pins: Counter[Digest] = Counter()
        self._wanted: frozenset[Digest] = frozenset()
        self._needed: frozenset[Digest] = frozenset()
        self._stored: Digest = ""
        self._areas: Areas | None = None
        self._holding = False

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._buffers

    @property
    def nbytes(self) -> int:
        """Bytes of all models in memory."""
        return sum(memoryview(buffer).nbytes for buffer in self._buffers.values())

    def put(self, digest: Digest, buffer: Buffer) -> None:
        """Hold a model whose root has been checked."""
        self._buffers[digest] = buffer
        self._tell_hold()

    def get(self, digest: Digest) -> Buffer:
        """A model in memory; raises `KeyError`."""
        return self._buffers[digest]

    def keep(self, roots: frozenset[Digest]) -> None:
        """Drop all other models that are not pinned."""
        self._wanted = roots
        for digest in self._buffers.keys() - roots - self._pins.keys():
            del self._buffers[digest]
        for digest in self._blocks.keys() - self._buffers.keys():
            del self._blocks[digest]
        self._tell_hold()

    def pin(self, *digests: Digest) -> None:
        """Hold these until `unpin`, whatever `keep` says."""
        self._pins.update(digests)

    def unpin(self, *digests: Digest) -> None:
        """Undo one `pin`; the next `keep` may drop them."""
        self._pins.subtract(digests)
        self._pins = +self._pins
        self._tell_hold()

    # --- memory that is shared with the program ------------------------------------------------------------

    def share(self, areas: Areas | None) -> None:
        """Use a program's areas from now on; those of the one before are not written any more."""
        self._areas, self._holding = areas, False

    def is_shared(self, buffer: Buffer) -> bool:
        """Whether a buffer's content may change."""
        areas = self._areas
        return areas is not None and (buffer is areas.contribution or buffer is areas.merged)

    def _tell_hold(self) -> None:
        areas = self._areas
        if areas is None:
            return
        wanted = self._wanted | self._pins.keys()
        holding = any(buffer is areas.contribution and root in wanted for root, buffer in self._buffers.items())
        if holding is not self._holding:
            self._holding = holding
            areas.hold(holding)

    async def make_room(self) -> None:
        """The program waits to write its next contribution: keep a copy of the last one, if it is still needed."""
        areas = self._areas
        if areas is None:
            return
        for digest in [known for known, buffer in self._buffers.items() if buffer is areas.contribution]:
            copy = await asyncio.to_thread(bytes, areas.contribution)
            if self._buffers.get(digest) is areas.contribution:
                self._buffers[digest] = copy
        self._holding = False
        areas.hold(False)

    def room(self) -> Buffer:
        """Where an exchange may put the merged model: the area from which the program loads it, if nobody needs that.

        The model before lies there as a rule; once it is on disk, it need not be in memory as well.
        """
        layout, areas = self._known_layout(), self._areas
        if areas is not None and areas.merged.nbytes == layout.nbytes:  # those of a program that has ended are empty
            there = [digest for digest, buffer in self._buffers.items() if buffer is areas.merged]
            free = self._pins.keys().isdisjoint(there) and self._wanted.isdisjoint({*there} - {self._stored})
            if free:
                for digest in there:
                    del self._buffers[digest]
                return areas.merged
        return np.empty(layout.nbytes, np.uint8).data

    async def load(self, model: Buffer) -> None:
        """Put the model that the program is to load into its area. Raises `TrainingLost` if a disk holds it up."""
        areas = self._areas
        if areas is None or model is areas.merged:
            return
        until = asyncio.get_running_loop().time() + _BUSY_S
        while any(buffer is areas.merged and digest in self._pins for digest, buffer in self._buffers.items()):
            if asyncio.get_running_loop().time() > until:
                raise TrainingLost(f"the last model is being written to disk for more than {_BUSY_S:.0f} s")
            await asyncio.sleep(_LOOK_S)
        there = [digest for digest, buffer in self._buffers.items() if buffer is areas.merged]
        for digest in there:
            if digest in self._wanted and digest != self._stored:
                self._buffers[digest] = bytes(areas.merged)
            else:
                del self._buffers[digest]
        await asyncio.to_thread(_copy, areas.merged, model)

    async def round(self, wire: str, buffer: Buffer, base: Digest) -> None:
        """Round a contribution in place to what travels of it in this wire format; raises `KeyError`, `ValueError`."""
        start = await self.find(base)
        if start is None:
            raise KeyError(base)
        await asyncio.to_thread(WIRES[wire].quantise, self._known_layout(), buffer, start)

    def is_rounded(self, digest: Digest, base: Digest | None) -> bool:
        """Whether a contribution was rounded for this base."""
        return base is None or self._rounded.get(digest) == base

    # --- what models hold -----------------------------------------------------------------------------------

    async def examine(self, buffer: Buffer, rounded: Digest = "") -> Examined:
        """Hold a model, if all its values are finite; its blocks' digests are known from then on.

        `rounded`: the base that it was rounded for.
        """
        found = await asyncio.to_thread(examine, self._known_layout(), buffer)
        if found.not_finite is None:
            self._blocks[found.root] = found.blocks
            self._rounded = {root: b for root, b in self._rounded.items() if root in self._buffers}
            self._rounded[found.root] = rounded
            self.put(found.root, buffer)
        return found

    async def blocks(self, digest: Digest) -> tuple[bytes, ...]:
        """The digests of the blocks of a model that is held; raises `KeyError`."""
        known = self._blocks.get(digest)
        if known is None:
            found = await asyncio.to_thread(examine, self._known_layout(), self.get(digest))
            if found.root != digest:
                raise KeyError(digest)
            known = self._blocks[digest] = found.blocks
        return known

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
        digest = await asyncio.to_thread(root, layout, merged)
        self.put(digest, merged)
        return digest

    async def rebase(self, merged: Digest, local: Buffer, base: Digest) -> Buffer:
        """Merged model plus local work since `base`."""
        start, model = await self.find(base), await self.find(merged)
        if start is None or model is None:
            raise KeyError(base if start is None else merged)
        return await asyncio.to_thread(rebase, self._known_layout(), model, local, start)

    async def store(self, round_: int, result_id: Digest, digest: Digest, batches: int) -> None:
        """Write a model that is in memory to disk, in the place of the oldest; raises `OSError`."""
        buffer = self.get(digest)
        layout = self._known_layout()
        await asyncio.to_thread(self._checkpoints.store, round_, result_id, layout, buffer, digest, batches)
        self._stored = digest
        await asyncio.to_thread(self._checkpoints.keep, self._needed | {result_id})

    async def write(self, digest: Digest, path: Path, about: Mapping[str, str]) -> None:
        """Write a model to a file of its own; raises `OSError`, and `KeyError` for one that is nowhere."""
        buffer = await self.find(digest)
        if buffer is None:
            raise KeyError(digest)
        await asyncio.to_thread(write_model, path, self._known_layout(), buffer, about)

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


def _copy(target: memoryview, source: Buffer) -> None:
    target[:] = memoryview(source).cast("B")

"""What the round machine orders of the program, made atomic between two of its batches.

The machine orders Load, Train, Park, StopProgram and Finish at any time; the program takes orders only while it is
parked. What comes in between waits here, and the program is asked to park after its present batch. So a contribution
is always relative to the base that the machine believes in.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from swarm_lab.errors import NotFinite
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.digests import Examined
from swarm_lab.rounds.events import Finish, Load, Park, ProgramReady, StopProgram, SyncPoint, Train
from swarm_lab.rounds.layout import Buffer
from swarm_lab.rounds.messages import Digest

log = logging.getLogger(__name__)

Order = Load | Train | Park | StopProgram | Finish


class Settled:
    """The actions of one event of the machine have all been given."""


SETTLED = Settled()


@dataclass(frozen=True, slots=True)
class Arrival:
    """The program has parked. `contribution`: its weights now; None if they are those of its last arrival.

    `loss` and `metric` are of the model that it was given last, `local_loss` and `local_metric` of its weights now; NaN
    where it could not measure them.
    """

    reason: Literal["begin", "interval", "end", "attention"]
    batches: int
    loss: float
    metric: float
    contribution: Buffer | None
    local_loss: float = math.nan
    local_metric: float = math.nan


class Port(Protocol):
    """The program as its node steers it."""

    def attention(self) -> None:
        """Ask it to park after its present batch."""
        ...

    async def release(
        self, model: Buffer | None, *, round_: int, interval: int | None, stop: bool, finished: bool, digest: str
    ) -> None:
        """Let a parked program go on, with these weights if there are any."""
        ...


class Pilot:
    """Carries out orders in their order. `emit` takes ProgramReady and SyncPoint for the machine."""

    def __init__(
        self,
        port: Port,
        vault: Vault,
        emit: Callable[[ProgramReady | SyncPoint], None],
        *,
        sharded: bool = False,
        wire: str = "float32",
    ) -> None:
        """`sharded`: whether this node can exchange models in blocks. `wire`: how their values travel."""
        self._sharded = sharded
        self._wire = wire
        self._port = port
        self._vault = vault
        self._emit = emit
        self._inbox: asyncio.Queue[Order | Arrival | Settled] = asyncio.Queue()
        self._waiting: list[Order] = []
        self._parked: Arrival | None = None
        self._weights: Buffer | None = None
        self._changed = False
        self._stop = False
        self._moved = False
        self._base: Digest = ""
        self._base_batches = 0
        self._before_adopt = 0
        self._round = 0
        self._interval = 0
        self._interval_began = 0
        self.finished = False

    def order(self, order: Order) -> None:
        """Take an order of the machine; models that it names stay in memory until it is done."""
        if isinstance(order, Load):
            self._vault.pin(order.root, order.base)
        self._inbox.put_nowait(order)

    def settled(self) -> None:
        """All orders of one event have been given."""
        self._inbox.put_nowait(SETTLED)

    def arrived(self, arrival: Arrival) -> None:
        """The program has parked."""
        self._inbox.put_nowait(arrival)

    @property
    def parked(self) -> bool:
        """Whether the program stands still."""
        return self._parked is not None

    async def run(self) -> None:
        """Work until cancelled; raises `KeyError` when a model that was ordered is nowhere, `NotFinite` for a NaN."""
        while True:
            item = await self._inbox.get()
            if isinstance(item, Arrival):
                await self._on_arrival(item)
            elif isinstance(item, Settled):
                await self._report_again()
            elif self._parked is not None:
                await self._carry_out(item)
            elif not self.finished:
                self._waiting.append(item)
                self._port.attention()

    async def _on_arrival(self, arrival: Arrival) -> None:
        self._parked = arrival
        if arrival.contribution is not None:
            self._weights, self._changed = arrival.contribution, False
        if arrival.reason == "begin":
            await self._on_begin(arrival)
            return
        waiting, self._waiting = self._waiting, []
        last: Train | Park | None = None
        for order in waiting:
            if isinstance(order, Train | Park):
                last = order
            else:
                await self._carry_out(order)
                last = Park() if isinstance(order, Load) and order.kind == "restore" else last
        self._moved = False
        # The end is told whatever the program waits for: a machine that does not know of it would release it again.
        if self._parked is None or (isinstance(last, Park) and arrival.reason != "end"):
            return
        due = arrival.reason == "interval" and not (isinstance(last, Train) and self._goes_on(last))
        if due or arrival.reason == "end":
            await self._report(arrival)
        else:
            await self._release(self._left(last) if isinstance(last, Train) else None)

    async def _on_begin(self, arrival: Arrival) -> None:
        assert self._weights is not None
        found = await self._examined(arrival)
        self._base, self._base_batches = found.root, arrival.batches
        layout = self._vault.layout
        size = (layout.nbytes, len(layout.blocks)) if layout is not None and self._sharded else (0, 0)
        self._emit(ProgramReady(time.monotonic(), self._base, arrival.batches, *size))
        waiting, self._waiting = self._waiting, []
        for order in waiting:
            await self._carry_out(order)

    async def _report_again(self) -> None:
        """A program that stands at its sync point was given another base, but not released: its contribution is new."""
        at = self._parked
        if self._moved and at is not None and at.reason in ("interval", "end"):
            await self._report(at)
        self._moved = False

    async def _report(self, arrival: Arrival) -> None:
        found = await self._examined(arrival)
        self._emit(
            SyncPoint(
                now=time.monotonic(),
                root=found.root,
                base=self._base,
                done=arrival.reason == "end",
                loss=arrival.loss,
                metric=arrival.metric,
                steps=arrival.batches - self._base_batches,
                batches=arrival.batches,
                local_loss=arrival.local_loss,
                local_metric=arrival.local_metric,
            )
        )

    async def _examined(self, arrival: Arrival) -> Examined:
        """The weights as they travel, and their root; raises `NotFinite`."""
        assert self._weights is not None
        rounded = self._base if self._round and self._wire != "float32" else ""
        if rounded:
            try:
                await self._vault.round(self._wire, self._weights, rounded)
            except ValueError:
                log.debug("not rounded: a value is not finite")  # the next look names its tensor
        found = await self._vault.examine(self._weights, rounded)
        if found.not_finite is not None:
            raise NotFinite(f"tensor {found.not_finite!r} holds NaN or infinity after batch {arrival.batches}")
        return found

    async def _carry_out(self, order: Order) -> None:
        """An order for a program that is parked."""
        match order:
            case Load():
                await self._load(order)
            case Train():
                await self._train(order)
            case StopProgram():
                self._stop = True
                if self._parked is not None and self._parked.reason != "end":
                    await self._release(None)
            case Finish():
                await self._load_final(order)
            case Park():
                pass

    async def _train(self, order: Train) -> None:
        await self._release(self._left(order))

    def _goes_on(self, order: Train) -> bool:
        """Whether a program that has come to its sync point is not there yet by this order."""
        assert self._parked is not None
        return not order.keep_count or self._parked.batches - self._interval_began < order.interval

    def _left(self, order: Train) -> int | None:
        """Batches to the next sync point, None for what the program counts by itself.

        A count that has reached its interval comes to the next sync point after one more batch.
        """
        assert self._parked is not None
        batches, told = self._parked.batches, self._interval
        self._interval = order.interval
        if not order.keep_count:
            self._interval_began = batches
            return order.interval
        if order.interval == told and self._parked.reason != "interval":
            return None
        return max(1, order.interval - (batches - self._interval_began))

    async def _load(self, order: Load) -> None:
        assert self._parked is not None and self._weights is not None
        if order.kind == "rebase":
            self._weights = await self._vault.rebase(order.root, self._weights, order.base)
        else:
            self._weights = await self._model(order.root)
        if order.kind == "restore":
            self._base, self._base_batches = order.base, self._before_adopt
        else:
            self._base = order.root
            if order.kind != "rebase":  # a rebased model still holds the work since its old base
                self._before_adopt, self._base_batches = self._base_batches, self._parked.batches
            self._round += 1
        self._changed, self._moved = True, order.kind != "restore"
        self._vault.unpin(order.root, order.base)

    async def _load_final(self, order: Finish) -> None:
        self._weights, self._changed = await self._model(order.result.model), True
        self._round, self._base = order.result.round, order.result.model
        self.finished = True
        await self._release(None, finished=True)

    async def _release(self, interval: int | None, *, finished: bool = False) -> None:
        model = self._weights if self._changed else None
        self._parked = None
        self._changed = self._moved = False
        await self._port.release(
            model,
            round_=self._round,
            interval=interval,
            stop=self._stop or finished,
            finished=finished,
            digest=self._base,
        )

    async def _model(self, digest: Digest) -> Buffer:
        found = await self._vault.find(digest)
        if found is None:
            raise KeyError(digest)
        return found

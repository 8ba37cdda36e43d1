"""Follows one training's log: reads what is new, notices a chain that began anew, never goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from swarm_lab.errors import LedgerForked, LedgerUnreachable
from swarm_lab.ledger.abi import load
from swarm_lab.ledger.history import History
from swarm_lab.ledger.records import CommittedRound
from swarm_lab.ledger.signing import Domain
from swarm_lab.ledger.transport import Call, RpcError, Transport
from swarm_lab.rounds.events import EMPTY_VIEW, LedgerView


class Watch:
    """The view of one training, kept up to date by polling. `key` is the training's on the ledger."""

    def __init__(self, transport: Transport, domain: Domain, key: str, depth: int, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._domain = domain
        self._key = key
        self._depth = depth
        self._clock = clock
        self._lock = asyncio.Lock()
        self._height = -1
        """What the last answer covered: what is above it is waited for."""
        self._history = History(domain)
        self._tip: tuple[int, str] | None = None
        """Number and hash of the block of the last final entry: what is after it is new."""
        self._pending: frozenset[str] = frozenset()
        self._view = EMPTY_VIEW
        self._read = False

    @property
    def rounds(self) -> list[CommittedRound]:
        """Committed rounds as of the last `view`."""
        return list(self._history.rounds)

    async def view(self, block_seconds: float | None, wait_s: float = 0.0) -> LedgerView:
        """Read what is new, once there is a new block or after `wait_s` seconds.

        Raises `LedgerUnreachable` and `LedgerForked`. Several may read at the same time, and one wait long.
        """
        while True:
            began, tip = self._clock(), self._tip
            height, logs, head, same_chain = await self._fetch(tip, wait_s)
            wait_s = 0.0
            async with self._lock:
                if self._tip == tip:
                    self._height = height
                    return await self._applied(logs, head, same_chain, began, block_seconds)
            # Another reader was faster: what was read here begins at the wrong block.

    async def _applied(
        self, logs: list[Mapping[str, Any]], head: int, same_chain: bool, began: float, block_seconds: float | None
    ) -> LedgerView:
        changed = self._take(self._history, logs, head) if same_chain else await self._reread()
        if changed is None:
            return self._view  # an SN that lags: what was final stays so, and is as old as it was
        block_s = self._view.block_seconds if block_seconds is None else block_seconds
        if changed or not self._read:
            self._view = self._history.view(self._pending, began, block_s)
            self._read = True
        else:
            self._view = replace(self._view, read_at=began, block_seconds=block_s)
        return self._view

    async def _fetch(
        self, tip: tuple[int, str] | None, wait_s: float
    ) -> tuple[int, list[Mapping[str, Any]], int, bool]:
        """A height that the answer covers, log entries after `tip`, the height, and whether `tip` is in the chain."""
        block = [hex(tip[0]) if tip else "0x0", False]
        query = {
            "address": self._domain.contract,
            "topics": [None, "0x" + self._key],
            "fromBlock": hex(tip[0] + 1) if tip else "0x0",
            "toBlock": "latest",
        }
        look: Call = ("eth_getBlockByNumber", block)
        # The block once more: a chain that began anew in between would give its entries as new ones.
        calls: list[Call] = [look, ("eth_blockNumber", []), ("eth_getLogs", [query]), look]
        covered, (known, height, logs, again) = await self._transport.batch_past(self._height, wait_s, calls)
        if isinstance(height, RpcError):
            raise LedgerUnreachable(f"the ledger does not tell its height: {height.message}")
        head = int(height, 16)
        if tip is not None and (not isinstance(known, dict) or known.get("hash") != tip[1]):
            return covered, [], head, False
        if isinstance(logs, RpcError) and tip is not None and tip[0] >= head:
            return covered, [], head, True  # no block after it: some chains call that a mistake
        if isinstance(logs, RpcError) or again != known:
            raise LedgerUnreachable("the ledger does not give its log, or changed while it was read")
        # An entry of a block above the height told is left for the next time.
        return covered, logs, head, True

    def _take(self, history: History, logs: list[Mapping[str, Any]], head: int) -> bool:
        """Apply the final ones of `logs`; returns whether anything changed."""
        final = [log for log in logs if int(log["blockNumber"], 16) <= head - self._depth + 1]
        for log in final:
            history.apply(log)
        if final:
            self._tip = (int(final[-1]["blockNumber"], 16), final[-1]["blockHash"])
        commits = [log for log in logs[len(final) :] if log["topics"][0] == load("Rounds").topic("Committed")]
        pending = frozenset(found[1]["id"].hex() for log in commits if (found := load("Rounds").event(log)))
        changed = bool(final) or pending != self._pending
        self._pending = pending
        return changed

    async def _reread(self) -> bool | None:
        """The chain began anew (replayed by the SNs) or another SN answers: read all; None if it is behind."""
        _, logs, head, _ = await self._fetch(None, 0.0)
        fresh, before = History(self._domain), self._tip
        self._take(fresh, logs, head)
        if fresh.extends(self._history):
            self._history = fresh
            return True
        self._tip = before
        if self._history.extends(fresh):
            return None
        at = next(i for i, (a, b) in enumerate(zip(self._history.ids, fresh.ids, strict=False), 1) if a != b)
        raise LedgerForked(f"round {at} was {self._history.ids[at - 1]} and is {fresh.ids[at - 1]} now")

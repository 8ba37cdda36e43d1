"""An SN's way to the chain: journals before it relays, follows the blocks, replays what a new chain lacks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import rlp  # type: ignore[import-untyped]

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.ledger.journal import Entry, Journal
from swarm_lab.ledger.replay import replay
from swarm_lab.ledger.sender import transaction_hash
from swarm_lab.ledger.transport import Call, RpcError, Transport

log = logging.getLogger(__name__)

POLL_S = 0.25
_SOON_S = 0.002  # after a transaction: its block may be there a moment later than its answer
MOST_WAITING = 1024
SEND = "eth_sendRawTransaction"
_BLOCKS_AT_ONCE = 64

T = TypeVar("T")
RelayState = Literal["unreachable", "replaying", "ready"]


class Relay:
    """A `Transport` that refuses to work on a chain that lacks what its journal holds.

    Each batch of calls asks for the last block seen as well: an anvil that was started again is noticed before any of
    its answers is believed, and before a transaction with a wrong nonce gets into it.
    """

    def __init__(self, chain: Transport, journal: Journal) -> None:
        self._chain = chain
        self._journal = journal
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._seen: tuple[int, str] | None = None
        """Number and hash of the last block whose transactions are in the journal."""
        self._doubtful = True
        """Whether the connection broke since the last look: two young chains may look alike."""
        self._head = -1
        """The highest block that is known, whether it is in the journal yet or not."""
        self._moved = asyncio.Event()
        self._waiting = 0
        self.state: RelayState = "unreachable"

    @property
    def height(self) -> int:
        """The last block seen."""
        return self._seen[0] if self._seen else 0

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """See `Transport`; raises `LedgerUnreachable` also while the journal is being replayed."""
        if self.state == "replaying" or self._doubtful:
            self._wake.set()
            raise LedgerUnreachable("the SN is looking whether the chain has all that its journal holds")
        if any(method == SEND for method, _ in calls):
            # Both before anything is handed in: afterwards would be too late.
            await asyncio.gather(self._guarded([]), self._journalled(calls))
        answers = await self._guarded(calls)
        await self._note_refusals(calls, answers)
        if any(method == SEND for method, _ in calls):
            self._wake.set()
        return answers

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        """See `Transport`; raises `LedgerUnreachable` also when too many wait already."""
        if self._waiting >= MOST_WAITING:
            raise LedgerUnreachable(f"{MOST_WAITING} callers wait for the next block already")
        self._waiting += 1
        try:
            async with asyncio.timeout(limit_s):
                while self._head <= height and self.state == "ready" and not self._doubtful:
                    await self._moved.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        reached = self._head  # before the calls: they see this block, and maybe later ones
        return reached, await self.batch(calls)

    def look(self) -> None:
        """There may be a new block: look now, not at the next poll."""
        self._wake.set()

    async def close(self) -> None:
        """Close the connection to the chain."""
        await self._chain.close()

    async def follow(self, on_change: Callable[[RelayState], None]) -> None:
        """Follow the chain until cancelled; `on_change` is told of each new state."""
        told, pause = None, POLL_S
        while True:
            before = self._head
            self._wake.clear()
            try:
                await self.catch_up()
            except LedgerUnreachable as error:
                if self.state != "unreachable":
                    log.warning("the chain is away", extra={"reason": error.message})
                self.state, self._doubtful = "unreachable", True
                self._tell()
            if self.state != told:
                told = self.state
                on_change(told)
            pause = POLL_S if self._head != before else min(2 * pause, POLL_S)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                pause = _SOON_S
            except TimeoutError:
                pass

    async def catch_up(self) -> None:
        """Journal the blocks since the last call; replay first where the chain is a new one. Sets `state`."""
        if self._doubtful or not await self._journal_blocks():
            self.state, self._head = "replaying", -1
            self._tell()
            sent = await replay(self._chain, self._journal.mined, self._journal.relayed)
            self._seen, self._doubtful = None, False
            if sent:
                log.info("replayed the journal", extra={"transactions": sent})
            await self._journal_blocks()
        self.state = "ready"

    def _tell(self, head: int | None = None) -> None:
        """Wake who waits: there is a new block, or the chain is not what it was."""
        self._head = self._head if head is None else max(head, self._head)
        self._moved.set()
        self._moved = asyncio.Event()

    def _last_seen(self) -> Call:
        return "eth_getBlockByNumber", [hex(self._seen[0]) if self._seen else "0x0", False]

    def _is_last_seen(self, block: Any) -> bool:
        return self._seen is None or (isinstance(block, dict) and block.get("hash") == self._seen[1])

    async def _guarded(self, calls: Sequence[Call]) -> list[Any]:
        if self._seen is None:
            raise LedgerUnreachable("the SN has not read the chain yet")
        seen = self._seen
        try:
            block, *answers = await self._chain.batch([self._last_seen(), *calls])
        except LedgerUnreachable:
            self._doubtful = True
            raise
        if not isinstance(block, dict) or block.get("hash") != seen[1]:
            self._doubtful = True
            self._wake.set()
            self._tell()
            raise LedgerUnreachable("the chain was started again; the SN is about to replay its journal")
        return answers

    async def _journalled(self, calls: Sequence[Call]) -> None:
        for method, params in calls:
            if method == SEND:
                raw = str(params[0])
                entry = Entry(transaction_hash(bytes.fromhex(raw.removeprefix("0x"))), raw)
                await self._write(partial(self._journal.add_relayed, entry))

    async def _note_refusals(self, calls: Sequence[Call], answers: Sequence[Any]) -> None:
        for (method, params), answer in zip(calls, answers, strict=True):
            if method != SEND or not isinstance(answer, RpcError):
                continue
            tx = transaction_hash(bytes.fromhex(str(params[0]).removeprefix("0x")))
            # A second delivery of what is in the chain already is refused as well.
            (found,) = await self._guarded([("eth_getTransactionByHash", [tx])])
            if not isinstance(found, dict):
                await self._write(partial(self._journal.add_refused, tx))

    async def _journal_blocks(self) -> bool:
        """Journal what is new; False, and nothing is done, where the last block seen is not in the chain any more."""
        first = self._seen[0] + 1 if self._seen else 0
        next_block = ("eth_getBlockByNumber", [hex(first), True])
        block, head, following = await self._chain.batch([self._last_seen(), ("eth_blockNumber", []), next_block])
        if not self._is_last_seen(block):
            return False
        if isinstance(head, RpcError):
            raise LedgerUnreachable(f"the chain does not tell its height: {head.message}")
        last = int(head, 16)
        if first <= last and isinstance(following, dict):  # as a rule it is one block that is new
            await self._take([following])
            first += 1
        for start in range(first, last + 1, _BLOCKS_AT_ONCE):
            numbers = range(start, min(start + _BLOCKS_AT_ONCE, last + 1))
            blocks = await self._chain.batch([("eth_getBlockByNumber", [hex(n), True]) for n in numbers])
            await self._take(blocks)
        return True

    async def _take(self, blocks: Sequence[Any]) -> None:
        for block in blocks:
            if not isinstance(block, dict):
                return  # the chain was started again in between; the next look finds out
            # At once: that it is in the chain does not depend on this journal, which the disk delays.
            self._tell(int(block["number"], 16))
            entries = [Entry(t["hash"], raw_of(t)) for t in block["transactions"]]
            if entries:
                await self._write(partial(self._journal.add_mined, entries))
            self._seen = (int(block["number"], 16), block["hash"])

    async def _write(self, work: Callable[[], T]) -> T:
        """In a thread, as it waits for the disk; one after the other. What is not in the journal is not relayed."""
        async with self._writing:
            try:
                return await asyncio.get_running_loop().run_in_executor(None, work)
            except OSError as error:
                raise LedgerUnreachable(f"the SN's journal cannot be written: {error}") from error


def raw_of(transaction: Mapping[str, Any]) -> str:
    """The signed bytes of a legacy transaction from a block, `0x` hex."""
    numbers = [int(transaction[key], 16) for key in ("nonce", "gasPrice", "gas")]
    to, data = transaction.get("to") or "", transaction["input"]
    signature = [int(transaction[key], 16) for key in ("v", "r", "s")]
    value = int(transaction["value"], 16)
    raw: bytes = rlp.encode([*numbers, _bytes(to), value, _bytes(data), *signature])
    return "0x" + raw.hex()


def _bytes(data: str) -> bytes:
    return bytes.fromhex(data.removeprefix("0x"))

"""An SN's way to the chain: who waits for a block hears of it at once, and of a chain that began anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.ledger import relay as relaying
from swarm_lab.ledger.journal import Journal
from swarm_lab.ledger.relay import SEND, Relay
from swarm_lab.ledger.transport import Call

RAW = "0xf800"


class FakeChain:
    """Empty blocks; one comes a few looks after a transaction was handed in."""

    def __init__(self) -> None:
        self.name = "a"
        self.height = 0
        self.looks_until_mined = 0
        self.away = False
        self.sent = 0

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        await asyncio.sleep(0)
        if self.away:
            raise LedgerUnreachable("away")
        return [self.answer(method, params) for method, params in calls]

    def answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByNumber":
            number = int(params[0], 16)
            block = {"number": hex(number), "hash": f"{self.name}{number}", "transactions": []}
            return block if number <= self.height else None
        if method == SEND:
            self.sent, self.looks_until_mined = self.sent + 1, 3
            return "0x1"
        if method == "eth_blockNumber" and self.looks_until_mined:
            self.looks_until_mined -= 1
            self.height += not self.looks_until_mined
        return hex(self.height)

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        raise AssertionError("an SN polls the chain")

    async def close(self) -> None: ...


@pytest.fixture
async def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeChain, Relay]]:
    monkeypatch.setattr(relaying, "POLL_S", 60.0)  # what a test sees does not come from polling
    chain, journal = FakeChain(), Journal(tmp_path / "journal.jsonl")
    relay = Relay(chain, journal)
    following = asyncio.create_task(relay.follow(lambda state: None))
    while relay.state != "ready":
        await asyncio.sleep(0)
    yield chain, relay
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    journal.close()


CALLS: list[Call] = [("eth_blockNumber", [])]


async def test_who_waits_hears_of_the_block_that_follows_a_transaction(ready: tuple[FakeChain, Relay]) -> None:
    chain, relay = ready
    async with asyncio.timeout(5):
        waiting = [asyncio.create_task(relay.batch_past(0, 60.0, CALLS)) for _ in range(3)]
        await relay.batch([(SEND, [RAW])])
        assert [await one for one in waiting] == [(1, ["0x1"])] * 3
        assert chain.sent == 1
        assert await relay.batch_past(0, 60.0, CALLS) == (1, ["0x1"])  # that is known already


async def test_a_wait_has_its_limit_and_waiters_are_bounded(
    ready: tuple[FakeChain, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, relay = ready
    assert await relay.batch_past(0, 0.0, CALLS) == (0, ["0x0"])
    monkeypatch.setattr(relaying, "MOST_WAITING", 1)
    waiting = asyncio.create_task(relay.batch_past(0, 60.0, CALLS))
    await asyncio.sleep(0)
    with pytest.raises(LedgerUnreachable, match="wait for the next block"):
        await relay.batch_past(0, 60.0, CALLS)
    waiting.cancel()


async def test_what_another_sn_sent_is_seen_when_it_says_so(ready: tuple[FakeChain, Relay]) -> None:
    chain, relay = ready
    chain.height = 2
    waiting = asyncio.create_task(relay.batch_past(0, 60.0, CALLS))
    await asyncio.sleep(0)
    relay.look()
    async with asyncio.timeout(5):
        assert (await waiting)[1] == ["0x2"]


async def test_a_chain_that_goes_away_or_begins_anew_lets_nobody_wait(ready: tuple[FakeChain, Relay]) -> None:
    chain, relay = ready
    waiting = asyncio.create_task(relay.batch_past(7, 60.0, CALLS))
    await asyncio.sleep(0)
    chain.away = True
    relay.look()
    async with asyncio.timeout(5):
        with pytest.raises(LedgerUnreachable):
            await waiting
        chain.away, chain.name = False, "b"
        relay.look()
        while relay.state != "ready":
            await asyncio.sleep(0)
        assert await relay.batch_past(7, 0.0, CALLS) == (0, ["0x0"])

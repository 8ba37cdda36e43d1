"""Sending one account's transactions: nonces, repeated deliveries, refusals, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from swarm_lab.errors import LedgerRefused, LedgerUnreachable, TransactionNotMined
from swarm_lab.ledger import sender as sending
from swarm_lab.ledger.replay import simulation
from swarm_lab.ledger.sender import Sender, transaction_hash
from swarm_lab.ledger.signing import LedgerKey
from swarm_lab.ledger.transport import Call, RpcError

KEY = LedgerKey(b"\x11" * 32)
TO = "0x" + "cd" * 20


class FakeChain:
    """Mines at once, in the order of nonces; can be told to lose answers, to be away, and to sit on what it gets."""

    def __init__(self) -> None:
        self.mined: list[str] = []
        self.lose_answers = 0
        self.away = 0
        self.sits = False
        self.refusal: RpcError | None = None
        self.old_count = 0
        """So many times it tells a nonce that is taken."""

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise LedgerUnreachable("away")
        return [self.answer(method, params) for method, params in calls]

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        return len(self.mined), await self.batch(calls)

    def answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_call":
            return self.refusal or "0x"
        if method == "eth_getTransactionCount":
            old = min(self.old_count, len(self.mined))
            self.old_count = 0
            return hex(len(self.mined) - old)
        if method == "eth_sendRawTransaction":
            return self.take(params[0])
        known = params[0] in self.mined
        if method == "eth_getTransactionByHash":
            return {"hash": params[0]} if known else None
        return {"status": "0x1", "blockNumber": "0x1", "gasUsed": "0x5208"} if known else None

    def take(self, raw: str) -> Any:
        tx = transaction_hash(bytes.fromhex(raw[2:]))
        if simulation(raw)[1] < len(self.mined):
            return RpcError(-32003, "nonce too low")
        if not self.sits:
            self.mined.append(tx)
        if self.lose_answers:
            self.lose_answers -= 1
            raise LedgerUnreachable("the answer got lost")
        return tx

    async def close(self) -> None: ...


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_LONGEST_PAUSE_S", 0.001)


async def test_many_at_a_time_take_nonces_one_after_the_other() -> None:
    chain = FakeChain()
    one = Sender(chain, KEY, 1)
    receipts = await asyncio.gather(*(one.send(TO, f"0x{n:02x}") for n in range(10)))
    assert sorted(r.tx for r in receipts) == sorted(chain.mined)
    assert len(set(chain.mined)) == 10
    assert one.confirm_s is not None and one.confirm_s < 1


async def test_a_lost_answer_does_not_send_twice() -> None:
    chain = FakeChain()
    chain.lose_answers = 1
    receipt = await Sender(chain, KEY, 1).send(TO, "0x01")
    assert chain.mined == [receipt.tx]


async def test_a_taken_nonce_is_replaced() -> None:
    chain = FakeChain()
    one = Sender(chain, KEY, 1)
    await one.send(TO, "0x01")
    chain.old_count = 1  # as after a chain that was started again
    await one.send(TO, "0x02")
    assert len(chain.mined) == 2


async def test_away_for_a_moment_is_waited_for() -> None:
    chain = FakeChain()
    chain.away = 5
    await Sender(chain, KEY, 1).send(TO, "0x01")
    assert len(chain.mined) == 1


async def test_limits() -> None:
    chain = FakeChain()
    chain.away = 10**6
    with pytest.raises(LedgerUnreachable, match="away"):
        await Sender(chain, KEY, 1, limit_s=0.02).send(TO, "0x01")
    chain.away, chain.sits = 0, True
    with pytest.raises(TransactionNotMined, match="in no block"):
        await Sender(chain, KEY, 1, limit_s=0.02).send(TO, "0x01")


async def test_a_refusal_sends_nothing() -> None:
    chain = FakeChain()
    chain.refusal = RpcError(3, "execution reverted", "0x5b5e4f52")
    with pytest.raises(LedgerRefused, match="execution reverted"):
        await Sender(chain, KEY, 1).send(TO, "0x01")
    assert chain.mined == []

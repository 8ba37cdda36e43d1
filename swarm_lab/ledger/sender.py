"""Sends one account's transactions: simulated first, signed here, delivered once, awaited with a limit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from swarm_lab.errors import LedgerUnreachable, SwarmLabError, TransactionNotMined
from swarm_lab.ledger.abi import failure_of
from swarm_lab.ledger.records import Receipt
from swarm_lab.ledger.refusals import refusal
from swarm_lab.ledger.signing import LedgerKey
from swarm_lab.ledger.transport import Call, RpcError, Transport

log = logging.getLogger(__name__)

GAS = 6_000_000
TX_LIMIT_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.003, 0.5
_FIRST_WAIT_S = 0.05
# How clients of this family (anvil, geth, Besu) say that they have this very transaction.
_KNOWN = ("already known", "already imported", "known transaction")
# The account's next number is another one: another sender, or a chain that was started again.
_STALE_NONCE = ("nonce too low", "replacement", "underpriced", "invalid nonce", "nonce is too")


def sign_transaction(key: LedgerKey, chain_id: int, nonce: int, to: str, data: str, gas: int) -> bytes:
    """A raw legacy transaction (EIP-155) of value 0 and gas price 0; `to` empty makes a contract."""
    fields = [nonce, 0, gas, _bytes(to), 0, _bytes(data)]
    signature = key.sign(keccak(rlp.encode([*fields, chain_id, 0, 0])))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw: bytes = rlp.encode([*fields, signature[64] + 8 + 2 * chain_id, r, s])
    return raw


def transaction_hash(raw: bytes) -> str:
    """The hash of a raw transaction, `0x` hex."""
    return "0x" + keccak(raw).hex()


class Sender:
    """The transactions of one account. Calls may run at the same time; their order is that of their sending."""

    def __init__(self, transport: Transport, key: LedgerKey, chain_id: int, limit_s: float = TX_LIMIT_S) -> None:
        self._transport = transport
        self._key = key
        self._chain_id = chain_id
        self._limit_s = limit_s
        self._lock = asyncio.Lock()
        self.confirm_s: float | None = None
        """Smoothed seconds from sending to the receipt; None before the first."""

    @property
    def account(self) -> str:
        """The account, `0x` lower case."""
        return self._key.address

    async def send(self, to: str, data: str, gas: int = GAS) -> Receipt:
        """Execute `data` at `to` and wait until it is mined.

        It is simulated first, so that a refusal costs no transaction: raises `LedgerRefused` with the contract's error.
        `LedgerUnreachable` and `TransactionNotMined` when the limit is over; the transaction may come later then.
        """
        deadline = time.monotonic() + self._limit_s
        async with self._lock:
            began = time.monotonic()
            height, (outcome, count) = await self._ask([self._call(to, data), self._count()], deadline)
            _must_succeed(outcome)
            tx = await self._deliver(to, data, gas, count, deadline)
        receipt = await self._receipt(tx, height, deadline)
        took = time.monotonic() - began
        self.confirm_s = took if self.confirm_s is None else 0.8 * self.confirm_s + 0.2 * took
        if receipt["status"] != "0x1":
            _, (outcome,) = await self._ask([self._call(to, data)], deadline)
            _must_succeed(outcome)  # says why, as a rule: somebody was faster
            raise refusal(None, f"transaction {tx} was reverted")
        return Receipt(tx, int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16))

    def _call(self, to: str, data: str) -> Call:
        return "eth_call", [{"from": self.account, "data": data, **({"to": to} if to else {})}, "latest"]

    def _count(self) -> Call:
        return "eth_getTransactionCount", [self.account, "pending"]

    async def _deliver(self, to: str, data: str, gas: int, count: Any, deadline: float) -> str:
        """Hand the signed transaction in, with the account's next number `count`; returns its hash."""
        while True:
            if isinstance(count, RpcError):
                raise LedgerUnreachable(f"the ledger does not tell the next nonce: {count.message}")
            raw = sign_transaction(self._key, self._chain_id, int(count, 16), to, data, gas)
            tx = transaction_hash(raw)
            _, (answer,) = await self._ask([("eth_sendRawTransaction", ["0x" + raw.hex()])], deadline)
            if not isinstance(answer, RpcError) or any(word in answer.message.lower() for word in _KNOWN):
                return tx
            if not any(word in answer.message.lower() for word in _STALE_NONCE):
                raise refusal(failure_of(answer.data), answer.message)
            # An answer that got lost makes the second delivery "too low": then it is in already.
            _, (found,) = await self._ask([("eth_getTransactionByHash", [tx])], deadline)
            if isinstance(found, dict):
                return tx
            log.info("nonce %d is taken, signing anew", int(count, 16), extra={"reason": answer.message})
            await _pause(_FIRST_PAUSE_S, deadline, TransactionNotMined(f"no free nonce for {self.account} in time"))
            _, (count,) = await self._ask([self._count()], deadline)

    async def _receipt(self, tx: str, height: int, deadline: float) -> dict[str, Any]:
        """Its receipt, looked for whenever the chain is higher than before; `height`: that from before its delivery."""
        wait_s = _FIRST_WAIT_S
        while True:
            height, (answer,) = await self._ask([("eth_getTransactionReceipt", [tx])], deadline, height, wait_s)
            if isinstance(answer, dict):
                return answer
            late = TransactionNotMined(f"transaction {tx} is in no block after {self._limit_s:g} s")
            await _pause(_FIRST_PAUSE_S, deadline, late)
            wait_s = min(wait_s * 1.5, _LONGEST_PAUSE_S)

    async def _ask(
        self, calls: Sequence[Call], deadline: float, height: int = -1, wait_s: float = 0.0
    ) -> tuple[int, list[Any]]:
        """`Transport.batch_past`, repeated while nobody answers: delivering the same bytes twice does no harm."""
        while True:
            try:
                return await self._transport.batch_past(height, wait_s, calls)
            except LedgerUnreachable as error:
                await _pause(_LONGEST_PAUSE_S, deadline, error)


def _must_succeed(outcome: Any) -> None:
    """Raise the refusal that a simulated call ended with."""
    if isinstance(outcome, RpcError):
        raise refusal(failure_of(outcome.data), outcome.message)


async def _pause(seconds: float, deadline: float, late: SwarmLabError) -> None:
    if time.monotonic() + seconds > deadline:
        raise late
    await asyncio.sleep(seconds)


def _bytes(data: str) -> bytes:
    return bytes.fromhex(data.removeprefix("0x"))

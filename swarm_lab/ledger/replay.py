"""Gives a chain that was started again what it lacks: first what was mined, in that order, then what was on its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.ledger.journal import Entry
from swarm_lab.ledger.signing import recover
from swarm_lab.ledger.transport import RpcError, Transport

_AT_ONCE = 100
_RECEIPT_LIMIT_S = 20.0
# How long a transaction that was on its way waits for what another SN has to replay before it.
_PATIENCE_S = 2.0
_PAUSE_S = 0.02


async def replay(chain: Transport, mined: Sequence[Entry], relayed: Sequence[Entry]) -> int:
    """Send what the chain lacks; returns how many transactions that were. Several SNs may do it at the same time.

    Raises `LedgerUnreachable` when the chain goes away again, or keeps a transaction out of its blocks.
    """
    lacking = await _lacking(chain, mined)
    for entry in lacking:
        await chain.batch([("eth_sendRawTransaction", [entry.raw])])
        await _until_mined(chain, entry)
    on_the_way = await _lacking(chain, relayed)
    for entry in on_the_way:
        await _until_it_succeeds(chain, entry)
        await chain.batch([("eth_sendRawTransaction", [entry.raw])])
    return len(lacking) + len(on_the_way)


async def _lacking(chain: Transport, entries: Sequence[Entry]) -> list[Entry]:
    lacking = []
    for start in range(0, len(entries), _AT_ONCE):
        part = entries[start : start + _AT_ONCE]
        receipts = await chain.batch([("eth_getTransactionReceipt", [e.tx]) for e in part])
        lacking += [e for e, receipt in zip(part, receipts, strict=True) if not isinstance(receipt, dict)]
    return lacking


async def _until_mined(chain: Transport, entry: Entry) -> None:
    """The next one may need it: order is kept by waiting, whoever else is sending."""
    deadline = time.monotonic() + _RECEIPT_LIMIT_S
    pause = 0.001
    while time.monotonic() < deadline:
        (receipt,) = await chain.batch([("eth_getTransactionReceipt", [entry.tx])])
        if isinstance(receipt, dict):
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _PAUSE_S)
    raise LedgerUnreachable(f"the chain does not take {entry.tx} again")


async def _until_it_succeeds(chain: Transport, entry: Entry) -> None:
    """What was mined nowhere may rest on another SN's transactions, which come a moment later; not for ever."""
    call, nonce = simulation(entry.raw)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        count, outcome = await chain.batch(
            [("eth_getTransactionCount", [call["from"], "latest"]), ("eth_call", [call, "latest"])]
        )
        if not isinstance(count, RpcError) and int(count, 16) >= nonce and not isinstance(outcome, RpcError):
            return
        await asyncio.sleep(_PAUSE_S)


def simulation(raw: str) -> tuple[dict[str, Any], int]:
    """The call that a raw legacy transaction makes, with its sender, and its nonce."""
    nonce, price, gas, to, value, data, v, r, s = rlp.decode(bytes.fromhex(raw.removeprefix("0x")))
    parity = int.from_bytes(v, "big") - 35
    signed = keccak(rlp.encode([nonce, price, gas, to, value, data, parity // 2, 0, 0]))
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([27 + parity % 2])
    sender = recover(signed, signature.hex())
    call = {"from": sender, "data": "0x" + data.hex(), **({"to": "0x" + to.hex()} if to else {})}
    return call, int.from_bytes(nonce, "big")

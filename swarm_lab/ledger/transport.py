"""JSON-RPC to the ledger: what a transport is, its errors, and the one over HTTP that SNs use."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from swarm_lab.errors import LedgerUnreachable

Call = tuple[str, list[Any]]

CALL_LIMIT_S = 10.0
_CONNECTIONS = 4
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class RpcError:
    """The error answer to one call; `data` is revert data (`0x` hex) where a contract refused."""

    code: int
    message: str
    data: str = ""


class Transport(Protocol):
    """Carries JSON-RPC calls to a chain. May be used by several tasks at a time."""

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The answers in the order of the calls, an `RpcError` for each that failed.

        Raises `LedgerUnreachable` when nobody answered within the transport's limit.
        """
        ...

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        """`batch` once the chain is higher than `height`, or after `limit_s` seconds.

        Returns as well a height that the answers cover at least: who gives it the next time misses no block.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


def encode_batch(calls: Sequence[Call]) -> bytes:
    """The calls as a JSON-RPC batch with ids 0, 1, ..."""
    return json.dumps(
        [{"jsonrpc": "2.0", "id": i, "method": method, "params": params} for i, (method, params) in enumerate(calls)]
    ).encode()


def decode_batch(body: bytes, count: int) -> list[Any]:
    """The answers of a batch in order; raises `ValueError` where it is not the answer to `count` calls."""
    answers = json.loads(body)
    if not isinstance(answers, list) or len(answers) != count:
        raise ValueError(f"not an answer to {count} calls: {body[:200]!r}")
    found: dict[int, Any] = {}
    for answer in answers:
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise ValueError("an answer without its id")
        found[answer["id"]] = _error(answer["error"]) if "error" in answer else answer.get("result")
    return [found[i] for i in range(count)] if set(found) == set(range(count)) else _strange(count)


def _strange(count: int) -> list[Any]:
    raise ValueError(f"answers to other calls than the {count} asked")


def _error(error: Any) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(-32603, str(error)[:500])
    data = error.get("data")
    data = data.get("data") if isinstance(data, dict) else data
    is_hex = isinstance(data, str) and data.startswith("0x")
    return RpcError(int(error.get("code", -32603)), str(error.get("message", ""))[:500], str(data) if is_hex else "")


class HttpTransport:
    """JSON-RPC over HTTP, for an SN to the chain beside it.

    The standard library's client in a few threads: the chain is one hop away and answers in a millisecond.
    """

    def __init__(self, url: str, limit_s: float = CALL_LIMIT_S) -> None:
        parts = urlsplit(url)
        self.url = url
        self._host, self._port, self._path = parts.hostname or "127.0.0.1", parts.port or 8545, parts.path or "/"
        self._limit_s = limit_s
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="chain-rpc")

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """See `Transport`."""
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._threads, self._post, encode_batch(calls))
        try:
            return decode_batch(body, len(calls))
        except ValueError as error:
            raise LedgerUnreachable(f"what answers at {self.url} is no chain: {error}") from error

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        """See `Transport`; by polling, as HTTP has nothing better."""
        deadline = time.monotonic() + limit_s
        while True:
            (head,) = await self.batch([("eth_blockNumber", [])])
            reached = -1 if isinstance(head, RpcError) else int(head, 16)
            if reached > height or time.monotonic() >= deadline:
                return reached, await self.batch(calls)
            await asyncio.sleep(_POLL_S)

    async def close(self) -> None:
        """See `Transport`."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _post(self, body: bytes) -> bytes:
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._ask(kept, body)
            except TimeoutError as error:
                raise LedgerUnreachable(f"the chain at {self.url} did not answer in {self._limit_s:g} s") from error
            except (OSError, http.client.HTTPException):
                pass  # Closed since the last call, by a chain that was started again: once more on a fresh one.
        fresh = http.client.HTTPConnection(self._host, self._port, timeout=self._limit_s)
        try:
            answer = self._ask(fresh, body)
        except TimeoutError as error:
            raise LedgerUnreachable(f"the chain at {self.url} did not answer in {self._limit_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise LedgerUnreachable(f"no chain answers at {self.url}: {error}") from error
        self._local.connection = fresh
        return answer

    def _ask(self, connection: http.client.HTTPConnection, body: bytes) -> bytes:
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != http.client.OK:
                raise http.client.HTTPException(f"HTTP {answer.status}")
            return content
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            raise

"""A node's own identity, read from a SPIFFE Workload API socket and kept fresh in the background."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from spiffe import WorkloadApiClient, X509Svid
from spiffe.errors import ArgumentError
from spiffe.workloadapi.x509_context import X509Context

from swarm_lab.errors import IdentityExpired, IssuerUnreachable, NotAttested, SwarmLabError, WrongIdentity
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import Svid, bundle_of

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 30.0
# A refusal is final, except in the moment when supervisor has started a process and not yet said so.
REFUSAL_GRACE = 3.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
# How often an open stream is looked at for an issuer that hangs.
WATCH_PAUSE = 2.0

OnWait = Callable[[str], None]
OnUpdate = Callable[[Svid], None]


class SvidSource:
    """The SVID and the bundles of this process; an `IdentitySource` that follows the Workload API.

    A background thread holds the stream open. When the issuer dies, the last SVID stays in use while it is valid and
    the thread connects again, with growing pauses and jitter. Close it, or use it as a context manager.
    """

    def __init__(self, socket: Path, expected: SpiffeId | None = None) -> None:
        """Begin to read; `open` is the call that also waits."""
        self._socket = socket
        self._expected = expected
        self._changed = threading.Condition()
        self._state: tuple[int, Svid, dict[str, bytes]] | None = None
        self._trouble: SwarmLabError | None = None
        self._subscribers: list[OnUpdate] = []
        self._closed = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="svid-source", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        socket: Path,
        expected: SpiffeId | None = None,
        timeout: float = OPEN_TIMEOUT,
        on_wait: OnWait | None = None,
    ) -> SvidSource:
        """Wait for the first SVID, `timeout` seconds at most; `on_wait` is told what is waited for.

        Raises `IssuerUnreachable`, `NotAttested`, or `WrongIdentity` when the SVID is not the expected one.
        """
        source = cls(socket, expected)
        opening = _Opening(source, timeout, on_wait)
        try:
            while not opening.done():
                with source._changed:
                    source._changed.wait(0.2)
        except BaseException:  # also Ctrl-C or a cancellation: its thread must not go on
            source.close()
            raise
        return source

    @classmethod
    async def open_async(
        cls,
        socket: Path,
        expected: SpiffeId | None = None,
        timeout: float = OPEN_TIMEOUT,
        on_wait: OnWait | None = None,
    ) -> SvidSource:
        """`open` for asyncio; can be cancelled."""
        source = cls(socket, expected)
        opening = _Opening(source, timeout, on_wait)
        try:
            while not opening.done():
                await asyncio.sleep(0.03)
        except BaseException:  # also Ctrl-C or a cancellation: its thread must not go on
            source.close()
            raise
        return source

    def svid(self) -> Svid:
        """The SVID to show now; raises `IdentityExpired` when the last one is over."""
        svid = self._current()[1]
        if time.time() >= svid.expires:
            late = time.time() - svid.expires
            raise IdentityExpired(f"our SVID {svid.spiffe_id} expired {late:.0f} s ago and no new one came")
        return svid

    def bundle(self, trust_domain: str) -> bytes:
        """The authorities of one trust domain, PEM; raises `UnknownTrustDomain`."""
        return bundle_of(self._current()[2], trust_domain)

    def bundles(self) -> Mapping[str, bytes]:
        """All bundles by trust domain, PEM."""
        return self._current()[2]

    @property
    def generation(self) -> int:
        """Counts up whenever the SVID or a bundle changed."""
        return self._current()[0]

    @property
    def spiffe_id(self) -> SpiffeId:
        """Who this process is."""
        return self._current()[1].spiffe_id

    @property
    def expires(self) -> float:
        """When the SVID in hand ends, unix seconds."""
        return self._current()[1].expires

    def facts(self) -> dict[str, object]:
        """See `Svid.facts`, also of one that is over."""
        return self._current()[1].facts()

    @property
    def trouble(self) -> SwarmLabError | None:
        """Why the issuer is not answering at the moment; None while the stream stands."""
        return self._trouble

    def subscribe(self, callback: OnUpdate) -> None:
        """Call `callback` with each new SVID, on the background thread; it must neither block nor raise."""
        with self._changed:
            self._subscribers.append(callback)

    def close(self) -> None:
        """Stop reading; the SVID in hand stays readable."""
        self._closed.set()
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _current(self) -> tuple[int, Svid, dict[str, bytes]]:
        state = self._state
        if state is None:
            raise self._trouble or IssuerUnreachable(f"no SVID from {self._socket} yet")
        return state

    def _watch(self) -> None:
        """Keep one stream open; after each end wait a little and open the next."""
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            before = self._state
            self._stream_once()
            pause = FIRST_PAUSE if self._state is not before else min(pause * 2, LONGEST_PAUSE)
            self._closed.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def _stream_once(self) -> None:
        """Follow the Workload API until the stream ends. A fresh client each time: gRPC's own pauses grow long."""
        ended = self._ended = threading.Event()

        def on_error(error: Exception) -> None:
            self._fail(_meaning(error, self._socket))
            ended.set()

        try:
            client = WorkloadApiClient(f"unix:{self._socket}")
        except ArgumentError:
            self._fail(IssuerUnreachable(f"there is no socket at {self._socket}"))
            return
        stream = client.stream_x509_contexts(self._take, on_error, retry_connect=False)
        try:
            while not self._closed.is_set() and not ended.wait(WATCH_PAUSE) and not self._silent():
                pass
        finally:
            stream.cancel()
            client.close()

    def _silent(self) -> bool:
        """Whether a new SVID should have come long ago: an issuer that hangs keeps its connections."""
        state = self._state
        if state is None or self._trouble is not None:
            return False
        svid = state[1]
        if time.time() < svid.issued + 0.8 * (svid.expires - svid.issued):
            return False
        self._fail(IssuerUnreachable(f"the issuer at {self._socket} sends no new SVID"))
        return True

    def _take(self, context: X509Context) -> None:
        svid = _read_svid(context.default_svid)
        if self._expected is not None and svid.spiffe_id != self._expected:
            self._fail(WrongIdentity(f"expected {self._expected}, the issuer gave {svid.spiffe_id}"))
            return
        bundles = {
            bundle.trust_domain.name: b"".join(
                sorted(cert.public_bytes(Encoding.PEM) for cert in bundle.x509_authorities)
            )
            for bundle in context.x509_bundle_set.bundles
        }
        with self._changed:
            generation = 1 if self._state is None else self._state[0] + 1
            self._state, self._trouble = (generation, svid, bundles), None
            subscribers = list(self._subscribers)
            self._changed.notify_all()
        log.info("took an SVID", extra={"spiffe_id": str(svid.spiffe_id), "expires": svid.expires})
        for callback in subscribers:
            callback(svid)

    def _fail(self, trouble: SwarmLabError) -> None:
        with self._changed:
            known = self._trouble
            self._trouble = trouble
            self._changed.notify_all()
        if (known is None or known.message != trouble.message) and not self._closed.is_set():
            log.warning("no identity from the issuer", extra={"code": trouble.code, "reason": trouble.message})


class _Opening:
    """The wait for the first SVID: its limit, its message, and which trouble ends it at once."""

    def __init__(self, source: SvidSource, timeout: float, on_wait: OnWait | None) -> None:
        self._source = source
        self._timeout = timeout
        self._on_wait = on_wait
        self._began = time.monotonic()
        self._refused_since: float | None = None
        self._told: str | None = None

    def done(self) -> bool:
        """Whether an SVID is there; raises what makes further waiting useless."""
        if self._source._state is not None:
            return True
        now, trouble = time.monotonic(), self._source.trouble
        if isinstance(trouble, WrongIdentity):
            raise trouble
        if isinstance(trouble, NotAttested):
            self._refused_since = self._refused_since or now
            if now - self._refused_since > REFUSAL_GRACE:
                raise trouble
        if now - self._began > self._timeout:
            raise trouble or IssuerUnreachable(f"no SVID from {self._source._socket} within {self._timeout:g} s")
        self._tell(trouble, now)
        return False

    def _tell(self, trouble: SwarmLabError | None, now: float) -> None:
        reason = trouble.message if trouble else f"{self._source._socket} has not answered"
        # Most waits are shorter than it takes to read a line about them.
        if self._on_wait is not None and reason != self._told and now - self._began > 0.3:
            self._told = reason
            self._on_wait(f"waiting for the identity issuer: {reason}")


def _read_svid(found: X509Svid) -> Svid:
    """Turn the library's SVID into ours; raises `ValueError` for an ID that is not of this project's form."""
    leaf = found.leaf
    return Svid(
        SpiffeId.parse(str(found.spiffe_id)),
        b"".join(cert.public_bytes(Encoding.PEM) for cert in found.cert_chain),
        found.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        max(leaf.not_valid_before_utc.timestamp(), time.time()),
        leaf.not_valid_after_utc.timestamp(),
    )


def _meaning(error: Exception, socket: Path) -> SwarmLabError:
    """What an error of the library says to a user; it carries the gRPC status as text only."""
    text = str(error)
    if "PERMISSION_DENIED" in text:
        return NotAttested(f"the issuer at {socket} refused this process (pid {os.getpid()})")
    if "UNAVAILABLE" in text:
        return IssuerUnreachable(f"nobody answers on {socket}")
    return IssuerUnreachable(f"the issuer at {socket} failed: {text[:300]}")

"""Block exchanges of several nodes in one process: real bytes, real threads, frames that a test may bend or lose."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from swarm_lab.ledger.signing import Domain, KeySigner, KeyVerifier, LedgerKey
from swarm_lab.nodes.exchange import BlockExchange, Told
from swarm_lab.nodes.exchange_memory import Work
from swarm_lab.nodes.frames import Head
from swarm_lab.rounds.assignments import contributors
from swarm_lab.rounds.codec import BadMessage
from swarm_lab.rounds.digests import examine
from swarm_lab.rounds.exchange import Assignment
from swarm_lab.rounds.exchange_events import ExchangeDone, ExchangeSpoiled, StartExchange
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.merge_names import GLOBAL
from swarm_lab.rounds.messages import GENESIS, Participant
from swarm_lab.rounds.slices import assignment_id, deal

DOMAIN = Domain(31337, "0x" + "1" * 40)
TRAINING = ("t-123456", "a" * 64)
LIMIT_S = 20.0

Bend = Callable[[str, str, Head, "bytes | None"], "list[tuple[Head, bytes | None]]"]


@dataclass
class Keys:
    signer: KeySigner
    verifier: KeyVerifier


@dataclass
class Site:
    node: str
    contribution: bytearray
    exchange: BlockExchange
    root: str
    digests: tuple[bytes, ...]
    out: bytearray
    told: list[Told] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def done(self, assignment: str) -> ExchangeDone | None:
        return next((t for t in self.told if isinstance(t, ExchangeDone) and t.assignment == assignment), None)

    @property
    def spoiled(self) -> list[ExchangeSpoiled]:
        return [t for t in self.told if isinstance(t, ExchangeSpoiled)]


class Sites:
    """`bend(from, to, head, body)` gives what arrives in the place of a frame; by default that frame itself."""

    def __init__(self, layout: Layout, models: Sequence[Buffer], *, wire: str = "float32", base: Buffer | None = None):
        self.layout, self.base, self.wire = layout, base, wire
        self.bend: Bend = lambda a, b, head, body: [(head, body)]
        self._inboxes: dict[str, queue.Queue[Any]] = {}
        keys = sorted((LedgerKey(bytes([i + 1] * 32)) for i in range(len(models))), key=lambda key: key.address)
        self.sites = [self._site(key, model) for key, model in zip(keys, models, strict=True)]
        self.by_node = {site.node: site for site in self.sites}
        self._threads = [threading.Thread(target=self._receive, args=(site,), daemon=True) for site in self.sites]
        for thread in self._threads:
            thread.start()

    def _site(self, key: LedgerKey, model: Buffer) -> Site:
        told: list[Told] = []
        node = key.address
        self._inboxes[node] = queue.Queue()

        def send(to: str, head: Head, body: Buffer | None) -> None:
            data = None if body is None else bytes(body)
            for one in self.bend(node, to, head, data):
                self._inboxes[to].put((node, *one))

        exchange = BlockExchange(
            node, TRAINING, self.layout, self.wire, Keys(KeySigner(key, DOMAIN), KeyVerifier(DOMAIN)), send, told.append
        )
        found = examine(self.layout, model)
        out = bytearray(self.layout.nbytes)
        return Site(node, bytearray(model), exchange, found.root, found.blocks, out, told)

    def _receive(self, site: Site) -> None:
        while (item := self._inboxes[site.node].get()) is not None:
            sender, head, body = item
            try:
                target = None if body is None else site.exchange.place(sender, head, len(body))
                if target is not None:
                    target[:] = body
                site.exchange.arrived(sender, head, memoryview(b"") if body is None else target)
            except BadMessage as error:
                site.refused.append(str(error))

    def plan(
        self, sites: Sequence[Site], weights: Sequence[int] = (), method: str = "mean", before: Any = ()
    ) -> StartExchange:
        """An order for these sites, as a plan would give it."""
        members = [
            Participant(site.node, 1, weight, site.root, False)
            for site, weight in zip(sites, weights or [1] * len(sites), strict=True)
        ]
        shares = deal(len(self.layout.blocks), {site.node: 1 for site in sites}, before)
        roots = [(m.node, m.weight, m.root) for m in members]
        name = assignment_id(TRAINING[1], 1, GENESIS, roots, shares)
        assignment = Assignment(name, contributors(members), shares, method in GLOBAL)
        return StartExchange(1, GENESIS, assignment, method, "b" * 64 if self.base is not None else None)

    def start(self, sites: Sequence[Site], order: StartExchange) -> None:
        for site in sites:
            site.exchange.start(Work(order, site.contribution, site.digests, self.base, site.out))

    def finish(self, sites: Sequence[Site], order: StartExchange, again: float = 0.05) -> list[ExchangeDone]:
        """Tick until all are done."""
        until = time.monotonic() + LIMIT_S
        while True:
            done = [site.done(order.assignment.id) for site in sites]
            found = [one for one in done if one is not None]
            if len(found) == len(sites):
                return found
            assert time.monotonic() < until, [site.exchange._exchange for site in sites]
            for site in sites:
                site.exchange.tick(again, 10.0)
            time.sleep(0.01)

    def close(self) -> None:
        for site in self.sites:
            site.exchange.end()
            self._inboxes[site.node].put(None)
        for thread in self._threads:
            thread.join(5)


def models(layout: Layout, count: int, seed: int = 0) -> list[bytearray]:
    """Random models of a layout: floats near 0, small integers, booleans."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        arrays = {}
        for spec in layout.specs:
            dtype = layout.array(next(r for r in layout.runs if r.dtype == spec.dtype), bytearray(layout.nbytes)).dtype
            values = rng.normal(size=spec.shape) if spec.dtype in ("F64", "F32", "F16", "BF16") else None
            arrays[spec.name] = np.asarray(rng.integers(0, 2, spec.shape) if values is None else values).astype(dtype)
        found.append(layout.pack(arrays))
    return found

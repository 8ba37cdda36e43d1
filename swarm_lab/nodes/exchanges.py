"""The sharded exchanges of one training, one after the other: the machine's orders, carried out with their buffers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from swarm_lab.nodes.exchange import BlockExchange, Told
from swarm_lab.nodes.exchange_memory import Work
from swarm_lab.nodes.frames import Head
from swarm_lab.nodes.liveness import Liveness
from swarm_lab.nodes.stream_hub import StreamHub, TrainingStreams
from swarm_lab.nodes.transport import PeerAddress
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds import limits
from swarm_lab.rounds.exchange_events import EndExchange, ExchangeDone, StartExchange
from swarm_lab.rounds.layout import Buffer
from swarm_lab.rounds.merge_names import GLOBAL
from swarm_lab.rounds.messages import Digest, NodeId
from swarm_lab.rounds.signatures import Keys

log = logging.getLogger(__name__)


class Hears(Protocol):
    """Who is told what comes of an exchange (`driver.Driver`)."""

    def exchanged(self, event: Told) -> None:
        """In the event loop."""
        ...

    def without_exchange(self, reason: str) -> None:
        """An exchange cannot begin here."""
        ...

    def relay(self, to: NodeId) -> NodeId | None:
        """Through whom a frame goes that cannot go straight; called in any thread."""
        ...


class Streams(Protocol):
    """The frames' way out, as far as orders concern it."""

    def expect(self, nodes: frozenset[NodeId]) -> None:
        """Frames go to these and come from these."""
        ...

    def forget(self) -> None:
        """What waits to be sent is not wanted any more."""
        ...

    def rates(self) -> Iterator[tuple[NodeId, float, int]]:
        """What was sent since the last call: peer, seconds, bytes."""
        ...


class Exchanges:
    """Of one training. All methods belong to the event loop; the exchange itself works in threads.

    Models that an exchange reads stay in memory until the next order has been carried out.
    """

    def __init__(
        self, me: NodeId, vault: Vault, exchange: BlockExchange, streams: Streams, gone: Callable[[str], None]
    ) -> None:
        """`gone`: a model that an order needs is nowhere; the round then goes on without this node."""
        self._me = me
        self._vault = vault
        self._exchange = exchange
        self._streams = streams
        self._gone = gone
        self._orders: asyncio.Queue[StartExchange | EndExchange] = asyncio.Queue()
        self._pinned: tuple[Digest, ...] = ()
        self._work: Work | None = None
        self._threads = ThreadPoolExecutor(1, "exchange")
        self._ticked: Future[None] = Future()
        self._ticked.set_result(None)
        self._task = asyncio.create_task(self._run(), name="exchange orders")

    def order(self, order: StartExchange | EndExchange) -> None:
        """Take an order; the contribution stays where it is from now on."""
        if isinstance(order, StartExchange):
            self._vault.pin(*self._roots(order))
        self._orders.put_nowait(order)

    def keep(self, done: ExchangeDone) -> bool:
        """Hold the merged model of an exchange that is done; False for one that another plan has replaced."""
        work = self._work
        if work is None or work.order.assignment.id != done.assignment:
            return False
        self._vault.put(done.root, work.out)
        return True

    def tick(self, liveness: Liveness) -> None:
        """Ask again for what does not come; limits follow from what was measured."""
        for node, seconds, nbytes in self._streams.rates():
            liveness.measured(node, seconds, nbytes)
        work = self._work
        if work is None or self._task.done() or not self._ticked.done():
            return
        layout = self._vault.layout
        links = liveness.links(layout.nbytes if layout is not None else 0)
        mine = [links[m.node] for m in work.order.assignment.members if m.node in links]
        rtt = max((link.rtt for link in mine), default=0.01)
        share = max((link.transfer for link in mine), default=0.0) / max(1, len(mine) + 1)
        again, overdue = limits.block_again(rtt, share), limits.accusation(rtt, share)
        self._ticked = self._threads.submit(self._exchange.tick, again, overdue)

    async def close(self) -> None:
        """The training is over."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._exchange.end()
        self._streams.forget()
        self._vault.unpin(*self._pinned)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        while True:
            order = await self._orders.get()
            if isinstance(order, StartExchange):
                await self._start(order)
            else:
                await self._end()

    async def _start(self, order: StartExchange) -> None:
        pins = self._roots(order)
        work = self._work
        # Another coordinator may ask for the same: what is merged lies, or will lie, where this exchange puts it.
        if work is None or work.order.assignment.id != order.assignment.id:
            work = await self._prepare(order)
        if work is None:
            self._vault.unpin(*pins)
            return
        before, self._pinned = self._pinned, pins
        self._work = work
        self._streams.expect(frozenset(m.node for m in order.assignment.members))
        await asyncio.get_running_loop().run_in_executor(self._threads, self._exchange.start, work)
        self._vault.unpin(*before)

    async def _prepare(self, order: StartExchange) -> Work | None:
        vault, mine = self._vault, self._mine(order)
        contribution = await vault.find(mine)
        needed = order.base if order.base and self._needs_base(order) else None
        base = await vault.find(needed) if needed else None
        if contribution is None or (needed and base is None):
            what = "the contribution of this node" if contribution is None else "the model before this round"
            self._gone(f"{what} is not here any more")
            return None
        rounded = vault.is_rounded(mine, order.base)
        return Work(order, contribution, await vault.blocks(mine), base, vault.room(), rounded)

    async def _end(self) -> None:
        self._work = None
        await asyncio.get_running_loop().run_in_executor(self._threads, self._exchange.end)
        self._streams.forget()
        self._vault.unpin(*self._pinned)
        self._pinned = ()

    def _roots(self, order: StartExchange) -> tuple[Digest, ...]:
        base = (order.base,) if order.base and self._needs_base(order) else ()
        return (self._mine(order), *base)

    def _mine(self, order: StartExchange) -> Digest:
        return next(m.root for m in order.assignment.members if m.node == self._me)

    def _needs_base(self, order: StartExchange) -> bool:
        layout = self._vault.layout
        ties = layout is not None and any(run.dtype == "BOOL" for run in layout.runs)
        return order.method in GLOBAL or ties or not self._exchange.exact


def exchanges_of(
    me: NodeId,
    training: tuple[str, Digest],
    wire: str,
    vault: Vault,
    keys: Keys,
    hub: StreamHub,
    find: Callable[[NodeId], PeerAddress | None],
    hears: Hears,
    refuse: Callable[[NodeId, str], None],
) -> Exchanges:
    """The sharded exchange of one start of a program, on the node's streams; `training` is its id and its ledger key.

    `refuse` is told of peers whose frames broke a rule, in the event loop, as `hears` is.
    """
    loop, layout = asyncio.get_running_loop(), vault.layout
    assert layout is not None  # the program has said it

    def tell(event: Told) -> None:
        loop.call_soon_threadsafe(hears.exchanged, event)

    def refused(node: NodeId, reason: str) -> None:
        loop.call_soon_threadsafe(refuse, node, reason)

    def send(to: NodeId, head: Head, body: Buffer | None) -> None:
        via = hears.relay(to)
        hub.send(via or to, replace(head, to=to) if via else head, body)

    exchange = BlockExchange(me, training, layout, wire, keys, send, tell)
    hub.register(training[0], me, exchange, layout, refused)
    return Exchanges(me, vault, exchange, TrainingStreams(hub, training[0], find), hears.without_exchange)

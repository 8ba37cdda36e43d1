"""The bytes of a sharded exchange: blocks that come are checked, merged and sent on, in the threads of the streams.

`rounds.exchange` knows which block is due. A block is received into a buffer of its own, checked against what was
signed while it is in the cache, and only then used: what a peer sends twice, late or wrong touches nothing. The thread
that receives a block does what follows from it: merges it, and queues what goes out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from blake3 import blake3
from pydantic import ValidationError

from swarm_lab.facts import metrics
from swarm_lab.nodes.exchange_frames import SIGNED, FrameSender, SendFrame
from swarm_lab.nodes.exchange_memory import Bytes, Memory, OwnChanged, Pool, Work
from swarm_lab.nodes.frames import Head
from swarm_lab.rounds import exchange as x
from swarm_lab.rounds.codec import BadMessage
from swarm_lab.rounds.digests import is_finite, tensor_at
from swarm_lab.rounds.exchange_events import ExchangeDone, ExchangeMoved, ExchangeSpoiled
from swarm_lab.rounds.layout import Block, Layout, root_of
from swarm_lab.rounds.merge import Recipe
from swarm_lab.rounds.messages import Digest, NodeId
from swarm_lab.rounds.signatures import Keys
from swarm_lab.rounds.slices import SignedSlice, Slice
from swarm_lab.rounds.wire import WIRES

Told = ExchangeMoved | ExchangeDone | ExchangeSpoiled

_MOVED_S = 0.1  # between two words that blocks come
_EARLY_S = 1.0  # a peer may have the plan that much earlier than this node: its first frame waits for it
_STALE = 256


class BlockExchange:
    """One training's. `place` and `arrived` come from the streams' threads, the rest from the event loop.

    `tell` takes events on any thread.
    """

    def __init__(
        self,
        me: NodeId,
        training: tuple[str, Digest],
        layout: Layout,
        wire: str,
        keys: Keys,
        send: SendFrame,
        tell: Callable[[Told], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`training`: its id, for frames, and its key on the ledger, for signatures."""
        self._me = me
        self._key = training[1]
        self._layout = layout
        self._wire = WIRES[wire]
        self._keys = keys
        self._frames = FrameSender(me, training[0], send)
        self._tell = tell
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._exchange: x.Exchange | None = None
        self._memory: Memory | None = None
        self._round: tuple[int, Digest] | None = None
        self._stale: deque[Digest] = deque(maxlen=_STALE)
        """Roots and assignments that nobody waits for any more."""
        self._told_at = 0.0
        self._late: tuple[tuple[NodeId, ...], tuple[NodeId, ...]] = ((), ())
        self._pool = Pool()

    # --- the machine's orders -----------------------------------------------------------------------------

    def start(self, work: Work) -> None:
        """Work by this order from now on."""
        order = work.order
        with self._changed:
            if self._exchange is None or self._round != (order.round, order.prev):
                self._retire()
                self._exchange = x.Exchange(self._me, len(self._layout.blocks))
                self._round = (order.round, order.prev)
            current = self._exchange.assignment
            if current is not None and current.id == order.assignment.id:
                self._late = ((), ())  # another coordinator asks: it is told again
                return
            memory = self._memory = self._fresh(work)
            self._late, self._told_at = ((), ()), self._clock()
            orders = self._exchange.begin(order.assignment, self._clock())
            self._changed.notify_all()
        self._do(memory, orders)

    def _fresh(self, work: Work) -> Memory:
        """Memory for an assignment, with what is here from the one before."""
        assignment, before = work.order.assignment, self._memory
        recipe = Recipe(work.order.method, [m.weight for m in assignment.givers()])
        memory = Memory(work, self._layout, self._wire.for_round(work.order.base), recipe, self._pool)
        roots = {m.root for m in assignment.members}
        if before is not None:
            self._stale.append(before.assignment)
            memory.lists = {root: known for root, known in before.lists.items() if root in roots}
            memory.raw = {key: data for key, data in before.raw.items() if key[0] in roots}
            memory.listed = before.listed
        mine = next(m for m in assignment.members if m.node == self._me)
        memory.lists[mine.root] = work.digests
        return memory

    def end(self) -> None:
        """The round is over: nothing of it is used any more."""
        with self._changed:
            self._retire()
            self._pool.clear()

    def _retire(self) -> None:
        if self._memory is not None:
            self._stale.append(self._memory.assignment)
            self._stale.extend(m.root for m in self._memory.work.order.assignment.members)
        self._exchange = self._memory = self._round = None

    @property
    def exact(self) -> bool:
        """Whether values travel with all their bits."""
        return self._wire.exact

    def tick(self, again: float, overdue: float) -> None:
        """Ask for what has not come for `again` seconds, and tell of what is missing after `overdue` seconds."""
        with self._changed:
            exchange, memory, now = self._exchange, self._memory, self._clock()
            if exchange is None or memory is None or exchange.done:
                return
            orders = exchange.ask_again(now, again)
            late = exchange.overdue(now, overdue)
            news, self._late = late != self._late, late
        self._do(memory, orders)
        if news:
            self._tell(ExchangeMoved(now, memory.assignment, *late, moved=False))

    # --- frames that come ---------------------------------------------------------------------------------

    def place(self, sender: NodeId, head: Head, nbytes: int) -> memoryview | None:
        """Memory for a frame's body; None where nobody waits for it. Raises `BadMessage` for a wrong size."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_known(head), _EARLY_S):
                self._stale.append(head.key or head.root)
            exchange, memory = self._exchange, self._memory
            if exchange is None or memory is None:
                return None
            run = range(head.block, head.block + min(head.count, len(self._layout.blocks)))
            if head.kind == "BLOCK" and not any(exchange.wants_raw(head.root, block) for block in run):
                return None
            if head.kind == "MERGED" and not any(exchange.wants_merged(head.key, b, sender) for b in run):
                return None
        return self._pool.take(nbytes).data

    def _is_known(self, head: Head) -> bool:
        """Whether a frame is of what goes on here, or of what is over."""
        memory = self._memory
        name = head.key or head.root
        if name in self._stale:
            return True
        if memory is None:
            return False
        return name == memory.assignment or any(m.root == name for m in memory.work.order.assignment.members)

    def arrived(self, sender: NodeId, head: Head, body: memoryview | None) -> None:
        """A frame is whole, in what `place` gave for it. Raises `BadMessage` for one that no honest node sends."""
        with self._changed:
            exchange, memory = self._exchange, self._memory
        if exchange is None or memory is None or body is None:
            return
        match head.kind:
            case "BLOCK":
                orders = self._take_raw(exchange, memory, sender, head, body)
            case "MERGED":
                orders = self._take_merged(exchange, memory, sender, head, body)
            case "LIST":
                orders = self._take_list(memory, head, body)
            case "SLICE":
                orders = self._take_slice(exchange, memory, sender, head, body)
            case "TABLES":
                orders = self._take_tables(exchange, memory, sender, head, body)
            case "NEED":
                with self._changed:
                    self._frames.answer(memory, exchange, sender, head)
                orders = []
            case _:
                raise BadMessage(f"a frame {head.kind} in an exchange")
        self._do(memory, orders)

    def _take_raw(
        self, exchange: x.Exchange, memory: Memory, sender: NodeId, head: Head, body: memoryview
    ) -> list[x.Order]:
        """A block of a contribution: it must fit the root that its owner signed, and be finite."""
        digests = memory.lists.get(head.root)
        if digests is None:
            return []  # its list was lost: both are asked for again
        good: list[tuple[int, Bytes]] = []
        for block, piece in self._pieces(memory, head, body, exactly=True):
            data = memory.decoded(block, piece)
            if blake3(data.data).digest() != digests[block.number]:
                return self._spoiled(memory, sender, "its blocks do not fit the root that it signed")
            if not is_finite(block, data.data, self._pool.scratch()):
                tensor = tensor_at(self._layout, block, data.data)
                return self._spoiled(memory, sender, f"tensor {tensor!r} holds NaN or infinity")
            good.append((block.number, data))
        orders: list[x.Order] = []
        with self._changed:
            for number, data in good:
                if memory is self._memory and exchange.wants_raw(head.root, number):
                    memory.raw[head.root, number] = data
                    exchange.heard(self._clock())
                    orders += exchange.raw(head.root, number)
        self._moved(memory)
        return orders

    def _pieces(self, memory: Memory, head: Head, body: memoryview, *, exactly: bool) -> list[tuple[Block, Bytes]]:
        """The blocks of a frame; raises `BadMessage`."""
        run = range(head.block, head.block + head.count)
        found = memory.pieces(run, np.frombuffer(body, np.uint8), exactly=exactly)
        if found is None:
            raise BadMessage(f"{head.count} blocks of {body.nbytes} bytes: another model, or wire format")
        return found

    def _take_merged(
        self, exchange: x.Exchange, memory: Memory, sender: NodeId, head: Head, body: memoryview
    ) -> list[x.Order]:
        if head.key != memory.assignment:
            return []
        good = []
        for block, piece in self._pieces(memory, head, body, exactly=False):
            data = memory.decoded(block, piece)
            good.append((block, data, blake3(data.data).digest()))
        orders: list[x.Order] = []
        with self._changed:
            for block, data, digest in good:
                owner = exchange.wants_merged(head.key, block.number, sender)
                if owner is not None and memory is self._memory:
                    block.of(memory.work.out)[:] = data.data
                    exchange.heard(self._clock())
                    orders += exchange.merged(owner, block.number, digest)
        self._pool.give(np.frombuffer(body, np.uint8))
        self._moved(memory)
        return orders

    def _take_list(self, memory: Memory, head: Head, body: memoryview) -> list[x.Order]:
        digests = tuple(bytes(body[at : at + 32]) for at in range(0, body.nbytes, 32))
        if len(digests) != len(self._layout.blocks) or root_of(self._layout, digests) != head.root:
            raise BadMessage("digests of blocks that do not make the root: another model, or damage")
        with self._changed:
            if any(m.root == head.root for m in memory.work.order.assignment.members):
                memory.lists[head.root] = digests
        return []

    def _take_slice(
        self, exchange: x.Exchange, memory: Memory, sender: NodeId, head: Head, body: memoryview
    ) -> list[x.Order]:
        try:
            signed = SIGNED.validate_json(bytes(body))
        except ValidationError as error:
            raise BadMessage("a slice that cannot be read") from error
        if head.key != memory.assignment or not exchange.wants_slice(head.key, signed.merger):
            return []
        if not self._keys.verifier.slice(self._slice(memory, signed.merger, signed.digest), signed.signature):
            return self._spoiled(memory, sender, "it sent a slice with a forged signature")
        with self._changed:
            if memory is not self._memory or not exchange.wants_slice(head.key, signed.merger):
                return []
            exchange.heard(self._clock())
            return exchange.signed(signed)

    def _take_tables(
        self, exchange: x.Exchange, memory: Memory, sender: NodeId, head: Head, body: memoryview
    ) -> list[x.Order]:
        if head.key != memory.assignment:
            return []
        n, numbers = len(memory.recipe.weights), memory.tabled(exchange.share_of(sender))
        if body.nbytes != 8 * n * n * len(numbers):
            raise BadMessage(f"tables of {body.nbytes} bytes for {len(numbers)} blocks of {n} contributions")
        found = np.frombuffer(bytes(body), np.float64).reshape(len(numbers), n, n)
        with self._changed:
            if memory is not self._memory:
                return []
            memory.tables.update(zip(numbers, found, strict=True))
            exchange.heard(self._clock())
            return exchange.tables(sender)

    # --- orders -------------------------------------------------------------------------------------------

    def _do(self, memory: Memory, orders: Sequence[x.Order]) -> None:
        waiting, spread = deque(orders), list[int]()
        while waiting:
            order = waiting.popleft()
            if isinstance(order, x.Spread):
                spread.append(order.block)  # what is merged in one go travels together
                continue
            if isinstance(order, x.Sign):
                self._spread(memory, spread)
            waiting.extend(self._perform(memory, order))
        self._spread(memory, spread)

    def _spread(self, memory: Memory, blocks: list[int]) -> None:
        if blocks and memory is self._memory:
            self._frames.merged(memory, sorted(blocks), memory.others(self._me))
        blocks.clear()

    def _perform(self, memory: Memory, order: x.Order) -> list[x.Order]:
        exchange = self._exchange
        if exchange is None or memory is not self._memory:
            return []
        match order:
            case x.Give():
                self._frames.give(memory, order.to, order.blocks)
            case x.Tabulate():
                return self._tabulate(exchange, memory, order.block)
            case x.SpreadTables():
                self._frames.tables(memory, exchange.share_of(self._me), memory.others(self._me))
            case x.Combine():
                return self._combine(exchange, memory, order.block)
            case x.Sign():
                return self._sign(exchange, memory)
            case x.Ask():
                self._frames.ask(memory, order)
            case x.Spoil():
                self._spoiled(memory, order.owner, "its merged blocks are not those that it signed")
            case x.Complete():
                self._complete(exchange, memory)
        return []

    def _combine(self, exchange: x.Exchange, memory: Memory, number: int) -> list[x.Order]:
        block = self._layout.blocks[number]
        with self._changed:
            memory.weigh()
        try:
            merged = memory.merged(self._me, block)
        except OwnChanged as error:
            return self._spoiled(memory, self._me, str(error))
        if merged is None:
            return []
        digest = blake3(merged.data).digest()
        with self._changed:
            if memory is not self._memory:
                return []
            block.of(memory.work.out)[:] = merged.data
            memory.forget(number)
            orders = exchange.combined(number, digest)
        self._pool.give(merged)
        return orders

    def _tabulate(self, exchange: x.Exchange, memory: Memory, number: int) -> list[x.Order]:
        try:
            table = memory.table(self._me, self._layout.blocks[number])
        except OwnChanged as error:
            return self._spoiled(memory, self._me, str(error))
        with self._changed:
            if memory is not self._memory:
                return []
            if table is not None:
                memory.tables[number] = table
            return exchange.tabulated(number)

    def _sign(self, exchange: x.Exchange, memory: Memory) -> list[x.Order]:
        with self._changed:
            digest = exchange.slice_digest()
        signed = SignedSlice(self._me, digest, self._keys.signer.sign_slice(self._slice(memory, self._me, digest)))
        self._frames.slice(memory, signed, memory.others(self._me))
        with self._changed:
            return exchange.signed(signed) if memory is self._memory else []

    def _complete(self, exchange: x.Exchange, memory: Memory) -> None:
        with self._changed:
            if memory is not self._memory:
                return
            metrics.merge_seconds.observe(memory.merging_s)
            root = root_of(self._layout, exchange.digests())
            done = ExchangeDone(self._clock(), memory.assignment, root, exchange.slices())
        self._tell(done)

    # --- small things -------------------------------------------------------------------------------------

    def _slice(self, memory: Memory, merger: NodeId, digest: Digest) -> Slice:
        order = memory.work.order
        return Slice(self._key, order.round, order.prev, memory.assignment, merger, digest)

    def _moved(self, memory: Memory) -> None:
        now = self._clock()
        with self._changed:
            if now - self._told_at < _MOVED_S or memory is not self._memory:
                return
            self._told_at, self._late = now, ((), ())
        self._tell(ExchangeMoved(now, memory.assignment))

    def _spoiled(self, memory: Memory, node: NodeId, reason: str) -> list[x.Order]:
        self._tell(ExchangeSpoiled(self._clock(), memory.assignment, node, reason))
        return []

"""The one reader for all tabs: looks at what is on disk while somebody listens, and tells every client what is new."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic_core import to_json

from swarm_lab.facts.events import Event
from swarm_lab.jupyter.server.following import Follower, Following
from swarm_lab.jupyter.server.models import HostInfo, Operation, Snapshot, SwarmInfo
from swarm_lab.jupyter.server.outbox import Message
from swarm_lab.jupyter.server.swarms import Swarms, ask
from swarm_lab.jupyter.server.watch import SwarmWatch

log = logging.getLogger(__name__)

FACTS_S = 0.05
STATUS_S = 0.25
NAMES_S = 1.0
ASK_S = 1.0
LOADS_S = 2.0
GPUS_S = 5.0
# While nobody listens: only what cullers and readers of Jupyter events must know.
IDLE_S = 5.0

T = TypeVar("T")


class Client(Follower, Protocol):
    """Who listens."""

    def wants(self, swarm: str) -> bool:
        """Whether it has subscribed to a swarm's facts."""

    def send(self, message: Message) -> None:
        """Take a message; never waits."""


@dataclass(slots=True)
class News:
    """What one look has found."""

    facts: dict[str, list[Event]] = field(default_factory=dict)
    statuses: list[SwarmInfo] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    members: bool = False
    trains: bool = False


class Producer:
    """Reads facts in `reader`, a single thread, so that views need no lock; nodes, which take longer, in `observer`.

    `others` are for what may hang: supervisors are asked there.
    """

    def __init__(
        self,
        boot: str,
        swarms: Swarms,
        reader: Executor,
        observer: Executor,
        others: Executor,
        on_facts: Callable[[str, list[Event]], None],
        on_training: Callable[[], None],
    ) -> None:
        self.boot = boot
        self.swarms = swarms
        self.operations: Callable[[], list[Operation]] = list
        self.following = Following()
        self._reader = reader
        self._observer = observer
        self._others = others
        self._on_facts = on_facts
        self._on_training = on_training
        self._clients: set[Client] = set()
        self._some = asyncio.Event()
        self._due: dict[str, float] = {}
        self._asking: dict[str, asyncio.Future[Any]] = {}
        self._shown: dict[str, SwarmInfo] = {}
        self._host: HostInfo | None = None

    # --- for handlers ------------------------------------------------------------------------------------

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something with the watches, in their thread."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, *arguments)

    async def aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something that takes longer and does not touch the watches."""
        return await asyncio.get_running_loop().run_in_executor(self._others, work, *arguments)

    async def snapshot(self) -> Snapshot:
        """Everything as it is now."""
        await self._ask_all(await self.read(self.swarms.look))
        await self._observe(self.swarms.observe)
        infos = await self.read(self.swarms.fresh)
        if self._host is None or not self._clients:
            self._host = await self._observe(self.swarms.host)
        return self._snapshot(infos)

    def _snapshot(self, infos: Iterable[SwarmInfo]) -> Snapshot:
        return Snapshot(
            boot=self.boot,
            time=time.time(),
            swarms=list(infos),
            operations=self.operations(),
            hosts=[] if self._host is None else [self._host],
        )

    async def of(self, swarm: str, work: Callable[[SwarmWatch], T]) -> T:
        """Something about one swarm as it is now; raises `NoSuchSwarm`."""
        watch = await self.read(self.swarms.watch, swarm)
        if not watch.observer.asked or not self._clients:
            await self._ask_all([watch])
        await self._observe(watch.observer.look)

        def fresh() -> T:
            watch.poll()
            return work(watch)

        return await self.read(fresh)

    # --- for clients -------------------------------------------------------------------------------------

    async def join(self, client: Client) -> list[Message]:
        """A client has come: what it is told first. What is new meanwhile it is sent already."""
        self._clients.add(client)
        self._some.set()
        snapshot = await self.snapshot()
        seqs = {info.swarm: info.seq for info in snapshot.swarms}
        hello = message({"type": "hello", "boot": self.boot, "seqs": seqs})
        return [hello, message({"type": "snapshot", "snapshot": snapshot})]

    def leave(self, client: Client) -> None:
        """A client has gone."""
        self._clients.discard(client)
        self.following.forget(client)
        if not self._clients:
            self._some.clear()

    def tell(self, operation: Operation) -> None:
        """An operation has changed."""
        self._send(message({"type": "operation", "operation": operation}, key=("operation", operation.id)))

    # --- the loop ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look until cancelled: often while somebody listens, seldom else."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again_and_again(self._facts_once, FACTS_S))
            group.create_task(self._again_and_again(self._nodes_once, STATUS_S))

    async def _again_and_again(self, once: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await once()
            except OSError as error:
                log.warning("swarms cannot be read: %s", error)
            if self._clients:
                await asyncio.sleep(every_s)
            else:
                await _within(self._some.wait(), IDLE_S)

    async def _nodes_once(self) -> None:
        """Look at nodes, loads and supervisors; what is seen is told with the next facts."""
        if not self._clients:
            # What nobody samples any more is not how things are.
            await self._observe(self.swarms.forget_loads)
            return
        if self._is_due("ask", ASK_S, time.monotonic()):
            for watch in self.swarms.known():
                self._ask(watch)
        if self.swarms.gpus.there and self._is_due("gpus", GPUS_S, time.monotonic()):
            self._others.submit(self.swarms.gpus.ask)
        if self._is_due("loads", LOADS_S, time.monotonic()):
            self._host = await self._observe(self.swarms.sample)
            self._send(message({"type": "hosts", "hosts": [self._host]}, key="hosts"))
        await self._observe(self.swarms.observe)

    async def _observe(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._observer, work)

    async def _facts_once(self) -> None:
        listened = bool(self._clients)
        news = await self.read(self._look, time.monotonic(), listened)
        for swarm, facts in news.facts.items():
            self._on_facts(swarm, facts)
            self._send_facts(swarm, facts)
        if news.trains:
            self._on_training()
        if not listened:
            return
        self._tell(news)
        for client, told in await self.read(self.following.poll):
            client.send(message(told, stream=("log", told["swarm"])))

    def _look(self, now: float, listened: bool) -> News:
        """In the reader's thread."""
        news = News()
        watches = self.swarms.look() if self._is_due("names", NAMES_S, now) else self.swarms.known()
        for watch in watches:
            watch.poll()
            if found := watch.take():
                news.facts[watch.name] = found
        if self._is_due("trains", IDLE_S, now):
            news.trains = self.swarms.trains
        if listened and self._is_due("status", STATUS_S, now):
            self._statuses(watches, news)
        return news

    def _statuses(self, watches: list[SwarmWatch], news: News) -> None:
        before = self._shown
        self._shown = {watch.name: watch.info() for watch in watches if watch.observer.asked}
        news.gone = [name for name in before if name not in self._shown]
        news.statuses = [info for name, info in self._shown.items() if info != before.get(name)]
        news.members = _members(before) != _members(self._shown)

    def _tell(self, news: News) -> None:
        for name in news.gone:
            self._send(message({"type": "gone", "swarm": name}))
        if news.members:
            self._send(message({"type": "snapshot", "snapshot": self._snapshot(self._shown.values())}, key="snapshot"))
        else:
            for info in news.statuses:
                self._send(message({"type": "status", "swarm": info}, key=("status", info.swarm)))

    def _send_facts(self, swarm: str, facts: list[Event]) -> None:
        clients = [client for client in self._clients if client.wants(swarm)]
        if clients:
            self._send(message({"type": "facts", "swarm": swarm, "facts": facts}, stream=("facts", swarm)), clients)

    def _send(self, told: Message, clients: Iterable[Client] | None = None) -> None:
        for client in self._clients if clients is None else clients:
            client.send(told)

    def _is_due(self, what: str, every_s: float, now: float) -> bool:
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every_s
        return True

    # --- supervisors -------------------------------------------------------------------------------------

    def _ask(self, watch: SwarmWatch) -> asyncio.Future[Any]:
        """Ask a swarm's supervisor, one question at a time: one that hangs holds up nobody."""
        running = self._asking.get(watch.name)
        if running is not None and not running.done():
            return running
        loop = asyncio.get_running_loop()
        asked = self._asking[watch.name] = loop.run_in_executor(self._others, ask, watch)
        return asked

    async def _ask_all(self, watches: Iterable[SwarmWatch]) -> None:
        asked = [self._ask(watch) for watch in watches]
        if asked:
            await asyncio.wait(asked, timeout=ASK_S)


def message(told: dict[str, Any], *, key: Any = None, stream: tuple[str, str] | None = None) -> Message:
    """A message as it travels; JSON has neither NaN nor infinity."""
    return Message(to_json(told, inf_nan_mode="null").decode(), key, stream)


def _members(shown: dict[str, SwarmInfo]) -> list[tuple[str, list[str], list[str]]]:
    return [(name, [n.name for n in info.nodes], [t.id for t in info.trainings]) for name, info in shown.items()]


async def _within(waiting: Awaitable[Any], limit_s: float) -> None:
    try:
        await asyncio.wait_for(waiting, limit_s)
    except TimeoutError:
        return

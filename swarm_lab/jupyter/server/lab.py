"""The parts of the server, made once: what is watched, the producer, the operations. All of it can be made again."""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from swarm_lab import __version__
from swarm_lab.facts.events import Event
from swarm_lab.jupyter.server.models import About
from swarm_lab.jupyter.server.operations import Operations
from swarm_lab.jupyter.server.producer import Producer
from swarm_lab.jupyter.server.swarms import Swarms

_ASIDE = 4
_FINISH_S = 5.0
_FRAMEWORKS = {"torch": "torch", "keras": "keras", "sklearn": "sklearn"}


class Lab:
    """Lives as long as the server; what it knows it has from disk."""

    def __init__(self, on_facts: Callable[[str, list[Event]], None], on_training: Callable[[], None]) -> None:
        self.boot = secrets.token_hex(8)
        self._reader = ThreadPoolExecutor(1, "swarm-lab-reader")
        self._aside = ThreadPoolExecutor(_ASIDE, "swarm-lab-aside")
        self.swarms = Swarms()
        self._observer = ThreadPoolExecutor(1, "swarm-lab-observer")
        threads = (self._reader, self._observer, self._aside)
        self.producer = Producer(self.boot, self.swarms, *threads, on_facts, on_training)
        self.operations = Operations(self.producer.tell)
        self.producer.operations = self.operations.all
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; in the event loop."""
        self._task = asyncio.get_running_loop().create_task(self.producer.run(), name="swarm-lab producer")

    async def stop(self) -> None:
        """End, after the operations that run have had a moment."""
        await self.operations.finish(_FINISH_S)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_FINISH_S)
        for threads in (self._reader, self._observer, self._aside):
            threads.shutdown(wait=False, cancel_futures=True)

    def trainings(self) -> list[dict[str, str]]:
        """The trainings that go on. Called once a minute, by a server that may end when nothing does."""
        return [
            {"swarm": watch.name, "training": view.id}
            for watch in self.swarms.known()
            if watch.trains
            for view in list(watch.views.values())
            if not view.over
        ]

    def about(self) -> About:
        """Which server this is."""
        installed = [name for name, package in _FRAMEWORKS.items() if importlib.util.find_spec(package) is not None]
        return About(version=__version__, boot=self.boot, frameworks=installed)

"""The trainings of one SL node: their queue, which one has the seat, and what the node still serves of old ones."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from swarm_lab.callback.messages import Platform
from swarm_lab.errors import StagingError, SwarmLabError
from swarm_lab.facts.logs import bound
from swarm_lab.facts.state import write_json
from swarm_lab.ledger.records import TrainingInfo
from swarm_lab.nodes.archive import Archive
from swarm_lab.nodes.inbox import Recipient
from swarm_lab.nodes.staging import StageRequest
from swarm_lab.nodes.training import TrainingRun
from swarm_lab.nodes.workplace import Workplace
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.layout import Buffer
from swarm_lab.rounds.messages import Message, NodeId

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_LAST_WORDS_S = 10.0
_STAGE_S = 60.0  # how long a training that the ledger names may take to come to this node


class Lease(Protocol):
    """The node's license (`licensing.client.LicenseLease`)."""

    def require(self) -> None:
        """Raise why no new training may begin."""
        ...

    def must_end(self) -> bool:
        """Whether running trainings must end at their next closing round."""
        ...


class Learner:
    """Runs trainings one after the other, in the ledger's order: all nodes see the same, so none waits for another."""

    def __init__(self, place: Workplace, lease: Lease) -> None:
        self._place = place
        self._lease = lease
        self._runs: dict[str, TrainingRun] = {}
        self._archives: dict[str, Archive] = {}
        self._current: TrainingRun | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._first_seen: dict[str, float] = {}
        self._resumed: dict[str, float] = {}
        """Until when the ledger is waited for to let a training go on."""
        self._news = asyncio.Event()

    # --- for the services --------------------------------------------------------------------------------

    def recipient(self, training: str) -> Recipient | None:
        """Who takes messages for a training."""
        run = self._runs.get(training)
        if run is not None:
            return run
        if training not in self._archives and self._is_done(training):
            self._archives[training] = Archive(
                training,
                Checkpoints(self._place.stage.folder(training) / "checkpoints"),
                lambda to, message, payload: self._post(training, to, message, payload),
                self._place.directory.node,
            )
        return self._archives.get(training)

    def staged(self, request: StageRequest) -> str:
        """A training has come. Raises `LicenseExpired` and `StagingError` for a platform that is not this swarm's."""
        self._lease.require()
        mine: Platform = self._place.config.framework
        if request.rules.platform != mine:
            raise StagingError(f"this swarm trains {mine} programs, not {request.rules.platform}")
        self._news.set()
        if self._current is None:
            return "started"
        self._place.events.append(
            "training_queued", training=request.training, node=self._place.config.name, after=self._current.id
        )
        return "queued"

    async def resume(self, training: str) -> str:
        """Be ready to take part again in a training that had ended here, as soon as the ledger lets it go on.

        Raises `LicenseExpired`, and `StagingError` where this node was not given it or its program is another one now.
        """
        self._lease.require()
        request = self._place.stage.request(training)
        if request is None:
            raise StagingError(f"{self._place.config.name} was never given the training {training}")
        await asyncio.to_thread(self._place.stage.check, request)
        until = time.monotonic() + _LAST_WORDS_S
        while self._current is not None and self._current.id == training:
            if time.monotonic() > until:
                return "running"
            await asyncio.sleep(0.05)  # it has failed, and is telling the ledger so
        self._resumed[training] = time.monotonic() + _STAGE_S
        old = self._runs.pop(training, None)
        if old is not None:
            await old.close()  # or it would tell the ledger once more that it has left
        (self._place.stage.folder(training) / "done.json").unlink(missing_ok=True)
        self._archives.pop(training, None)
        self._first_seen.pop(training, None)
        self._news.set()
        return "started" if self._current is None else "queued"

    def stop(self, training: str) -> str:
        """End a training with one closing round."""
        run = self._runs.get(training)
        if run is not None:
            run.stop()
            return "stopping"
        if self._place.stage.request(training) is None:
            return "unknown"
        self._mark_done(training, "stopped")  # it had not begun here
        return "finished"

    # --- life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take the next training whenever the seat is free; goes on until cancelled."""
        licence = asyncio.create_task(self._watch_license(), name="license watch")
        try:
            while True:
                info = await self._next()
                if info is not None:
                    await self._train(info)
                    continue
                self._news.clear()
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await self._news.wait()
                except TimeoutError:
                    pass
        finally:
            licence.cancel()
            for task in self._serving:
                task.cancel()
            # Without `return_exceptions` the cancelled ones would hide why this node ended: it would stay, idle.
            closing = (run.close() for run in self._runs.values())
            await asyncio.gather(licence, *self._serving, *closing, return_exceptions=True)

    async def _next(self) -> TrainingInfo | None:
        """The first training of the queue that this node has not done, once its program is here."""
        try:
            queue = await self._place.ledger.queue(self._place.ledger.account)
        except SwarmLabError as error:
            log.info("the queue was not read", extra={"code": error.code, "reason": error.message})
            return None
        for info in queue:
            if self._is_done(info.id):
                continue
            if self._place.stage.request(info.id) is not None:
                return info
            first = self._first_seen.setdefault(info.id, time.monotonic())
            if time.monotonic() - first < _STAGE_S:
                return None  # its turn, but its program is still on the way
            log.warning("the program of %s never came; the queue goes on", info.id)
            self._mark_done(info.id, "never came")
        return await self._finished_without_me({info.id for info in queue})

    async def _finished_without_me(self, queued: set[str]) -> TrainingInfo | None:
        """A training that ended while this node was away: it still gets the last model, and its program its end."""
        for training in self._place.stage.trainings():
            if training in queued or self._is_done(training):
                continue
            try:
                info = await self._place.ledger.info(training)
            except SwarmLabError as error:
                log.info("a training was not read", extra={"code": error.code, "reason": error.message})
                continue
            if info.state == "finished":
                return info
            if info.over and time.monotonic() > self._resumed.get(training, 0.0):
                self._mark_done(training, info.state)
        return None

    async def _train(self, info: TrainingInfo) -> None:
        request = self._place.stage.request(info.id)
        assert request is not None
        run = TrainingRun(self._place, request, info)
        self._resumed.pop(info.id, None)
        self._runs[info.id] = self._current = run
        with bound(training=info.id):
            try:
                self._check(request, info)
                self._lease.require()
            except SwarmLabError as error:
                await run.refuse_to_begin(error)
            else:
                await run.run()
        self._mark_done(info.id, "over")
        self._current = None
        self._place.state.update("ready", "", training=None, reached=None, waiting_for=None)
        task = asyncio.create_task(self._serve(run), name=f"serve {info.id}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def _check(self, request: StageRequest, info: TrainingInfo) -> None:
        """What was staged is what stands on the ledger; raises `StagingError`."""
        if request.rules.program != info.program or request.rules.digest() != info.spec:
            raise StagingError("what was staged here is not the program and the rules that stand on the ledger")

    async def _serve(self, run: TrainingRun) -> None:
        with bound(training=run.id):
            await run.serve()
        if self._runs.get(run.id) is run:
            del self._runs[run.id]

    async def _watch_license(self) -> None:
        while True:
            run = self._current
            if run is not None and self._lease.must_end() and not run.stopping:
                log.warning("the license is over: %s ends with its next closing round", run.id)
                run.stop()
            await asyncio.sleep(1.0)

    async def _post(self, training: str, to: NodeId, message: Message, payload: tuple[str, Buffer] | None) -> None:
        peer = self._place.directory.find(to)
        if peer is not None:
            await self._place.transport.send(peer, training, message, payload)

    def _is_done(self, training: str) -> bool:
        return (self._place.stage.folder(training) / "done.json").exists()

    def _mark_done(self, training: str, how: str) -> None:
        folder = self._place.stage.folder(training)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "done.json", {"how": how})

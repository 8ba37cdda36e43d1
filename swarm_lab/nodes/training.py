"""One training on one SL node: its program, its round machine, and what connects the two.

    waiting for its turn -> program starts -> terms agreed on the ledger -> rounds -> final model -> program ends

A program that is killed starts again, with the swarm's last committed model; one that raises fails for good. The
machine goes on after the program has ended, until no live peer needs this node's models any more (`serve`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from swarm_lab.callback.messages import Argument, Hello, Release, Sync
from swarm_lab.errors import ProgramHung, ProgramKilled, SwarmLabError, TrainingLost
from swarm_lab.facts.events import EventLog
from swarm_lab.facts.state import StateFile
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.records import Perf, Terms, TrainingInfo
from swarm_lab.ledger.signing import training_key
from swarm_lab.nodes.agreement import asked_terms, merged_arguments
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.driver import Driver
from swarm_lab.nodes.launching import ProgramSpec, Start
from swarm_lab.nodes.ledger_port import LedgerPort
from swarm_lab.nodes.pilot import Arrival, Pilot
from swarm_lab.nodes.program import Program
from swarm_lab.nodes.program_edge import Limits
from swarm_lab.nodes.reporter import Reporter
from swarm_lab.nodes.staging import Stage, StageRequest
from swarm_lab.nodes.transport import Transport
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.events import Fail, Finish, ProgramFailed, Rules, StopRequested
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.machine import Machine
from swarm_lab.rounds.messages import GONE, Message, NodeId, Phase
from swarm_lab.rounds.model_file import write_model

log = logging.getLogger(__name__)

_MAX_STARTS = 4
_SAMPLE_S = 0.1
_END_S = 20.0  # for the last model to reach a program that still trains, on top of ten of its batches
_SERVE_S = 3.0


@dataclass(frozen=True)
class Workplace:
    """What a node lends its trainings."""

    config: NodeConfig
    ledger: Ledger
    directory: Directory
    transport: Transport
    events: EventLog
    state: StateFile
    stage: Stage
    start_warm: Start | None
    start_cold: Start


class TrainingRun:
    """A training on this node, from its turn to its end. Peers' messages reach it by `receive`."""

    def __init__(self, place: Workplace, request: StageRequest, info: TrainingInfo) -> None:
        self.id = request.training
        self.over = asyncio.Event()
        self._place = place
        self._request = request
        self._info = info
        self._folder = place.stage.folder(self.id)
        self._vault = Vault(Checkpoints(self._folder / "checkpoints"))
        self._reporter = Reporter(self.id, place.config.name, place.events, place.state, place.directory)
        self._port = LedgerPort(place.ledger, self.id)
        self._reporter.tx = self._port.tx
        self._driver: Driver | None = None
        self._driving: asyncio.Task[None] | None = None
        self._stop_asked = False
        self._outcome: asyncio.Future[Finish | Fail]

    # --- for the inbox and the operator ------------------------------------------------------------------

    @property
    def layout(self) -> Layout | None:
        """Layout of the model, once the program has said it."""
        return self._vault.layout if self._driver is not None else None

    def member(self, peer: SpiffeId) -> NodeId | None:
        """The ledger id of a peer that is assigned to this training."""
        node = self._place.directory.node(peer)
        return node if node in self._info.nodes else None

    def receive(self, sender: NodeId, instance: str, message: Message, payload: tuple[str, bytearray] | None) -> None:
        """A checked message of a peer."""
        if self._driver is not None:
            self._driver.receive(sender, instance, message, payload)

    def refuse(self, sender: NodeId, reason: str) -> None:
        """A peer's message broke a rule."""
        name = self._place.directory.name(sender)
        log.warning("refused a message", extra={"peer": name, "reason": reason})
        self._place.events.append(
            "excluded", training=self.id, node=self._place.config.name, nodes=[name], reason=reason
        )

    def stop(self) -> None:
        """End with one closing round."""
        self._stop_asked = True
        if self._driver is not None:
            self._driver.apply(StopRequested(time.monotonic()))

    # --- life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take part until this node's program has ended; every failure becomes a fact, none is raised."""
        self._reporter.started()
        try:
            for start in range(_MAX_STARTS):
                try:
                    await self._take_part(start)
                    return
                except ProgramKilled as error:
                    log.warning(error.message, extra={"code": error.code, "start": start})
                    if start + 1 == _MAX_STARTS:
                        raise
        except SwarmLabError as error:
            await self._give_up(error)
        finally:
            self.over.set()

    async def serve(self) -> None:
        """Keep the machine going until every live peer has finished, then let it rest."""
        if self._driving is None or self._driver is None:
            return
        until = time.monotonic() + self._request.rules.absent_s
        quiet = time.monotonic()
        while not self._driving.done() and time.monotonic() < until:
            beats = self._driver.liveness.heartbeats.values()
            if any(beat.phase not in GONE and beat.phase != Phase.FINISHED for beat in beats):
                quiet = time.monotonic()
            if time.monotonic() - quiet > _SERVE_S:
                break
            await asyncio.sleep(0.2)
        await self._end_driver()

    async def close(self) -> None:
        """End at once; what was committed is on disk."""
        await self._end_driver()

    async def _take_part(self, start: int) -> None:
        """One start of the program, from its launch to its end."""
        await self._end_driver()
        program = await self._launch()
        try:
            hello = await program.hello(self._request.rules.absent_s)
            terms = await self._agree(program, hello)
            self._vault.layout = program.layout
            driver, pilot = self._wire(program, hello, terms)
            arguments = merged_arguments(self._request, hello)
            await program.welcome(interval=terms.sync_frequency, seed=self._seed(), arguments=arguments)
            await self._rounds(program, driver, pilot)
        finally:
            await program.kill()

    async def _launch(self) -> Program:
        place, request = self._place, self._request
        directory = self._folder / "program"
        data = Path(request.data_dir)
        spec = ProgramSpec(
            program=directory / request.program,
            directory=directory,
            link=place.config.run_dir / f"link-{place.config.name}.sock",
            output=self._folder / "output.log",
            record=place.config.directory / "program.json",
            framework=place.config.framework,
            arguments=request.arguments,
            variables={
                **request.environment,
                "DATA_DIR": str(data),
                "MODEL_DIR": str(self._folder / "model"),
                "SCRATCH_DIR": str(self._folder / "scratch"),
            },
            seed=self._seed(),
            threads=max(1, (os.cpu_count() or 1) // max(1, len(request.rules.nodes))),
        )
        warm = place.start_warm if not request.cold else None
        limits = Limits(connect=request.rules.absent_s)
        return await Program.launch(spec, warm or place.start_cold, limits=limits, on_line=self._reporter.output)

    def _seed(self) -> int:
        """This node's own seed, derived from the training's: 32 bits, as numpy's generators take."""
        text = f"{self._request.rules.seed}/{self._place.config.name}"
        return int.from_bytes(blake3(text.encode()).digest()[:4], "big")

    async def _agree(self, program: Program, hello: Hello) -> Terms:
        """Register the program's terms; the node whose terms differ from the first one's is refused."""
        try:
            terms = asked_terms(self._request, hello, program.layout)
            await self._place.ledger.register(self.id, terms)
        except SwarmLabError as error:
            await program.refuse(error)
            raise
        return terms

    def _wire(self, program: Program, hello: Hello, terms: Terms) -> tuple[Driver, Pilot]:
        place, request = self._place, self._request
        arguments = merged_arguments(request, hello)
        rules = Rules(
            training=training_key(self.id),
            min_peers=terms.min_peers,
            sync=terms.sync_frequency,
            end_rule=terms.end_rule,
            assigned=tuple(sorted(self._info.nodes)),
            weight=int(arguments["node_weightage"] or 1),
            train_end=str(arguments["checkin_model_on_train_end"]),  # type: ignore[arg-type]
            grace=request.rules.grace,
            start_grace=request.rules.start_s,
            absent=request.rules.absent_s,
        )
        me = place.ledger.account
        machine = Machine(me, rules, place.ledger.signer, place.ledger.verifier)
        driver = Driver(machine, me, self._vault, self._port, self._post, self._members, self._reporter)
        self._outcome = asyncio.get_running_loop().create_future()
        self._reporter.when_over(self._decided, self._decided)
        pilot = driver.pilot = Pilot(ProgramPort(program), self._vault, driver.apply)
        place.transport.listen(self.id, driver.sent)
        self._driver = driver
        return driver, pilot

    async def _rounds(self, program: Program, driver: Driver, pilot: Pilot) -> None:
        """Run machine and program side by side until both are done."""
        self._driving = asyncio.create_task(driver.run(uuid.uuid4().hex), name=f"{self.id} rounds")
        if self._stop_asked:
            driver.apply(StopRequested(time.monotonic()))
        helpers = [
            asyncio.create_task(pilot.run(), name=f"{self.id} pilot"),
            asyncio.create_task(_arrivals(program, pilot), name=f"{self.id} arrivals"),
            asyncio.create_task(self._sample(program, driver), name=f"{self.id} sampling"),
            self._driving,
        ]
        end = asyncio.create_task(program.exit(), name=f"{self.id} exit")
        try:
            await asyncio.wait([end, self._outcome, *helpers], return_when=asyncio.FIRST_COMPLETED)
            if not end.done() and not self._outcome.done():
                raise _cause(helpers)
            if end.done() and not self._outcome.done():
                await self._program_ended(program, driver)
            await self._conclude(program, end)
        finally:
            for task in (end, *helpers[:-1]):
                task.cancel()
            await asyncio.gather(end, *helpers[:-1], return_exceptions=True)

    async def _program_ended(self, program: Program, driver: Driver) -> None:
        """The program is gone while the training goes on: a killed one comes back, another leaves the training."""
        error = (await program.exit()).error or ProgramKilled(f"{self._request.program} ended in mid-training")
        if isinstance(error, ProgramKilled):
            raise error
        driver.apply(ProgramFailed(time.monotonic(), error.message[:190], error.code))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await asyncio.shield(self._outcome)
        raise error

    async def _conclude(self, program: Program, end: asyncio.Task[object]) -> None:
        """The machine is done: wait for the program, keep the model, say so."""
        outcome = self._outcome.result()
        if isinstance(outcome, Fail):
            raise TrainingLost(f"{outcome.code}: {self._place.directory.words(outcome.text)}")
        await self._save(outcome)
        await self._program_takes_model(program)
        await asyncio.wait([end], timeout=self._request.rules.absent_s)
        leaving = await program.exit() if end.done() else await program.kill()
        if leaving.error is not None:
            raise leaving.error
        evaluated = leaving.evaluated
        loss, metric = (evaluated.loss, evaluated.metric) if evaluated else (None, None)
        await self._report_performance(outcome, loss, metric)
        metrics = {"loss": loss, "metric": metric}
        self._reporter.node_finished(self._folder / "model.safetensors", outcome.result.model, metrics)

    async def _program_takes_model(self, program: Program) -> None:
        """A program that does not come to the end within ten of its batches is ended: the swarm is over."""
        limit = time.monotonic() + _END_S + 10 * self._batch_seconds
        while program.phase in ("running", "parked") and time.monotonic() < limit:
            before = program.progress().batches
            await asyncio.sleep(_SAMPLE_S)
            if program.progress().batches != before:
                limit = time.monotonic() + _END_S + 10 * self._batch_seconds
        if program.phase in ("running", "parked"):
            silent = time.monotonic() - (program.progress().at or limit)
            raise ProgramHung(f"{self._request.program} did no batch for {silent:.0f} s; the swarm finished without it")

    async def _save(self, outcome: Finish) -> None:
        buffer = await self._vault.find(outcome.result.model)
        assert buffer is not None and self._vault.layout is not None  # Finish comes after the model
        about = {"training": self.id, "round": str(outcome.result.round), "digest": outcome.result.model}
        path = self._folder / "model.safetensors"
        await asyncio.to_thread(write_model, path, self._vault.layout, buffer, about)

    async def _report_performance(self, outcome: Finish, loss: float | None, metric: float | None) -> None:
        perf = Perf(outcome.result.round, math.nan if loss is None else loss, math.nan if metric is None else metric)
        try:
            await self._place.ledger.perf(self.id, perf)
        except SwarmLabError as error:  # the model is committed and on disk: numbers about it are not worth failing
            log.warning("the final performance is not on the ledger", extra={"reason": error.message})

    async def _give_up(self, error: SwarmLabError) -> None:
        failed = getattr(error, "failed", None)
        self._reporter.node_failed(error, getattr(failed, "traceback", "") or "", int(getattr(failed, "line", 0) or 0))
        try:
            await self._place.ledger.leave(self.id, error.code)
        except SwarmLabError as refused:
            log.info("the ledger was not told that this node left", extra={"reason": refused.message})

    # --- plumbing ----------------------------------------------------------------------------------------

    _batch_seconds = 0.0

    async def _sample(self, program: Program, driver: Driver) -> None:
        """Read the program's counters; its batches are its sign of life."""
        batches, at = 0, 0.0
        while True:
            seen = program.progress()
            if seen.batches != batches:
                if at and seen.at > at:
                    pace = (seen.at - at) / (seen.batches - batches)
                    self._batch_seconds += (0.3 if self._batch_seconds else 1.0) * (pace - self._batch_seconds)
                batches, at = seen.batches, seen.at
                driver.progress(batches, self._batch_seconds)
                self._reporter.progress(batches, seen.loss)
            await asyncio.sleep(_SAMPLE_S)

    async def _post(self, to: NodeId, message: Message, payload: tuple[str, Buffer] | None) -> None:
        peer = self._place.directory.find(to)
        if peer is not None:
            await self._place.transport.send(peer, self.id, message, payload)

    def _members(self) -> list[NodeId]:
        return list(self._info.nodes)

    def _decided(self, outcome: Finish | Fail) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def _end_driver(self) -> None:
        self._place.transport.forget(self.id)
        driving, self._driving, self._driver = self._driving, None, None
        if driving is not None:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)


class ProgramPort:
    """The program as the pilot steers it."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def attention(self) -> None:
        """See `pilot.Port`."""
        self._program.attention()

    async def release(
        self, model: Buffer | None, *, round_: int, interval: int | None, stop: bool, finished: bool, digest: str
    ) -> None:
        """See `pilot.Port`."""
        message = Release(
            model=model is not None, round=round_, interval=interval, stop=stop, finished=finished, digest=digest
        )
        await self._program.release(message, model)


async def _arrivals(program: Program, pilot: Pilot) -> None:
    """Tell the pilot each time the program parks, until it has ended."""
    while True:
        try:
            sync = await program.parked()
        except SwarmLabError:
            return  # its exit says more
        pilot.arrived(_arrival(program, sync))


def _arrival(program: Program, sync: Sync) -> Arrival:
    # A copy: what a program writes after it has parked must not change what was signed.
    contribution = bytes(program.contribution()) if sync.fresh else None
    loss = math.nan if sync.loss is None else sync.loss
    metric = math.nan if sync.metric is None else sync.metric
    return Arrival(sync.reason, sync.batches, loss, metric, contribution)


def _cause(helpers: list[asyncio.Task[None]]) -> SwarmLabError:
    """Why a helper that never ends has ended."""
    for task in helpers:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("a part of the training failed", exc_info=error)
            if isinstance(error, SwarmLabError):
                return error
            return TrainingLost(f"{task.get_name()}: {type(error).__name__}: {error}")
    return TrainingLost("a part of the training ended by itself")


__all__ = ["Argument", "TrainingRun", "Workplace"]

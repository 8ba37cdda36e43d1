"""One training on one SL node: its program, its round machine, and what connects the two.

    its turn has come -> program starts -> terms agreed on the ledger -> rounds -> final model -> program ends

A program that is killed starts again, with the swarm's last committed model; one that raises fails for good. The
machine goes on after the program has ended, until no live peer needs this node's models any more (`serve`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal, cast

from swarm_lab import errors
from swarm_lab.callback.messages import Argument
from swarm_lab.errors import ProgramHung, ProgramKilled, SwarmLabError, TrainingLost
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.ledger.records import Perf, Terms, TrainingInfo
from swarm_lab.ledger.signing import training_key
from swarm_lab.nodes.agreement import merged_arguments
from swarm_lab.nodes.driver import Driver
from swarm_lab.nodes.exchanges import exchanges_of
from swarm_lab.nodes.ledger_port import LedgerPort
from swarm_lab.nodes.pilot import Pilot
from swarm_lab.nodes.program import Exit, Program
from swarm_lab.nodes.program_edge import Limits
from swarm_lab.nodes.program_side import (
    SAMPLE_S,
    Pace,
    ProgramPort,
    end_leftover,
    follow_arrivals,
    follow_waits,
    program_spec,
)
from swarm_lab.nodes.registration import Registration
from swarm_lab.nodes.reporter import Reporter
from swarm_lab.nodes.round_ports import Arrived
from swarm_lab.nodes.staging import StageRequest
from swarm_lab.nodes.starts import Starts, resume_of
from swarm_lab.nodes.vault import Vault
from swarm_lab.nodes.workplace import Workplace
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.events import EMPTY_VIEW, Fail, Finish, ProgramFailed, Rules, StopRequested
from swarm_lab.rounds.layout import Buffer, Layout
from swarm_lab.rounds.machine import Machine
from swarm_lab.rounds.messages import GONE, Heartbeat, Message, NodeId, Phase

log = logging.getLogger(__name__)

_END_S = 20.0  # for the last model to reach a program that still trains, on top of ten of its batches
_STOP_S = 5.0  # for a stopped program's loop to see `stop_training`
_SERVE_S = 3.0
_DISK_S = 1.0  # between two tries to write the final model
# The machine's words for why it gave up, and what users see.
_FAILURES: dict[str, type[SwarmLabError]] = {
    "SWL-PEERS": errors.TooFewPeers,
    "SWL-LEDGER": errors.LedgerSilent,
    "SWL-MODEL": errors.ModelOutOfReach,
    "SWL-REMOVED": errors.RemovedFromTraining,
    "SWL-FORK": errors.LedgerForked,
}


class TrainingRun:
    """A training on this node, from its turn to its end. Peers' messages reach it by `receive`."""

    def __init__(self, place: Workplace, request: StageRequest, info: TrainingInfo) -> None:
        self.id = request.training
        self.stopping = False
        self._place = place
        self._request = request
        self._info = info
        self._folder = place.stage.folder(self.id)
        self._starts = Starts(self._folder)
        self._known = 0  # rounds with this node that were there when the program started
        stored = Checkpoints(self._folder / "checkpoints", training=self.id, kept=request.checkpoints)
        self._vault = Vault(stored)
        self._reporter = Reporter(self.id, place.config.name, place.events, place.state, place.directory)
        self._port = LedgerPort(place.ledger, self.id)
        self._reporter.tx = self._port.tx
        self._pace = Pace()
        self._driver: Driver | None = None
        self._driving: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[Finish | Fail] = asyncio.get_running_loop().create_future()

    # --- for the inbox and the operator ------------------------------------------------------------------

    @property
    def layout(self) -> Layout | None:
        """Layout of the model, once the program has said it."""
        return self._vault.layout

    def member(self, peer: SpiffeId) -> NodeId | None:
        """The ledger id of a peer that is assigned to this training, or has joined it."""
        node = self._place.directory.node(peer)
        return node if node in self._members() else None

    def receive(self, arrived: Arrived) -> None:
        """A checked message of a peer: see `inbox.Recipient`."""
        if self._driver is not None:
            self._driver.receive(arrived)

    def refuse(self, sender: NodeId, reason: str) -> None:
        """A peer's message broke a rule."""
        self._reporter.refused(self._place.directory.name(sender), reason)

    def stop(self) -> None:
        """End with one closing round."""
        self.stopping = True
        if self._driver is not None:
            self._driver.apply(StopRequested(time.monotonic()))

    # --- life --------------------------------------------------------------------------------------------

    async def refuse_to_begin(self, error: SwarmLabError) -> None:
        """Say why this node does not take part."""
        await self._give_up(error)

    async def run(self) -> None:
        """Take part until this node's program has ended; every failure becomes a fact, none is raised."""
        self._reporter.started()
        await self._identify()
        try:
            while True:
                start, self._known = self._starts.begin(), 0
                try:
                    await self._take_part(start)
                    return
                except ProgramKilled as error:
                    await self._before_another_start(error)
        except SwarmLabError as error:
            await self._give_up(error)

    async def _identify(self) -> None:
        """Know the members by name before any of them is told of: an SN that is new itself may not."""
        try:
            await self._place.directory.identify(self._info.nodes)
        except SwarmLabError as error:  # the roster will tell
            log.info("members are not known by name", extra={"code": error.code, "reason": error.message})

    async def _before_another_start(self, error: ProgramKilled) -> None:
        """Wait as long as the next start has to; raises `error` when there is none."""
        pause = self._starts.killed(self._rounds_with_me() - self._known)
        log.warning(error.message, extra={"code": error.code, "start": self._starts.number, "pause": pause})
        if pause is None:
            raise error
        self._reporter.starts_again(self._starts.number + 1, error.message)
        await asyncio.sleep(pause)

    def _rounds_with_me(self) -> int:
        """Committed rounds that hold a contribution of this node, as far as it has seen them."""
        view = self._driver.machine.desk.view if self._driver is not None else EMPTY_VIEW
        return sum(self._place.ledger.account in result.nodes() for result in view.results)

    async def serve(self) -> None:
        """Keep the machine going until every live peer has finished, then let it rest."""
        until = time.monotonic() + self._request.rules.absent_s
        quiet = time.monotonic()
        while self._driver is not None and self._driving is not None and not self._driving.done():
            now = time.monotonic()
            beats = self._driver.liveness.heartbeats.values()
            if any(beat.phase not in GONE and beat.phase is not Phase.FINISHED for beat in beats):
                quiet = now
            if now - quiet > _SERVE_S or now > until:
                break
            await asyncio.sleep(0.2)
        await self.close()

    async def close(self) -> None:
        """End the machine at once; what was committed is on disk."""
        self._place.transport.forget(self.id)
        self._place.streams.forget_training(self.id)
        if self._driver is not None and self._driver.exchange is not None:
            await self._driver.exchange.close()
        driving, self._driving, self._driver = self._driving, None, None
        if driving is not None:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    async def _take_part(self, number: int) -> None:
        """One start of the program, from its launch to its end."""
        await self.close()
        place, request = self._place, self._request
        start = place.start_cold if request.cold else place.start
        spec = program_spec(place.config, request, self._folder)
        await end_leftover(spec.record)
        limits = Limits(connect=request.rules.absent_s)
        program = await Program.launch(spec, start, limits=limits, on_line=self._reporter.output)
        try:
            try:
                hello = await program.hello(request.rules.absent_s)
            except TimeoutError:
                raise ProgramHung(f"{request.program} did not begin to train") from None
            self._vault.layout = program.layout
            registration = Registration(place.config.name, place.ledger, place.directory, place.transport)
            terms = await registration.agree(request, program, hello)
            self._reporter.agreed(request.rules, terms)
            arguments = merged_arguments(request, hello)
            driver, pilot = self._wire(program, arguments, terms)
            await driver.start(uuid.uuid4().hex)
            self._known = self._rounds_with_me()
            resume = resume_of(number, len(driver.machine.desk.view.results))
            await program.welcome(interval=terms.sync_frequency, seed=spec.seed, arguments=arguments, resume=resume)
            self._vault.share(program.segment)
            await self._side_by_side(program, driver, pilot)
        finally:
            await program.kill()

    def _wire(self, program: Program, arguments: dict[str, Argument], terms: Terms) -> tuple[Driver, Pilot]:
        place, given = self._place, self._request.rules
        rules = Rules(
            training=training_key(self.id),
            min_peers=terms.min_peers,
            sync=terms.sync_frequency,
            adaptive=terms.adaptive,
            early_stopping=terms.early_stopping,
            end_rule=terms.end_rule,
            merge=terms.merge_method or "mean",
            wire=given.wire,
            assigned=tuple(sorted(self._info.nodes)),
            weight=int(arguments["node_weightage"] or 1),
            train_end=cast(Literal["snapshot", "active", "inactive"], arguments["checkin_model_on_train_end"]),
            grace=given.grace,
            start_grace=given.start_s,
            absent=given.absent_s,
        )
        me = place.ledger.account
        machine = Machine(me, rules, place.ledger.signer, place.ledger.verifier)
        driver = Driver(machine, me, self._vault, self._port, self._post, self._members, self._reporter)
        self._outcome = asyncio.get_running_loop().create_future()
        self._reporter.when_over(self._decided)
        port = ProgramPort(program, self._vault)
        pilot = driver.pilot = Pilot(port, self._vault, driver.apply, sharded=True, wire=rules.wire)
        names, find = (self.id, rules.training), place.directory.find
        driver.exchange = exchanges_of(
            me, names, rules.wire, self._vault, place.ledger, place.streams, find, driver, self.refuse
        )
        place.transport.listen(self.id, driver.sent)
        self._driver = driver
        return driver, pilot

    async def _side_by_side(self, program: Program, driver: Driver, pilot: Pilot) -> None:
        """Run machine and program until both are done."""
        if self.stopping:
            driver.apply(StopRequested(time.monotonic()))

        def tell(batches: int, batch_seconds: float, loss: float | None) -> None:
            driver.progress(batches, batch_seconds)
            if not self._outcome.done():
                self._reporter.progress(batches, loss)
                self._reporter.tick()

        self._driving = asyncio.create_task(driver.run(), name=f"{self.id} rounds")
        helpers = [
            asyncio.create_task(pilot.run(), name=f"{self.id} pilot"),
            asyncio.create_task(follow_arrivals(program, pilot), name=f"{self.id} arrivals"),
            asyncio.create_task(follow_waits(program, self._vault), name=f"{self.id} room"),
            asyncio.create_task(self._pace.follow(program, tell), name=f"{self.id} pace"),
        ]
        end = asyncio.create_task(program.exit(), name=f"{self.id} exit")
        try:
            watched: list[asyncio.Future[Any]] = [end, self._outcome, self._driving, *helpers]
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if self._outcome.done():
                await self._conclude(program, end)
            elif end.done():
                await self._program_ended(program, driver)
            else:
                raise _cause([self._driving, *helpers])
        finally:
            for task in (end, *helpers):
                task.cancel()
            await asyncio.gather(end, *helpers, return_exceptions=True)

    async def _program_ended(self, program: Program, driver: Driver) -> None:
        """The program is gone while the training goes on: a killed one comes back, another leaves the training."""
        error = (await program.exit()).error or ProgramKilled(f"{self._request.program} ended in mid-training")
        if not isinstance(error, ProgramKilled):
            driver.apply(ProgramFailed(time.monotonic(), error.message[:190], error.code))
        raise error

    async def _conclude(self, program: Program, end: asyncio.Task[Exit]) -> None:
        """The machine is done: keep the model, wait for the program, say so."""
        outcome = self._outcome.result()
        if isinstance(outcome, Fail):
            raise _FAILURES.get(outcome.code, TrainingLost)(self._place.directory.words(outcome.text))
        await self._save(outcome)
        own_end = await self._program_takes_model(program)
        if own_end:
            await asyncio.wait([end], timeout=self._request.rules.absent_s)
        leaving = await program.exit() if end.done() else await program.kill()
        if leaving.error is not None and own_end:
            raise leaving.error
        evaluated = leaving.evaluated
        loss, metric = (evaluated.loss, evaluated.metric) if evaluated else (None, None)
        await self._report_performance(outcome, loss, metric)
        metrics = {"loss": loss, "metric": metric}
        self._reporter.node_finished(self._folder / "model.safetensors", outcome.result.model, metrics)
        # Optimizers may be twice as large as models, and there is no place to go on from any more.
        await asyncio.to_thread(shutil.rmtree, self._folder / "state", ignore_errors=True)

    async def _program_takes_model(self, program: Program) -> bool:
        """Wait while the program still does batches; False for one that goes on although the training was stopped.

        A loop that does not look at `stop_training` may have hours to go; what it does has no effect any more. Raises
        `ProgramHung` for a program that stands still.
        """
        seen = program.progress().batches
        since = began = time.monotonic()
        limit = _END_S + 10 * self._pace.batch_seconds
        while program.phase in ("running", "parked"):
            await asyncio.sleep(SAMPLE_S)
            batches, now = program.progress().batches, time.monotonic()
            if batches != seen:
                seen, since = batches, now
            if now - since > limit:
                raise ProgramHung(
                    f"{self._request.program} did no batch for {now - since:.0f} s; the swarm finished without it"
                )
            if self.stopping and now - began > _STOP_S + 10 * self._pace.batch_seconds:
                log.warning("%s trains on after the stop; it is ended", self._request.program)
                return False
        return True

    async def _save(self, outcome: Finish) -> None:
        about = {"training": self.id, "round": str(outcome.result.round), "digest": outcome.result.model}
        path = self._folder / "model.safetensors"
        until = time.monotonic() + self._request.rules.absent_s
        while True:
            try:
                await self._vault.write(outcome.result.model, path, about)
                return
            except OSError as error:  # a full disk may have room again
                if time.monotonic() > until:
                    raise TrainingLost(f"the final model could not be written to {path}: {error}") from error
                self._reporter.waiting("storing", f"the final model cannot be written to {path}: {error}", [])
            await asyncio.sleep(_DISK_S)

    async def _report_performance(self, outcome: Finish, loss: float | None, metric: float | None) -> None:
        number = outcome.result.round
        perf = Perf(number, math.nan if loss is None else loss, math.nan if metric is None else metric)
        try:
            await self._place.ledger.perf(self.id, perf)
        except SwarmLabError as error:  # the model is committed and on disk: numbers about it are not worth failing
            log.warning("the final performance is not on the ledger", extra={"reason": error.message})

    async def _give_up(self, error: SwarmLabError) -> None:
        self._reporter.node_failed(error)
        try:
            await self._place.ledger.leave(self.id, error.code)
        except SwarmLabError as refused:
            log.info("the ledger was not told that this node left", extra={"reason": refused.message})

    # --- plumbing ----------------------------------------------------------------------------------------

    async def _post(self, to: NodeId, message: Message, payload: tuple[str, Buffer] | None) -> None:
        via = self._driver.relay(to) if self._driver is not None else None
        ways = [(via, to)] if via else [(to, "")]
        if via and isinstance(message, Heartbeat):
            ways.append((to, ""))  # else two that relay to each other never hear that the straight way is there again
        for node, pass_to in ways:
            peer = self._place.directory.find(node)
            if peer is not None:
                await self._place.transport.send(peer, self.id, message, payload, to=pass_to)

    def _members(self) -> Sequence[NodeId]:
        joined = self._driver.machine.desk.view.members.keys() if self._driver is not None else ()
        return tuple(dict.fromkeys((*self._info.nodes, *joined)))

    def _decided(self, outcome: Finish | Fail) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)


def _cause(tasks: list[asyncio.Task[None]]) -> SwarmLabError:
    """Why a task that never ends has ended."""
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            log.error("a part of the training failed", exc_info=error)
            if isinstance(error, SwarmLabError):
                return error
            return TrainingLost(f"{task.get_name()}: {type(error).__name__}: {error}")
    return TrainingLost("a part of the training ended by itself")

"""Between the round machine and the world: events in, actions out, nothing decided here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from swarm_lab.errors import SwarmLabError
from swarm_lab.nodes.exchange import Told
from swarm_lab.nodes.exchanges import Exchanges
from swarm_lab.nodes.heartbeats import Heartbeats
from swarm_lab.nodes.liveness import Change, Liveness
from swarm_lab.nodes.pilot import Pilot
from swarm_lab.nodes.round_ports import Arrived, Listener, SendTo, TrainingLedger
from swarm_lab.nodes.transport import Sent
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds import events as e
from swarm_lab.rounds.exchange_events import EndExchange, ExchangeDone, StartExchange
from swarm_lab.rounds.machine import Machine
from swarm_lab.rounds.messages import Digest, Heartbeat, Message, NodeId, Phase, PlanMessage

log = logging.getLogger(__name__)

TICK_S = 0.1
_SILENT_S = 3.0  # after which people are told that the ledger does not answer
_FOLLOW_S = 1.0  # how long one look waits for the next block
_CLOSE_S, _IDLE_S = 0.04, 0.5  # between two tries while it does not answer, when it is waited for and else


class Driver:
    """Runs one machine. Peers' messages come in by `receive`, the program's by the pilot."""

    def __init__(
        self,
        machine: Machine,
        me: NodeId,
        vault: Vault,
        ledger: TrainingLedger,
        send: SendTo,
        members: Callable[[], Sequence[NodeId]],
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine = machine
        self.pilot: Pilot | None = None
        self.exchange: Exchanges | None = None
        self.liveness = Liveness()
        self._me = me
        self._vault = vault
        self._members = members
        self._ledger = ledger
        self._send = send
        self._listener = listener
        self._clock = clock
        self._view = e.EMPTY_VIEW
        self._events: deque[e.Event] = deque()
        self._draining = False
        self._started = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight: set[str] = set()
        self._ledger_silent = False
        self._answered = clock()
        self._ledger_moved = asyncio.Event()
        self._watching_closely = False
        self._heartbeats = Heartbeats(me, self._present, members, self._post_beat, self._spawn, clock)

    # --- events in ---------------------------------------------------------------------------------------

    def apply(self, event: e.Event) -> None:
        """Give the machine an event and carry out what it answers, in order."""
        self._events.append(event)
        if self._draining:
            return
        self._draining = True
        try:
            while self._events:
                for action in self.machine.apply(self._events.popleft()):
                    self._perform(action)
                if self.pilot is not None:
                    self.pilot.settled()
        finally:
            self._draining = False
        if self._awaits_ledger() and not self._watching_closely:
            self._ledger_moved.set()
        self._heartbeats.beat()

    def receive(self, arrived: Arrived) -> None:
        """A checked message of a peer."""
        if not self._started:
            return
        sender, message = arrived.sender, arrived.message
        beat = message if isinstance(message, Heartbeat) else None
        self._changed(self.liveness.heard(sender, arrived.instance, self._clock(), beat, direct=arrived.direct))
        if beat is not None:
            self._tick()
            return
        if isinstance(message, PlanMessage) and not self._knows_members(message):
            self._spawn(self._take_after_a_look(arrived))
        else:
            self._take(arrived)

    def _take(self, arrived: Arrived) -> None:
        message, payload = arrived.message, arrived.payload
        if payload is not None:
            # At the last moment: what the machine has not heard of, the next `Keep` drops.
            self._vault.put(*payload)
        if isinstance(message, PlanMessage):
            self._listener.plan(arrived.sender, message)
        self.apply(e.Received(self._clock(), arrived.sender, message, payload[0] if payload else None))

    def _knows_members(self, plan: PlanMessage) -> bool:
        return all(entry.participant.node in self._view.members for entry in plan.entries)

    async def _take_after_a_look(self, arrived: Arrived) -> None:
        """A coordinator that saw an announcement a moment earlier is no liar: look at the ledger first."""
        try:
            self._see(await self._ledger.view())
        except SwarmLabError as error:
            log.debug("the ledger does not answer", extra={"code": error.code, "reason": error.message})
        self._take(arrived)

    def sent(self, sent: Sent) -> None:
        """How a call to a peer ended."""
        if sent.refused:
            self._changed(self.liveness.refused(sent.peer, self._clock()))
        else:
            self.liveness.measured(sent.peer, sent.seconds, sent.nbytes)

    def exchanged(self, event: Told) -> None:
        """What has come of an exchange; a model that is done is held before the machine hears of it."""
        if isinstance(event, ExchangeDone) and (self.exchange is None or not self.exchange.keep(event)):
            return
        self.apply(event)

    def relay(self, to: NodeId) -> NodeId | None:
        """Through whom a message goes that cannot go straight; may be called in any thread."""
        return self.liveness.relay(to, self._clock())

    def _present(self) -> Heartbeat:
        """What this node says of itself, and whom it hears."""
        heard = self.liveness.heard_directly(self._members(), self._me, self._clock())
        beat = self.machine.heartbeat()
        return replace(beat, heard=heard) if heard else beat

    def without_exchange(self, reason: str) -> None:
        """An exchange cannot begin here: the machine hears no more of it, and its limits say what follows."""
        log.warning("this node takes no part in the exchange", extra={"reason": reason})

    def progress(self, batches: int, batch_seconds: float) -> None:
        """What the program has done."""
        self.apply(e.Progress(self._clock(), batches, batch_seconds))

    # --- life --------------------------------------------------------------------------------------------

    async def start(self, nonce: str) -> None:
        """Give the machine its first event: what is on disk and on the ledger."""
        disk = await asyncio.to_thread(self._vault.disk)
        self._view = await self._first_view()
        self._started = True
        self.apply(e.Start(self._clock(), disk, self._view, nonce))
        self._listener.view(self._view)

    async def run(self) -> None:
        """Keep the started machine going until cancelled; raises what a task of it raised."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_ledger())
                group.create_task(self._ticks())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _first_view(self) -> e.LedgerView:
        while True:
            try:
                return await self._ledger.view()
            except SwarmLabError as error:
                log.warning("the ledger does not answer", extra={"code": error.code, "reason": error.message})
                await asyncio.sleep(1.0)

    async def _watch_ledger(self) -> None:
        """Read the ledger whenever it has a new block."""
        while True:
            try:
                view = await self._ledger.view(_FOLLOW_S)
            except SwarmLabError as error:
                self._ledger_answers(error.message)
            else:
                self._answered = self._clock()
                self._ledger_answers()
                self._see(view)
                continue
            self._ledger_moved.clear()
            self._watching_closely = self._awaits_ledger()
            try:
                async with asyncio.timeout(_CLOSE_S if self._watching_closely else _IDLE_S):
                    await self._ledger_moved.wait()
            except TimeoutError:
                pass

    def _ledger_answers(self, error: str = "") -> None:
        if self._ledger_silent != bool(error):
            self._ledger_silent = bool(error)
            self._listener.notice(e.Notice("ledger_silent" if error else "ledger_back", error))

    def _see(self, view: e.LedgerView) -> None:
        moved = view.results != self._view.results or view.members != self._view.members
        self._view = view
        if moved:
            self._listener.view(view)
            self._tick()

    def _awaits_ledger(self) -> bool:
        """Whether the next step of this node depends on what the ledger says."""
        state = self.machine.desk.state
        return bool(self._in_flight) or not state.base_final or state.phase is Phase.STARTING

    async def _ticks(self) -> None:
        while True:
            self._changed(self.liveness.silent(self._clock()))
            if self._clock() - self._answered > _SILENT_S:
                self._ledger_answers(f"no answer for {_SILENT_S:.0f} s")
            self._tick()
            self._heartbeats.beat()
            await asyncio.sleep(TICK_S)

    def _tick(self) -> None:
        if self.exchange is not None:
            self.exchange.tick(self.liveness)
        size = self._vault.layout.nbytes if self._vault.layout else 0
        self.apply(
            e.Tick(self._clock(), self._view, self.liveness.up, self.liveness.heartbeats, self.liveness.links(size))
        )

    def _changed(self, changes: list[Change]) -> None:
        for change in changes:
            now = self._clock()
            self._listener.notice(e.Notice("peer_up" if change.up else "peer_down", change.why, (change.peer,)))
            self.apply(e.PeerUp(now, change.peer) if change.up else e.PeerDown(now, change.peer, change.why))

    # --- actions out -------------------------------------------------------------------------------------

    def _perform(self, action: e.Action) -> None:
        match action:
            case e.Send():
                self._perform_send(action)
            case e.Announce() | e.Commit() | e.Leave() | e.Report():
                self._transact(action)
            case e.Merge():
                roots = [p.root for p in action.participants] + ([action.base] if action.base else [])
                self._holding(self._merge(action), *roots)
            case StartExchange() | EndExchange():
                if self.exchange is not None:
                    self.exchange.order(action)
            case e.Store():
                self._holding(self._store(action), action.result.model)
            case e.Load() | e.Train() | e.Park() | e.StopProgram():
                self._steer(action)
            case e.Keep():
                self._vault.keep(action.roots)
                self._spawn(self._vault.prune(action.checkpoints))
            case e.Notice():
                self._listener.notice(action)
            case e.Finish():
                self._steer(action)
                self._listener.finished(action)
            case e.Fail():
                self._listener.failed(action)

    def _perform_send(self, action: e.Send) -> None:
        if action.to == self._me:
            if isinstance(action.message, PlanMessage):
                self._listener.plan(self._me, action.message)
            self._events.append(e.Received(self._clock(), self._me, action.message, action.payload_root))
        else:
            self._spawn(self._post(action.to, action.message, action.payload_root))

    def _post_beat(self, to: NodeId, beat: Heartbeat) -> None:
        self._spawn(self._post(to, beat, None))

    async def _post(self, to: NodeId, message: Message, digest: Digest | None) -> None:
        payload = None
        if digest is not None:
            buffer = await self._vault.find(digest)
            if buffer is None:
                log.warning("a model to send is gone", extra={"root": digest, "kind": message.KIND})
                return
            payload = (digest, bytes(buffer) if self._vault.is_shared(buffer) else buffer)
        await self._send(to, message, payload)

    def _steer(self, action: e.Load | e.Train | e.Park | e.StopProgram | e.Finish) -> None:
        if self.pilot is not None:
            self.pilot.order(action)

    def _transact(self, action: e.Announce | e.Commit | e.Leave | e.Report) -> None:
        """One transaction of a kind at a time: the machine asks again for what the ledger still lacks."""
        kind = type(action).__name__
        if kind not in self._in_flight:
            self._in_flight.add(kind)
            self._spawn(self._transaction(kind, action))

    async def _transaction(self, kind: str, action: e.Announce | e.Commit | e.Leave | e.Report) -> None:
        try:
            match action:
                case e.Announce():
                    await self._ledger.announce(action.nonce)
                case e.Commit():
                    await self._ledger.commit(action.certificate)
                case e.Leave():
                    await self._ledger.depart(action.code)
                case e.Report():
                    await self._ledger.report(action.first, action.second)
        except SwarmLabError as error:
            log.warning("the ledger did not take a transaction", extra={"kind": kind, "reason": error.message})
        finally:
            self._in_flight.discard(kind)
            self._ledger_moved.set()

    async def _merge(self, order: e.Merge) -> None:
        missing = next((p.node for p in order.participants if p.root not in self._vault), None)
        if missing is not None:
            self.apply(e.MergeFailed(self._clock(), order.key, missing, "its update is not here"))
            return
        if order.base and await self._vault.find(order.base) is None:
            self.apply(e.MergeFailed(self._clock(), order.key, None, "the model before this round is not here"))
            return
        digest = await self._vault.merge(order)
        self.apply(e.MergeDone(self._clock(), order.key, digest))

    async def _store(self, order: e.Store) -> None:
        try:
            await self._vault.store(order.result.round, order.result_id, order.result.model, order.batches)
        except OSError as error:
            self.apply(e.StoreFailed(self._clock(), order.result_id, str(error)))
        except KeyError:
            self.apply(e.StoreFailed(self._clock(), order.result_id, "its model is not in memory any more"))
        else:
            self.apply(e.StoreDone(self._clock(), order.result_id))

    def _holding(self, work: Coroutine[Any, Any, None], *roots: Digest) -> None:
        """Run `work` while these models stay in memory, whatever the machine keeps meanwhile."""
        self._vault.pin(*roots)
        self._spawn(work).add_done_callback(lambda _: self._vault.unpin(*roots))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the round driver failed", exc_info=error)

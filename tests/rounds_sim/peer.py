"""One simulated SL node: the real machine, and a driver that keeps its side of the machine's contract to the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rounds_sim.blocks import Blocks
from rounds_sim.registry import Key, Vector, root, weighted_mean
from rounds_sim.trainer import Contribution, Trainer

from swarm_lab.rounds import events as e
from swarm_lab.rounds.exchange_events import EndExchange, ExchangeDone, StartExchange
from swarm_lab.rounds.machine import Machine
from swarm_lab.rounds.messages import Digest, Heartbeat, Message, NodeId, Phase

if TYPE_CHECKING:
    from rounds_sim.world import World


class Violation(AssertionError):
    """An invariant is broken; the text says which, the schedule's seed reproduces it."""


class Peer:
    """Survives crashes as a place with a disk; each start makes a new machine, program and memory."""

    def __init__(self, world: World, number: int, me: NodeId) -> None:
        self.world, self.number, self.me = world, number, me
        self.disk: dict[Digest, tuple[e.StoredModel, Vector]] = {}
        self.epoch = 0
        self.alive = False
        self.frozen_until = 0.0
        self.crashes = 0
        self.finished: e.Finish | None = None
        self.failed: e.Fail | None = None
        self.notices: list[e.Notice] = []
        self.contributions: dict[Digest, Contribution] = {}
        self.machine: Machine
        self.unheard: set[Digest] = set()
        """Models of exchanges that the machine is about to hear of."""
        self.trainer: Trainer
        self.tensors: dict[Digest, Vector] = {}

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        world, plan = self.world, self.world.setup
        self.alive = True
        self.epoch += 1
        self.finished = self.failed = None
        rules = world.rules_of(self.number)
        self.machine = Machine(self.me, rules, Key(world.registry, self.me), world.registry)
        done = max((m.batches for m, _ in self.disk.values()), default=0)
        start = tuple(world.rng.randint(-900_000, 900_000) for _ in range(plan.width))
        self.trainer = Trainer(start, plan.epochs[self.number], world.rng, world.number_batch)
        self.trainer.total = done
        self.tensors = {}
        self.keep = e.Keep(frozenset(), frozenset(self.disk))
        models = tuple(m for m, _ in self.disk.values())
        nonce = f"{self.me[-4:]}-{self.epoch}"
        self.blocks = Blocks(self)
        self.apply(e.Start(world.now, models, world.views[self.me], nonce))
        world.later(world.rng.uniform(0.0, plan.program_start), self.ready, self.epoch)

    def ready(self, epoch: int) -> None:
        if self.alive and epoch == self.epoch:
            self.tensors[self.trainer.base] = self.world.tensors[self.trainer.base] = self.trainer.x
            setup = self.world.setup
            size = (setup.nbytes or 2**30, setup.width) if setup.sharded or setup.nbytes else (0, 0)
            self.apply(e.ProgramReady(self.world.now, self.trainer.base, self.trainer.total, *size))

    def crash(self, wipe: bool = False) -> None:
        self.alive = False
        self.crashes += 1
        self.epoch += 1
        if wipe:
            self.disk = {}

    @property
    def phase(self) -> Phase | None:
        return self.machine.phase if self.alive else None

    def heartbeat(self) -> Heartbeat:
        return self.machine.heartbeat()

    def later(self, event: e.Event) -> None:
        """What a part of the driver tells: after the event in hand."""
        self.world.at(self.world.now, self.hear, event, self.epoch)

    def hear(self, event: e.Event, epoch: int) -> None:
        if epoch != self.epoch:
            return
        if self.frozen_until > self.world.now:
            self.world.at(self.frozen_until, self.hear, event, epoch)
            return
        if isinstance(event, ExchangeDone):
            self.unheard.discard(event.root)
        self.apply(event)
        self.world.happened(self, event)

    def bend_block(self, value: int) -> int:
        """An honest merger's is what it is."""
        return self.world.bend_block(self, value)

    # --- events -------------------------------------------------------------------------------------------

    def apply(self, event: e.Event) -> None:
        """Give the machine an event, do its actions in order, then tidy memory as `Keep` says."""
        if not self.alive:
            return
        if isinstance(event, e.Received) and event.payload_root:
            self.tensors.setdefault(event.payload_root, self.world.tensors[event.payload_root])
        epoch = self.epoch
        actions = self.machine.apply(event)
        for action in self.world.bend(self, actions):
            if self.epoch != epoch:
                return
            self.perform(action)
            self.world.watch(self, action)
        if self.epoch == epoch:
            self.tidy()
            self.report_sync_point(again=True)

    def tidy(self) -> None:
        for gone in self.tensors.keys() - self.keep.roots - self.unheard:
            del self.tensors[gone]
        for gone in self.disk.keys() - self.keep.checkpoints:
            if len(self.disk) > 1:
                del self.disk[gone]

    def find(self, digest: Digest) -> Vector:
        if digest in self.tensors:
            return self.tensors[digest]
        for model, vector in self.disk.values():
            if model.root == digest:
                return vector
        raise Violation(f"{self.me[-2:]} needs tensors that it was told to drop")

    # --- actions ------------------------------------------------------------------------------------------

    def perform(self, action: e.Action) -> None:
        world = self.world
        match action:
            case e.Send():
                self.send(action.to, action.message, action.payload_root)
            case e.Announce() | e.Commit() | e.Leave() | e.Report():
                world.submit(self, action)
            case e.Merge():
                parts = [(p.weight, self.find(p.root)) for p in action.participants]
                merged = weighted_mean(parts)
                world.later(
                    world.rng.uniform(0.0, world.setup.merge_seconds), self.merged, self.epoch, action.key, merged
                )
            case e.Store():
                delay = world.rng.uniform(0.01, world.setup.disk_seconds)
                world.later(delay, self.store, self.epoch, action, self.find(action.result.model))
            case StartExchange():
                self.blocks.start(action)
            case EndExchange():
                self.blocks.end()
            case e.Keep():
                self.keep = action
            case e.Finish():
                self.finished = action
                self.trainer.end()
            case e.Fail():
                self.failed = action
            case e.Notice():
                self.notices.append(action)
            case _:
                self.steer(action)

    def steer(self, action: e.Action) -> None:
        trainer = self.trainer
        match action:
            case e.Load():
                known = {action.root: self.find(action.root)}
                if action.kind == "rebase":
                    known[action.base] = self.find(action.base)
                trainer.load(action, known, self.contributions)
            case e.Train():
                trainer.train(action)
                self.reported = None
                if trainer.running:
                    self.next_batch()
                else:
                    self.world.later(0.0, self.sync_point, self.epoch)
            case e.Park():
                trainer.running, self.token = False, None
            case e.StopProgram():
                trainer.stopping = True

    def send(self, to: NodeId, message: Message, payload: Digest | None) -> None:
        if payload is not None:
            self.world.tensors[payload] = self.find(payload)
        self.world.transmit(self.me, to, message, payload)

    def merged(self, epoch: int, key: str, vector: Vector) -> None:
        if self.alive and epoch == self.epoch:
            self.tensors[root(vector)] = vector
            self.apply(e.MergeDone(self.world.now, key, root(vector)))

    def store(self, epoch: int, action: e.Store, vector: Vector) -> None:
        if not self.alive or epoch != self.epoch:
            return
        if self.world.disk_full(self):
            self.apply(e.StoreFailed(self.world.now, action.result_id, "no space left"))
            return
        model = e.StoredModel(action.result_id, action.result.model, action.result.round, action.batches)
        self.disk[action.result_id] = (model, vector)
        self.apply(e.StoreDone(self.world.now, action.result_id))

    # --- the program --------------------------------------------------------------------------------------

    def next_batch(self) -> None:
        self.token = token = object()
        self.world.check_base(self)
        seconds = self.world.setup.batch_seconds[self.number] * self.world.rng.uniform(0.9, 1.1)
        self.world.later(seconds, self.batch, self.epoch, token)

    def batch(self, epoch: int, token: object) -> None:
        world = self.world
        if not self.alive or epoch != self.epoch or token is not self.token:
            return
        hung = world.hung_until(self)
        if hung > world.now:
            world.at(hung, self.batch, epoch, token)
            return
        if self.finished or self.failed:
            return
        parks = self.trainer.step()
        self.apply(e.Progress(world.now, self.trainer.total, world.setup.batch_seconds[self.number]))
        if parks:
            self.sync_point(epoch)
        elif self.trainer.running:
            self.next_batch()

    def sync_point(self, epoch: int) -> None:
        if self.alive and epoch == self.epoch:
            self.reported = None
            self.report_sync_point(again=False)

    reported: tuple[Digest, Digest] | None = None
    token: object = None

    def report_sync_point(self, again: bool) -> None:
        """At its sync point; and again when its base was changed while it stood there."""
        trainer = self.trainer
        if not trainer.at_sync or (again and (self.reported is None or self.reported[1] == trainer.base)):
            return
        digest = root(trainer.x)
        self.tensors[digest] = trainer.x
        self.contributions[digest] = Contribution(trainer.x, trainer.pending, trainer.base)
        self.reported = (digest, trainer.base)
        self.apply(
            e.SyncPoint(
                self.world.now,
                digest,
                trainer.base,
                trainer.done,
                self.world.setup.losses(self.number, trainer.total),
                float("nan"),
                len(trainer.pending),
                trainer.total,
            )
        )

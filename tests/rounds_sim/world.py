"""Network, clock, ledger and faults around the simulated nodes. Everything follows from the seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from rounds_sim import shared
from rounds_sim.blocks import Frame
from rounds_sim.chain import Chain
from rounds_sim.invariants import Invariants
from rounds_sim.network import Network
from rounds_sim.peer import Peer, Violation
from rounds_sim.registry import Registry, Vector, node_id

from swarm_lab.rounds import events as e
from swarm_lab.rounds.messages import Digest, Heartbeat, Message, NodeId

TRAINING = "7" * 64
TICK = 0.25
Bend = Callable[["World", Peer, list[e.Action]], list[e.Action]]
Hook = Callable[["World", Peer, Any], None]
Twist = Callable[["World", Peer, NodeId, Frame], list[Frame]]
BeatTwist = Callable[["World", Peer, Heartbeat], Heartbeat]


@dataclass
class Setup:
    """One swarm and its weather. Times in seconds; faults end at `quiet`."""

    nodes: int = 3
    width: int = 4
    min_peers: int = 2
    sync: int = 3
    end_rule: str = "all"
    weights: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    batch_seconds: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    program_start: float = 0.3
    merge_seconds: float = 0.02
    disk_seconds: float = 0.2
    block_seconds: float = 0.2
    depth: int = 1
    reorganise: float = 0.0
    ledger_off: tuple[float, float] = (0.0, 0.0)
    view_lag: float = 0.02
    loss: float = 0.0
    duplicates: float = 0.0
    delay: tuple[float, float] = (0.001, 0.005)
    quiet: float = 0.0
    hang: dict[int, tuple[float, float]] = field(default_factory=dict)
    full_disk: dict[int, tuple[float, float]] = field(default_factory=dict)
    assigned: bool = True
    start_grace: float = 5.0
    absent: float = 3600.0
    no_coordinators: tuple[int, ...] = ()
    wipes: bool = False
    sharded: bool = False
    """Models go in shards of one number each."""
    nbytes: int = 0
    """Of a model, for `path.choose`; 0: what makes it choose as `sharded` says."""
    rates: list[float] = field(default_factory=list)
    """Seconds that each node's line takes for a model, out and in."""
    measured_at: float = 0.0
    """When the links know of it."""
    relay: bool = False
    """Where two do not hear each other and a third peer hears both, their messages take that way."""
    adaptive: bool = False
    early_stopping: int = 0
    losses: Callable[[int, int], float] = lambda number, batches: float("nan")
    """Number of a node and its batches -> validation loss of the model that it was given last."""

    def fill(self) -> Setup:
        """Defaults for what was not given per node."""
        for name, value in (
            ("weights", 1),
            ("modes", "snapshot"),
            ("epochs", 9),
            ("batch_seconds", 0.1),
            ("start", 0.0),
        ):
            given = getattr(self, name)
            setattr(self, name, given + [value] * (self.nodes - len(given)))
        return self


class World:
    """Runs until every node that can has finished."""

    def __init__(self, setup: Setup, seed: object) -> None:
        shared.forget()
        self.setup, self.seed = setup.fill(), seed
        self.rng = random.Random(str(seed))
        self.registry = Registry()
        self.now = 0.0
        self.queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._batches = count(1)
        self.tensors: dict[Digest, Vector] = {}
        self.names = [node_id(k + 1) for k in range(setup.nodes)]
        self.chain = Chain(self.rules_of(0), self.registry, self.rng, setup.depth, setup.block_seconds)
        self.newest = self.chain.view(0.0)
        self.views = dict.fromkeys(self.names, self.newest)
        self.peers = {n: Peer(self, k, n) for k, n in enumerate(self.names)}
        self.network = Network(self)
        self.no_ledger: dict[NodeId, tuple[float, float]] = {}
        self.beats: dict[NodeId, Heartbeat] = {}
        self.hooks: list[Hook] = []
        self.hostile: dict[NodeId, Bend] = {}
        self.twists: dict[NodeId, Twist] = {}
        self.beat_twists: dict[NodeId, BeatTwist] = {}
        self.wrong_merges: set[NodeId] = set()
        self.invariants = Invariants(self)
        self.trace: list[str] | None = None
        for k, name in enumerate(self.names):
            self.at(setup.start[k], self.boot, name)
        self.at(setup.block_seconds, self.seal)

    def rules_of(self, number: int) -> e.Rules:
        s = self.setup
        return e.Rules(
            training=TRAINING,
            min_peers=s.min_peers,
            sync=s.sync,
            end_rule=s.end_rule,  # type: ignore[arg-type]
            assigned=tuple(self.names) if s.assigned else (),
            no_coordinators=frozenset(self.names[k] for k in s.no_coordinators),
            weight=s.weights[number],
            train_end=s.modes[number],  # type: ignore[arg-type]
            start_grace=s.start_grace,
            absent=s.absent,
            adaptive=s.adaptive,
            early_stopping=s.early_stopping,
        )

    # --- time ---------------------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self.queue, (when, next(self._order), action, args))

    def later(self, seconds: float, action: Callable[..., None], *args: Any) -> None:
        self.at(self.now + seconds, action, *args)

    def run(self, limit: float) -> World:
        while self.queue:
            when, _, action, args = heapq.heappop(self.queue)
            if when > limit:
                raise Violation(f"seed {self.seed}: not finished by {limit:.0f} s: {self.describe()}")
            self.happen(when, action, args)
            if when > self.setup.quiet and self.over():
                break
        self.invariants.at_the_end()
        return self

    def happen(self, when: float, action: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.now = when
        try:
            action(*args)
        except AssertionError as error:
            raise Violation(f"seed {self.seed}, {self.now:.3f} s: {error}") from error

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.now + seconds
        while self.queue[0][0] <= until:
            when, _, action, args = heapq.heappop(self.queue)
            self.happen(when, action, args)
        self.now = until

    def calm(self) -> None:
        """All faults end now, and everyone starts again that does not run."""
        self.setup.quiet = self.now
        self.setup.ledger_off = (0.0, 0.0)
        self.setup.hang.clear()
        self.setup.full_disk.clear()
        self.no_ledger.clear()
        self.heal(self.network.cuts)
        for name in self.names:
            self.boot(name)

    def over(self) -> bool:
        """Whether every honest node that still can has ended."""
        if not self.newest.results or not self.newest.results[-1].end:
            return False
        return all(p.finished or p.failed for p in self.honest())

    def honest(self) -> list[Peer]:
        return [p for n, p in self.peers.items() if p.alive and n not in self.hostile]

    def describe(self) -> dict[str, tuple[str, int, str]]:
        found = {}
        for name, peer in self.peers.items():
            if peer.alive:
                wait = peer.machine.waits.wait
                round_ = peer.machine.desk.state.base.round
                found[name[-2:]] = (str(peer.phase), round_, wait.text if wait else "")
        return found

    def log(self, *what: object) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now:8.3f} " + " ".join(str(x) for x in what))

    # --- nodes --------------------------------------------------------------------------------------------

    def boot(self, name: NodeId) -> None:
        peer = self.peers[name]
        if peer.alive:
            return
        self.log(name[-2:], "starts")
        self.network.boots(name)
        peer.start()
        self.network.changed(name)
        self.later(self.rng.uniform(0, TICK), self.tick, name, peer.epoch)

    def crash(self, name: NodeId, wipe: bool = False, host: bool = False) -> None:
        if self.peers[name].alive:
            self.log(name[-2:], "CRASH", "host" if host else "", "wiped" if wipe else "")
            self.peers[name].crash(wipe)
            self.beats.pop(name, None)
            self.network.changed(name, killed=not host)

    def tick(self, name: NodeId, epoch: int) -> None:
        peer = self.peers[name]
        if not peer.alive or peer.epoch != epoch:
            return
        if peer.frozen_until > self.now:
            self.at(peer.frozen_until, self.tick, name, epoch)
            return
        peer.apply(e.Tick(self.now, self.views[name], *self.network.heard(name)))
        if peer.alive:
            peer.blocks.tick()
            if not self.network.many or name in self.network.known:
                beat, twist = peer.heartbeat(), self.beat_twists.get(name)
                self.beats[name] = twist(self, peer, beat) if twist else beat
        self.later(TICK, self.tick, name, epoch)

    def watch(self, peer: Peer, action: e.Action) -> None:
        if self.trace is not None and not isinstance(action, e.Send | e.Keep):
            self.log(peer.me[-2:], action)
        self.invariants.on_action(peer, action)
        self.happened(peer, action)

    def happened(self, peer: Peer, what: e.Action | e.Event | Frame) -> None:
        """A node has done it, sent it or heard it."""
        for hook in self.hooks:
            hook(self, peer, what)

    def bend(self, peer: Peer, actions: list[e.Action]) -> list[e.Action]:
        bend = self.hostile.get(peer.me)
        return bend(self, peer, actions) if bend else actions

    def check_base(self, peer: Peer) -> None:
        self.invariants.before_batch(peer)

    def number_batch(self) -> int:
        return next(self._batches)

    def hung_until(self, peer: Peer) -> float:
        start, end = self.setup.hang.get(peer.number, (0.0, 0.0))
        hung = end if start <= self.now < end else 0.0
        return max(hung, peer.frozen_until)

    def disk_full(self, peer: Peer) -> bool:
        start, end = self.setup.full_disk.get(peer.number, (0.0, 0.0))
        return start <= self.now < end

    # --- network ------------------------------------------------------------------------------------------

    def path(self, a: NodeId, b: NodeId) -> bool:
        return self.network.path(a, b)

    def cut(self, pairs: Iterable[tuple[NodeId, NodeId]]) -> None:
        self.network.cut(list(pairs))

    def heal(self, pairs: Iterable[tuple[NodeId, NodeId]]) -> None:
        self.network.heal(list(pairs))

    def break_program(self, name: NodeId) -> None:
        peer = self.peers[name]
        if peer.alive and not peer.finished:
            self.log(name[-2:], "PROGRAM FAILS")
            peer.trainer.end()
            peer.failed = e.Fail("SWL-PROGRAM", "division by zero")
            peer.apply(e.ProgramFailed(self.now, "division by zero"))

    def stop(self, names: list[NodeId]) -> None:
        self.log("STOP", [n[-2:] for n in names])
        for name in names:
            self.peers[name].apply(e.StopRequested(self.now))

    def freeze(self, name: NodeId, until: float) -> None:
        self.log(name[-2:], "FROZEN until", until)
        self.peers[name].frozen_until = until

    def transmit(self, a: NodeId, b: NodeId, message: Message, payload: Digest | None) -> None:
        epoch = self.peers[b].epoch
        if a == b:
            self.at(self.now, self.deliver, a, b, message, payload, epoch)
            return
        setup = self.setup
        noisy = self.now < setup.quiet
        if not self.path(a, b) or (noisy and self.rng.random() < setup.loss):
            return
        for _ in range(2 if noisy and self.rng.random() < setup.duplicates else 1):
            when = self.network.arrival(a, b, float(payload is not None))
            self.at(when, self.deliver, a, b, message, payload, epoch)

    def carry(self, a: NodeId, b: NodeId, frame: Frame) -> None:
        """A frame of an exchange: like a message, but for its way into the node."""
        setup, noisy = self.setup, self.now < self.setup.quiet
        if self.path(a, b) and not (noisy and self.rng.random() < setup.loss) and self.network.take(a, b, frame):
            when = self.network.arrival(a, b, frame.share / setup.width)
            self.at(when, self.arrive, a, b, frame, self.peers[b].epoch)

    def arrive(self, a: NodeId, b: NodeId, frame: Frame, epoch: int) -> None:
        peer = self.peers[b]
        self.network.under_way.discard((a, b, frame))
        if peer.alive and peer.epoch == epoch:
            if peer.frozen_until > self.now:
                self.at(peer.frozen_until, self.arrive, a, b, frame, epoch)
                return
            if self.trace is not None:
                self.log(f"{a[-2:]}->{b[-2:]} {frame}")
            peer.blocks.receive(a, frame)

    def twist(self, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
        """What a hostile node makes of a frame that it sends."""
        twist = self.twists.get(peer.me)
        return [frame] if twist is None else twist(self, peer, to, frame)

    def bend_block(self, peer: Peer, value: int) -> int:
        return value + 1 if peer.me in self.wrong_merges else value

    def deliver(self, a: NodeId, b: NodeId, message: Message, payload: Digest | None, epoch: int) -> None:
        peer = self.peers[b]
        if not peer.alive or peer.epoch != epoch:
            return
        if peer.frozen_until > self.now:
            self.at(peer.frozen_until, self.deliver, a, b, message, payload, epoch)
            return
        if self.trace is not None:
            self.log(f"{a[-2:]}->{b[-2:]} {message.KIND}", payload and payload[:6])
        peer.apply(e.Received(self.now, a, message, payload))

    # --- ledger -------------------------------------------------------------------------------------------

    def submit(self, peer: Peer, transaction: e.Announce | e.Commit | e.Leave | e.Report) -> None:
        start, end = self.no_ledger.get(peer.me, (0.0, 0.0))
        lost = self.now < self.setup.quiet and self.rng.random() < self.setup.loss
        if not (start <= self.now < end) and not lost:
            delay = self.rng.uniform(0.001, self.setup.view_lag)
            self.later(delay, self.chain.submit, peer.me, transaction)

    def seal(self) -> None:
        setup = self.setup
        self.later(setup.block_seconds, self.seal)
        if setup.ledger_off[0] <= self.now < setup.ledger_off[1]:
            return
        self.chain.block()
        if setup.reorganise and self.now < setup.quiet and self.rng.random() < setup.reorganise:
            self.chain.reorganise()
        view = self.chain.view(self.now)
        self.invariants.on_view(self.newest, view)
        self.newest = view
        for name in self.names:
            start, end = self.no_ledger.get(name, (0.0, 0.0))
            if not start <= self.now < end:
                self.later(self.rng.uniform(0.001, setup.view_lag), self.see, name, view)

    def see(self, name: NodeId, view: e.LedgerView) -> None:
        if view.read_at > self.views[name].read_at:
            self.views[name] = view

"""One machine on a bench: the world around it is written by the test, event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from rounds_sim.registry import SIGNATURE, Key, Registry, node_id

from swarm_lab.rounds import checks
from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.machine import Machine

ME, B, C = NODES = tuple(node_id(k) for k in (1, 2, 3))
T = "7" * 64
A_ = TypeVar("A_")


def root(letter: str) -> str:
    return letter * 64


class Bench:
    """Node 1 of three, all announced and up. Time goes on by `tick`."""

    def __init__(self, view: e.LedgerView | None = None, disk: tuple[e.StoredModel, ...] = (), **rules: object) -> None:
        self.registry = Registry()
        self.rules = replace(e.Rules(training=T, min_peers=2, sync=4), **rules)  # type: ignore[arg-type]
        self.machine = Machine(ME, self.rules, Key(self.registry, ME), self.registry)
        members = {n: e.Member(1, n[-2:]) for n in NODES}
        self.view = view or e.LedgerView(members=members, rosters=(frozenset(NODES),))
        self.up = frozenset({B, C})
        self.beats: dict[str, m.Heartbeat] = {}
        self.now = 0.0
        self.done: list[e.Action] = []
        self.apply(e.Start(0.0, disk, self.view, ME[-2:]))

    def apply(self, event: e.Event) -> list[e.Action]:
        actions = self.machine.apply(event)
        self.done += actions
        return actions

    def tick(self, seconds: float = 0.1) -> list[e.Action]:
        self.now += seconds
        return self.apply(e.Tick(self.now, self.view, self.up, self.beats))

    def ready(self) -> list[e.Action]:
        """The program is there: round 1 starts, or the head is fetched."""
        return self.apply(e.ProgramReady(self.now, root("a")))

    def take(self, kind: type[A_]) -> list[A_]:
        """The actions of one kind so far; they are forgotten."""
        found = [a for a in self.done if isinstance(a, kind)]
        self.done = [a for a in self.done if not isinstance(a, kind)]
        return found

    def sent(self, kind: type[A_]) -> list[tuple[str, A_]]:
        """Messages of one kind sent so far, with their receivers; all messages are forgotten."""
        return [(a.to, a.message) for a in self.take(e.Send) if isinstance(a.message, kind)]

    # --- what peers do ------------------------------------------------------------------------------------

    def beat(self, node: str, phase: m.Phase, number: int = 1, prev: str = m.GENESIS, **more: object) -> None:
        known = m.Heartbeat(T, phase, number, prev)
        self.beats[node] = replace(known, **more)  # type: ignore[arg-type]

    def hear(self, sender: str, message: m.Message, payload: str | None = None) -> list[e.Action]:
        return self.apply(e.Received(self.now, sender, message, payload))

    def check_in(self, node: str, digest: str, number: int = 1, prev: str = m.GENESIS, **more: object) -> m.CheckIn:
        made = replace(m.CheckIn(T, number, prev, node, 1, 1, digest, False), **more)  # type: ignore[arg-type]
        Key(self.registry, node).sign_check_in(made)
        return made

    def own(self) -> m.CheckIn:
        signed = self.machine.desk.state.check_in
        assert signed
        return signed.check_in

    def plan(
        self, coordinator: str, *check_ins: m.CheckIn, model: str, number: int = 1, left: tuple[str, ...] = ()
    ) -> m.PlanMessage:
        entries = tuple(m.Entry(c.participant(), Key(self.registry, c.node).sign_check_in(c)) for c in check_ins)
        left_out = tuple(m.LeftOut(n, "connection lost") for n in left)
        content = checks.plan_content(entries, left_out, False, self.rules.sync, model)
        first = check_ins[0]
        plan = m.Plan(T, first.round, first.prev, self.machine.desk.state.attempt, number, content)
        signature = Key(self.registry, coordinator).sign_plan(plan)
        return m.PlanMessage(plan, signature, entries, left_out, False, self.rules.sync, model)

    def certificate(self, result: m.Result, *voters: str) -> m.Certificate:
        votes = tuple(m.Vote(v, Key(self.registry, v).sign_result(result)) for v in voters)
        return m.Certificate(result, votes)

    def final(self, *results: m.Result, **changes: object) -> None:
        """The ledger has these results, final."""
        rosters = (frozenset(NODES),) * (len(results) + 1)
        self.view = replace(self.view, results=results, rosters=rosters, **changes)  # type: ignore[arg-type]

    def finish_round_1(self, *members: str, model: str = root("1")) -> m.Result:
        """Round 1 is certified by its members; this node has the model in hand and trains on."""
        check_ins = [self.own() if n == ME else self.check_in(n, root(n[-1])) for n in members]
        result = m.Result(T, 1, m.GENESIS, tuple(c.participant() for c in check_ins), False, self.rules.sync, model)
        self.hear(B, m.CertificateMessage(self.certificate(result, *members)))
        self.hear(B, m.ModelMessage(model), model)
        return result


def coordinating() -> Bench:
    """The others cannot coordinate."""
    bench = Bench(no_coordinators=frozenset({B, C}))
    bench.tick()
    bench.ready()
    loop(bench)
    return bench


def loop(bench: Bench) -> None:
    """Deliver what the node sends to itself."""
    while mine := [a for a in bench.done if isinstance(a, e.Send) and a.to == ME]:
        bench.done = [a for a in bench.done if a not in mine]
        for send in mine:
            bench.hear(ME, send.message, send.payload_root)


def submit(bench: Bench, node: str, digest: str, payload: bool = True, attempt: int = 0, **more: object) -> m.CheckIn:
    made = bench.check_in(node, digest, **more)  # type: ignore[arg-type]
    bench.beat(node, m.Phase.CHECKED_IN, coordinator=ME, attempt=attempt)
    bench.tick(0.01)
    bench.hear(node, m.CheckInMessage(made, SIGNATURE, attempt, 0.5), digest if payload else None)
    return made


def planned() -> tuple[Bench, m.PlanMessage]:
    bench = coordinating()
    submit(bench, B, root("b"))
    submit(bench, C, root("c"))
    [merge] = bench.take(e.Merge)
    bench.apply(e.MergeDone(bench.now, merge.key, root("1")))
    plan = bench.machine.coordinator.rounds[1, m.GENESIS].plan
    assert plan
    return bench, plan


def vote(bench: Bench, node: str, plan: m.PlanMessage, **changes: object) -> None:
    result_id = bench.registry.result_id(plan.result())
    bench.certificate(plan.result(), node)
    message = m.VoteMessage(1, m.GENESIS, plan.plan.content, result_id, SIGNATURE)
    bench.hear(node, replace(message, **changes))  # type: ignore[arg-type]

"""A ledger in memory: blocks, a state per block, final at a depth; the last blocks may be taken back or be late."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from rounds_sim.registry import Registry

from swarm_lab.rounds import checks
from swarm_lab.rounds.events import Announce, Commit, Leave, LedgerView, Member, Report, Rules
from swarm_lab.rounds.messages import GENESIS, Certificate, Digest, NodeId, Result, SignedCheckIn

Transaction = tuple[NodeId, Announce | Commit | Leave | Report]


@dataclass(frozen=True)
class Contract:
    """The contract's storage after a block (section 14)."""

    results: tuple[Result, ...] = ()
    ids: tuple[Digest, ...] = ()
    members: dict[NodeId, Member] = field(default_factory=dict)
    removed: dict[NodeId, str] = field(default_factory=dict)
    left: dict[NodeId, str] = field(default_factory=dict)
    rosters: tuple[frozenset[NodeId], ...] = (frozenset(),)


class Chain:
    """Executes transactions by the rules of section 14, and trusts nobody."""

    def __init__(self, rules: Rules, registry: Registry, rng: random.Random, depth: int, block_seconds: float) -> None:
        self.rules, self.registry, self.rng = rules, registry, rng
        self.depth, self.block_seconds = depth, block_seconds
        self.mempool: list[Transaction] = []
        self.states = [Contract()]
        self.blocks: list[list[Transaction]] = [[]]
        self.final = 0

    def submit(self, sender: NodeId, transaction: Announce | Commit | Leave | Report) -> None:
        self.mempool.append((sender, transaction))

    def block(self) -> None:
        pending, self.mempool = self.mempool, []
        state = self.states[-1]
        for sender, transaction in pending:
            state = self.execute(state, sender, transaction)
        self.states.append(state)
        self.blocks.append(pending)

    def reorganise(self) -> None:
        """Take back blocks that are not final; some transactions are forgotten, the rest come in any order."""
        deepest = len(self.states) - 1 - self.final
        count = min(self.rng.randint(1, self.depth - 1), deepest) if self.depth > 1 else 0
        if count <= 0:
            return
        undone = [x for block in self.blocks[-count:] for x in block]
        del self.states[-count:], self.blocks[-count:]
        self.mempool = [x for x in undone if self.rng.random() < 0.8] + self.mempool
        self.rng.shuffle(self.mempool)
        for _ in range(count):
            self.block()

    def execute(self, state: Contract, sender: NodeId, transaction: object) -> Contract:
        match transaction:
            case Announce(nonce):
                known = state.members.get(sender, Member(0, ""))
                if known.nonce == nonce or sender in state.removed:
                    return state
                left = {n: why for n, why in state.left.items() if n != sender}
                members = {**state.members, sender: Member(known.incarnation + 1, nonce)}
                return replace(state, members=members, left=left)
            case Leave(code):
                return replace(state, left={**state.left, sender: code})
            case Report(first, second):
                return self.report(state, first, second)
            case Commit(certificate):
                return self.commit(state, certificate)
        raise AssertionError(transaction)

    def report(self, state: Contract, first: SignedCheckIn, second: SignedCheckIn) -> Contract:
        a, b = first.check_in, second.check_in
        key = [(c.training, c.node, c.round, c.prev, c.incarnation) for c in (a, b)]
        signed = all(self.registry.check_in(s.check_in, s.signature) for s in (first, second))
        if a == b or key[0] != key[1] or not signed:
            return state
        return replace(state, removed={**state.removed, a.node: "two check-ins for one round"})

    def commit(self, state: Contract, certificate: Certificate) -> Contract:
        result = certificate.result
        head = state.ids[-1] if state.ids else GENESIS
        over = bool(state.results) and state.results[-1].end
        if over or result.round != len(state.results) + 1 or result.prev != head:
            return state
        due = checks.next_interval(self.rules, state.results, result.participants)
        if checks.bad_certificate(self.rules, self.registry, certificate, due):
            return state
        for p in result.participants:
            known = state.members.get(p.node)
            if known is None or p.node in state.removed or p.incarnation > known.incarnation:
                return state
        return replace(
            state,
            results=(*state.results, result),
            ids=(*state.ids, self.registry.result_id(result)),
            rosters=(*state.rosters, frozenset(state.members)),
        )

    def view(self, now: float) -> LedgerView:
        self.final = max(self.final, len(self.states) - self.depth)
        state, tip = self.states[self.final], self.states[-1]
        return LedgerView(
            results=state.results,
            included=frozenset(tip.ids),
            members=state.members,
            removed=state.removed,
            left=state.left,
            rosters=state.rosters,
            read_at=now,
            block_seconds=self.block_seconds,
        )

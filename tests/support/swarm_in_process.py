"""A whole training in one process: real machines, drivers, pilots, signatures and merges; ledger and wire in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from swarm_lab.ledger.signing import Domain, KeySigner, KeyVerifier, LedgerKey
from swarm_lab.nodes.driver import Driver
from swarm_lab.nodes.pilot import Arrival, Pilot
from swarm_lab.nodes.round_ports import Arrived
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.events import Fail, Finish, LedgerView, Member, Notice, Rules
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.machine import Machine
from swarm_lab.rounds.messages import GENESIS, Certificate

DOMAIN = Domain(31337, "0x" + "1" * 40)
LAYOUT = Layout.from_arrays({"w": np.zeros(8, np.float32)})
TRAINING = "a" * 64


class MemoryLedger:
    """Takes the first valid commit of a round; certificates are checked by the nodes' own verifier."""

    def __init__(self) -> None:
        self.state = LedgerView(block_seconds=0.01)
        self.verifier = KeyVerifier(DOMAIN)
        self.commits = 0

    def port(self, node: str) -> LedgerPort:
        return LedgerPort(self, node)


@dataclass
class LedgerPort:
    ledger: MemoryLedger
    node: str

    async def view(self, wait_s: float = 0.0) -> LedgerView:
        await asyncio.sleep(min(wait_s, 0.01) or 0.001)
        return replace(self.ledger.state, read_at=asyncio.get_running_loop().time())

    async def announce(self, nonce: str) -> None:
        members = dict(self.ledger.state.members)
        before = members.get(self.node)
        if before is None or before.nonce != nonce:
            members[self.node] = Member((before.incarnation if before else 0) + 1, nonce)
        self.ledger.state = replace(self.ledger.state, members=members)

    async def commit(self, certificate: Certificate) -> None:
        await asyncio.sleep(0.01)
        state, result = self.ledger.state, certificate.result
        head = self.ledger.verifier.result_id(state.results[-1]) if state.results else GENESIS
        if result.round == len(state.results) + 1 and result.prev == head:
            assert all(self.ledger.verifier.vote(result, v.voter, v.signature) for v in certificate.votes)
            self.ledger.commits += 1
            self.ledger.state = replace(
                state,
                results=(*state.results, result),
                included=state.included | {self.ledger.verifier.result_id(result)},
                rosters=(*state.rosters, frozenset(state.members) - frozenset(state.left)),
            )

    async def depart(self, code: str) -> None:
        self.ledger.state = replace(self.ledger.state, left={**self.ledger.state.left, self.node: code})

    async def report(self, first: object, second: object) -> None:
        raise AssertionError("no honest node signs two check-ins")


@dataclass
class Listener:
    notices: list[Notice] = field(default_factory=list)
    outcome: asyncio.Future[Finish | Fail] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def view(self, view: LedgerView) -> None:
        pass

    def plan(self, coordinator: str, plan: object) -> None:
        pass

    def finished(self, action: Finish) -> None:
        self.outcome.set_result(action)

    def failed(self, action: Fail) -> None:
        if not self.outcome.done():
            self.outcome.set_result(action)


class Program:
    """Adds its own step to every weight, `batches` times; obeys attention, stop and finish as the callback does."""

    def __init__(self, start: float, step: float, batches: int, seconds: float) -> None:
        self.weights = np.full(8, start, np.float32)
        self.step, self.batches, self.seconds = step, batches, seconds
        self.done_batches = 0
        self.wanted = False
        self.pilot: Pilot
        self.answer: asyncio.Queue[dict] = asyncio.Queue()

    def attention(self) -> None:
        self.wanted = True

    async def release(self, model, **rest) -> None:
        self.wanted = False
        self.answer.put_nowait({"model": model, **rest})

    async def park(self, reason: str, fresh: bool = True) -> dict:
        contribution = bytes(LAYOUT.pack({"w": self.weights})) if fresh else None
        self.pilot.arrived(Arrival(reason, self.done_batches, 0.5, 0.5, contribution))
        answer = await self.answer.get()
        if answer["model"] is not None:
            self.weights = LAYOUT.views(answer["model"])["w"].copy()
        return answer

    async def run(self) -> None:
        answer = await self.park("begin")
        left = answer["interval"]
        while self.done_batches < self.batches and not (answer["stop"] or answer["finished"]):
            await asyncio.sleep(self.seconds)
            self.weights = self.weights + np.float32(self.step)
            self.done_batches += 1
            left -= 1
            if left <= 0 or self.wanted:
                reason = "interval" if left <= 0 else "attention"
                answer = await self.park(reason)
                left = answer["interval"] or (left if reason == "attention" else 4)
        fresh = True
        while not answer["finished"]:
            answer = await self.park("end", fresh)
            fresh = False


class Node:
    def __init__(self, swarm: Swarm, index: int, program: Program) -> None:
        self.key = LedgerKey.create_or_load(swarm.folder / f"key-{index}")
        self.id = self.key.address
        self.swarm, self.index, self.program = swarm, index, program
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
        swarm = self.swarm
        self.vault = Vault(Checkpoints(swarm.folder / f"node-{self.index}"))
        self.vault.layout = LAYOUT
        rules = replace(swarm.rules, assigned=tuple(sorted(n.id for n in swarm.nodes)))
        machine = Machine(self.id, rules, KeySigner(self.key, DOMAIN), KeyVerifier(DOMAIN))
        self.listener = Listener()
        members = [n.id for n in swarm.nodes]
        port = swarm.ledger.port(self.id)
        self.driver = Driver(machine, self.id, self.vault, port, self.post, lambda: members, self.listener)
        self.driver.pilot = self.program.pilot = Pilot(self.program, self.vault, self.driver.apply)
        swarm.live[self.id] = self
        await self.driver.start(f"{self.index}/{self.starts}")
        self.tasks = [
            asyncio.create_task(work)
            for work in (self.driver.run(), self.driver.pilot.run(), self.program.run(), self.report_progress())
        ]

    async def report_progress(self) -> None:
        while True:
            self.driver.progress(self.program.done_batches, self.program.seconds)
            await asyncio.sleep(0.05)

    async def post(self, to: str, message, payload) -> None:
        peer = self.swarm.live.get(to)
        if peer is None:
            for change in self.driver.liveness.refused(to, self.driver._clock()):
                self.driver._changed([change])
            return
        payload = None if payload is None else (payload[0], bytes(payload[1]))
        await asyncio.sleep(0.001)
        peer.driver.receive(Arrived(self.id, f"{self.index}/{self.starts}", message, payload))

    async def crash(self) -> None:
        self.swarm.live.pop(self.id, None)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Swarm:
    def __init__(self, folder: Path, programs: list[Program], **rules) -> None:
        self.folder = folder
        self.ledger = MemoryLedger()
        self.live: dict[str, Node] = {}
        self.rules = Rules(TRAINING, **{"min_peers": 2, "sync": 4, "start_grace": 5.0, "absent": 20.0} | rules)
        self.nodes = [Node(self, i, program) for i, program in enumerate(programs)]

    async def outcomes(self, limit: float = 20.0) -> list[Finish | Fail]:
        async with asyncio.timeout(limit):
            return list(await asyncio.gather(*(node.listener.outcome for node in self.live.values())))

    async def close(self) -> None:
        for node in list(self.live.values()):
            await node.crash()

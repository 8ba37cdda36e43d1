"""A real chain with the contracts on it, and accounts that take part."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import pytest

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.deploy import deploy
from swarm_lab.ledger.records import Contracts, Terms
from swarm_lab.ledger.signing import Domain, LedgerKey, result_id, sign_enrolment, training_key
from swarm_lab.ledger.transport import HttpTransport
from swarm_lab.nodes.chain import CHAIN_ID, command
from swarm_lab.rounds.messages import GENESIS, Certificate, Participant, Result, Vote, bits

TERMS = Terms("torch", min_peers=2, sync_frequency=16, merge_method="mean")


class Chain:
    """An anvil process that a test may kill and start again."""

    def __init__(self) -> None:
        from swarm_lab.provision.tools import anvil

        self._binary = anvil()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(command(self._binary, self.port), stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("anvil does not listen")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@dataclass
class Lab:
    """The contracts on a chain, the sentinel's ledger and two learners more than `min_peers`."""

    chain: Chain
    contracts: Contracts
    sentinel: Ledger
    keys: dict[str, LedgerKey]
    ledgers: dict[str, Ledger]
    numbers: Iterator[int]

    @property
    def learners(self) -> list[Ledger]:
        """sl-1..sl-4 by ascending account."""
        return sorted((self.ledgers[f"sl-{i}"] for i in (1, 2, 3, 4)), key=lambda ledger: ledger.account)

    @property
    def operator(self) -> Ledger:
        return self.ledgers["operator"]

    async def training(self, terms: Terms = TERMS, announce: bool = True) -> str:
        """A new training of all four, registered and announced."""
        name = f"t-{next(self.numbers):06x}"
        nodes = tuple(ledger.account for ledger in self.learners)
        await self.operator.create_training(name, "11" * 32, "22" * 32, Terms(), nodes)
        for ledger in self.learners if announce else ():
            await ledger.register(name, terms)
            await ledger.announce(name, "first")
        return name

    def result(self, training: str, round_: int = 1, prev: str = GENESIS, size: int = 4, **changes: object) -> Result:
        done = bool(changes.pop("done", False))
        participants = tuple(
            Participant(ledger.account, 1, 1, "33" * 32, done, bits(0.5), bits(0.9), bits(0.4), bits(0.95), 7)
            for ledger in self.learners[:size]
        )
        made = Result(training_key(training), round_, prev, participants, False, 16, "44" * 32)
        return replace(made, **changes)  # type: ignore[arg-type]

    def certificate(self, result: Result, voters: int | None = None) -> Certificate:
        by_account = {ledger.account: ledger for ledger in self.learners}
        names = [n for n in result.nodes() if n in by_account][:voters]
        votes = (Vote(name, by_account[name].signer.sign_result(result)) for name in names)
        return Certificate(result, tuple(votes))

    async def commit_rounds(self, training: str, number: int) -> list[str]:
        """Commit rounds 1..number; returns their result ids."""
        ids = [GENESIS]
        for round_ in range(1, number + 1):
            result = self.result(training, round_, ids[-1])
            await self.learners[round_ % 4].commit(self.certificate(result))
            ids.append(result_id(result))
        return ids[1:]


@pytest.fixture
def make_chain(need: Callable[..., None]) -> Iterator[Callable[[], Chain]]:
    need("anvil")
    chains: list[Chain] = []

    def make() -> Chain:
        chains.append(Chain())
        chains[-1].start()
        return chains[-1]

    yield make
    for chain in chains:
        chain.kill()


@pytest.fixture(scope="module")
def shared_chain(need: Callable[..., None]) -> Iterator[Chain]:
    need("anvil")
    chain = Chain()
    chain.start()
    yield chain
    chain.kill()


@pytest.fixture
async def lab(shared_chain: Chain) -> AsyncIterator[Lab]:
    """Trainings are new for each test; chain and contracts are the module's."""
    made = await make_lab(shared_chain)
    yield made
    for ledger in (made.sentinel, *made.ledgers.values()):
        await ledger.close()


async def make_lab(chain: Chain) -> Lab:
    transport = HttpTransport(chain.url)
    keys = {name: LedgerKey(bytes([i + 1]) * 32) for i, name in enumerate(("sentinel", "operator", *_LEARNERS))}
    await _until_up(transport)
    contracts = await deploy(transport, keys["sentinel"], CHAIN_ID)
    sentinel = Ledger(transport, contracts, keys["sentinel"])
    domain = Domain(CHAIN_ID, contracts.enrolment)
    for name, kind in (("sentinel", "sn"), ("operator", "swci"), *((name, "sl") for name in _LEARNERS)):
        spiffe_id = f"spiffe://test.swarm/{kind}/{name}"
        await sentinel.enrol(spiffe_id, keys[name].address, kind, sign_enrolment(keys[name], domain, spiffe_id, kind))
    ledgers = {n: Ledger(HttpTransport(chain.url), contracts, keys[n]) for n in ("operator", *_LEARNERS)}
    return Lab(chain, contracts, sentinel, keys, ledgers, _numbers)


async def _until_up(transport: HttpTransport) -> None:
    for _ in range(100):
        try:
            await transport.batch([("eth_chainId", [])])
            return
        except LedgerUnreachable:
            time.sleep(0.05)


_LEARNERS = ("sl-1", "sl-2", "sl-3", "sl-4")
_numbers = count(1)

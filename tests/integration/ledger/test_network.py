"""SNs as they run, over mutual TLS on a real chain: registration, roster, relay, and what happens when parts die."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port

from swarm_lab import errors
from swarm_lab.facts.state import read_state
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import channel
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource
from swarm_lab.ledger import network as client
from swarm_lab.ledger import wire
from swarm_lab.ledger.network import Membership, open_ledger
from swarm_lab.ledger.records import Terms
from swarm_lab.ledger.signing import result_id, training_key
from swarm_lab.nodes import network, sentinel, sn
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.protos import network_pb2, network_pb2_grpc
from swarm_lab.rounds.messages import GENESIS, Certificate, Participant, Result, Vote

AUTHORITY = Authority.create("demo.swarm")
TERMS = Terms("torch", 2, 16, "mean")


class Source(FixedSource):
    """An SVID without an issuer."""

    def __init__(self, who: SpiffeId) -> None:
        super().__init__(AUTHORITY.issue(who, timedelta(hours=1)), {"demo.swarm": AUTHORITY.bundle})

    @classmethod
    async def open_async(cls, socket: Path, expected: SpiffeId, *_: Any) -> Source:
        return cls(expected)

    def facts(self) -> dict[str, object]:
        return self.svid().facts()

    def subscribe(self, _: object) -> None: ...

    def close(self) -> None: ...


class Swarm:
    """The network part of a swarm in this process: each node's main coroutine is a task."""

    def __init__(self, home: Path, chain: Any) -> None:
        self.home, self.chain = home, chain
        self.network = {name: f"127.0.0.1:{free_port()}" for name in ("sentinel", "sn-2")}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._opened: list[Any] = []

    def config(self, name: str, kind: str) -> NodeConfig:
        return NodeConfig(
            swarm="demo",
            name=name,
            kind=kind,  # type: ignore[arg-type]
            trust_domain="demo.swarm",
            directory=self.home / "nodes" / name,
            swarm_dir=self.home,
            run_dir=self.home,
            address=self.network.get(name, ""),
            network=self.network,
            chain_url=self.chain.url,
        )

    def start(self, name: str) -> None:
        main, kind = (sentinel.serve, "sentinel") if name == "sentinel" else (network.serve, "sn")
        config = self.config(name, kind)
        config.directory.mkdir(parents=True, exist_ok=True)
        self._tasks[name] = asyncio.create_task(main(config))

    async def stop(self, name: str) -> None:
        task = self._tasks.pop(name)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=3)
        assert done, f"{name} did not end in 3 s"

    async def says(self, name: str, state: str, message: str = "") -> None:
        path = self.home / "nodes" / name / "state.json"

        def there() -> bool:
            found = read_state(path)
            return found is not None and found.state == state and message in found.message

        await until(there, f"{name} to say {state} {message}, it says {read_state(path)}")

    async def join(self, name: str, platform: str = "torch", network: dict[str, str] | None = None) -> Membership:
        me = SpiffeId("demo.swarm", "sl", name)
        dialer = Dialer(Source(me))
        membership = await Membership.join(
            directory=self.home / "nodes" / name,
            network=network or self.network,
            dialer=dialer,
            me=me,
            address=f"127.0.0.1:{name[-1]}",
            platform=platform,
            limit_s=15,
        )
        self._opened += [membership, dialer]
        return membership

    async def operator(self) -> Any:
        me = SpiffeId("demo.swarm", "swci", "operator")
        ledger = await open_ledger(self.home / "nodes" / "operator", self.network, Source(me), me)
        self._opened.append(ledger)
        return ledger

    async def close(self) -> None:
        for one in self._opened:
            await one.close()
        for name in list(self._tasks):
            await self.stop(name)


async def until(there: Callable[[], bool | Awaitable[bool]], what: str, limit_s: float = 15) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = there()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {limit_s} s for {what}")


@pytest.fixture
async def make_swarm(
    tmp_path: Path, make_chain: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Swarm]]:
    monkeypatch.setattr(sn, "SvidSource", Source)
    made: list[Swarm] = []

    def make(*names: str) -> Swarm:
        made.append(Swarm(tmp_path, make_chain()))
        for name in names:
            made[-1].start(name)
        return made[-1]

    yield make
    for swarm in made:
        await swarm.close()


async def a_training(swarm: Swarm, *members: Membership) -> str:
    operator = await swarm.operator()
    name = f"t-{time.monotonic_ns():x}"
    await operator.create_training(name, "11" * 32, "22" * 32, Terms(), tuple(m.ledger.account for m in members))
    for member in members:
        await member.ledger.register(name, TERMS)
        await member.ledger.announce(name, "first")
    return name


def a_certificate(training: str, members: tuple[Membership, ...], round_: int = 1, prev: str = GENESIS) -> Certificate:
    ledgers = sorted((m.ledger for m in members), key=lambda ledger: ledger.account)
    participants = tuple(Participant(ledger.account, 1, 1, "33" * 32, False) for ledger in ledgers)
    result = Result(training_key(training), round_, prev, participants, False, 16, "44" * 32)
    return Certificate(result, tuple(Vote(x.account, x.signer.sign_result(result)) for x in ledgers))


async def test_nodes_started_too_early_wait_and_go_on(make_swarm: Callable[..., Swarm]) -> None:
    swarm = make_swarm("sn-2")
    joining = asyncio.create_task(swarm.join("sl-1"))
    await swarm.says("sn-2", "waiting", "waiting for the sentinel to make the contracts")
    swarm.start("sentinel")
    await swarm.says("sn-2", "ready")
    await swarm.says("sentinel", "ready")
    first = await joining
    second = await swarm.join("sl-2")

    async def both_known() -> bool:
        names = [[node.name for node in await member.roster()] for member in (first, second)]
        return all({"sl-1", "sl-2"} <= set(one) for one in names)

    await until(both_known, "both SNs to know both nodes")
    found = next(node for node in await second.roster() if node.name == "sl-1")
    assert (found.account, found.address, found.platform) == (first.ledger.account, "127.0.0.1:1", "torch")
    assert found.age_s < 10
    assert await first.ledger.kind_of(second.ledger.account) == "sl"


async def test_a_killed_chain_gets_its_rounds_back(make_swarm: Callable[..., Swarm]) -> None:
    swarm = make_swarm("sentinel", "sn-2")
    await swarm.says("sn-2", "ready")
    members = (
        await swarm.join("sl-1", network={"sentinel": swarm.network["sentinel"]}),
        await swarm.join("sl-2", network={"sn-2": swarm.network["sn-2"]}),
        await swarm.join("sl-3"),
    )
    training = await a_training(swarm, *members)
    ids = [GENESIS]
    for round_ in (1, 2, 3):
        certificate = a_certificate(training, members, round_, ids[-1])
        await members[round_ % 3].ledger.commit(certificate)
        ids.append(result_id(certificate.result))
        swarm.chain.kill()  # right after the receipt
        swarm.chain.start()
        for member in members:

            async def sees(member: Membership = member, round_: int = round_) -> bool:
                try:
                    view = await member.ledger.view(training)
                    return len(view.results) == round_
                except errors.LedgerUnreachable:
                    return False

            await until(sees, f"round {round_} on {member.sn}")
    view = await members[0].ledger.view(training)
    assert [members[0].ledger.verifier.result_id(r) for r in view.results] == ids[1:]
    assert {m.incarnation for m in view.members.values()} == {1}
    fourth = a_certificate(training, members, 4, ids[-1])
    await members[0].ledger.commit(fourth)
    await swarm.says("sentinel", "ready")


async def test_an_sn_that_was_away_and_a_chain_that_was_killed(make_swarm: Callable[..., Swarm]) -> None:
    swarm = make_swarm("sentinel", "sn-2")
    await swarm.says("sn-2", "ready")
    members = (await swarm.join("sl-1"), await swarm.join("sl-2"))
    training = await a_training(swarm, *members)
    await members[0].ledger.commit(a_certificate(training, members))
    await swarm.stop("sentinel")
    await swarm.stop("sn-2")
    swarm.chain.kill()
    swarm.chain.start()
    swarm.start("sn-2")  # alone: its journal has everything, also what went through the sentinel
    await swarm.says("sn-2", "ready")

    async def sees() -> bool:
        try:
            return len((await members[1].ledger.view(training)).results) == 1
        except errors.LedgerUnreachable:
            return False

    await until(sees, "the round through sn-2")
    swarm.start("sentinel")
    await swarm.says("sentinel", "ready")
    third = await swarm.join("sl-3")
    assert await third.ledger.kind_of(members[0].ledger.account) == "sl"


async def test_an_sl_moves_on_when_its_sn_dies(
    make_swarm: Callable[..., Swarm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ALIVE_S", 0.2)
    swarm = make_swarm("sentinel", "sn-2")
    await swarm.says("sn-2", "ready")
    members = (await swarm.join("sl-1"), await swarm.join("sl-2"))
    training = await a_training(swarm, *members)
    left = members[0].sn
    await swarm.stop(left)
    await members[0].ledger.commit(a_certificate(training, members))
    assert members[0].sn != left
    assert len((await members[0].ledger.view(training)).results) == 1

    async def alive() -> bool:
        ages = [n.age_s for n in await members[0].roster() if n.name == "sl-1"]
        return bool(ages) and ages[0] < 1

    await until(alive, "sl-1 to be registered with the other SN")


async def test_one_platform_in_one_network(make_swarm: Callable[..., Swarm]) -> None:
    swarm = make_swarm("sentinel")
    await swarm.says("sentinel", "ready")
    with pytest.raises(errors.PlatformMixed, match="sl-9 comes with keras, but sentinel has torch"):
        await swarm.join("sl-9", "keras", {"sentinel": swarm.network["sentinel"]})
    await swarm.join("sl-1")
    with pytest.raises(errors.PlatformMixed, match="sl-9 comes with keras, but sl-1 has torch"):
        await swarm.join("sl-9", "keras", {"sentinel": swarm.network["sentinel"]})


@asynccontextmanager
async def stub(swarm: Swarm, role: str, name: str) -> AsyncIterator[Any]:
    me, peer = SpiffeId("demo.swarm", role, name), SpiffeId("demo.swarm", "sn", "sentinel")
    async with channel(swarm.network["sentinel"], peer, Source(me)) as opened:
        yield network_pb2_grpc.NetworkStub(opened)  # type: ignore[no-untyped-call]


async def test_what_an_sn_refuses(make_swarm: Callable[..., Swarm]) -> None:
    swarm = make_swarm("sentinel")
    await swarm.says("sentinel", "ready")
    member = await swarm.join("sl-1")

    async def status(call: Any) -> tuple[str, str]:
        with pytest.raises(Exception) as caught:
            await call
        error: Any = caught.value
        return error.code().name, error.details()

    async with stub(swarm, "license", "license") as wrong_role:
        code, text = await status(wrong_role.Roster(network_pb2.RosterRequest()))
        assert code == "PERMISSION_DENIED" and "license" in text
    async with stub(swarm, "sl", "sl-7") as sl:

        def rpc(method: str, *params: object) -> Any:
            return sl.Rpc(network_pb2.RpcRequest(calls=[network_pb2.RpcCall(method=method, params=json.dumps(params))]))

        for method in ("anvil_setBalance", "evm_revert", "eth_sendTransaction", "admin_addPeer", "debug_traceCall"):
            code, text = await status(rpc(method))
            assert code == "INVALID_ARGUMENT" and method in text
        assert (await status(rpc("eth_sendRawTransaction", "0xzz")))[0] == "INVALID_ARGUMENT"
        assert (await status(rpc("eth_sendRawTransaction")))[0] == "INVALID_ARGUMENT"
        many = network_pb2.RpcRequest(calls=[network_pb2.RpcCall(method="eth_chainId", params="[]")] * 65)
        assert (await status(sl.Rpc(many)))[0] == "INVALID_ARGUMENT"

        old = network_pb2.RegisterRequest(protocol=99, package="9.9.9", account=member.ledger.account)
        code, text = await status(sl.Register(old))
        assert code == "FAILED_PRECONDITION" and "99" in text and "9.9.9" in text and "SWL-307" in text
        stolen = network_pb2.RegisterRequest(
            protocol=wire.PROTOCOL, package="0.1.0", account=member.ledger.account, proof=b"\x01" * 65, platform="torch"
        )
        code, text = await status(sl.Register(stolen))
        assert code == "FAILED_PRECONDITION" and "SWL-302" in text


async def test_proof_of_possession_is_bound_to_the_spiffe_id(make_swarm: Callable[..., Swarm]) -> None:
    """sl-7 cannot enrol with sl-1's proof, caught on the wire: the SPIFFE ID in it is that of the connection."""
    swarm = make_swarm("sentinel")
    await swarm.says("sentinel", "ready")
    member = await swarm.join("sl-1")
    async with stub(swarm, "sl", "sl-7") as sl:
        with pytest.raises(Exception, match="SWL-302"):
            await sl.Register(member._request)
    assert await member.ledger.account_of("spiffe://demo.swarm/sl/sl-7") is None

"""The view of a training over what SNs may show: blocks that are not final, lags, new chains, other histories, lies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from eth_abi.abi import encode

from swarm_lab.errors import LedgerForked, LedgerUnreachable
from swarm_lab.ledger.abi import load
from swarm_lab.ledger.records import certificate_call
from swarm_lab.ledger.signing import Domain, KeySigner, KeyVerifier, LedgerKey, result_id, training_key
from swarm_lab.ledger.transport import Call, RpcError
from swarm_lab.ledger.watch import Watch
from swarm_lab.rounds.messages import GENESIS, Certificate, Participant, Result, Vote

DOMAIN = Domain(1, "0x" + "ab" * 20)
KEYS = sorted((LedgerKey(bytes([n]) * 32) for n in (1, 2, 3)), key=lambda key: key.address)
TRAINING = training_key("t-1")
_PARTICIPANT = "(address,uint64,uint32,bytes32,bool,uint64,uint64,uint64,uint64,uint64)"
RESULT_TYPE = f"(bytes32,uint64,bytes32,{_PARTICIPANT}[],bool,uint32,bytes32)"


@dataclass
class FakeChain:
    """Blocks of one log entry each, block 0 empty; `name` makes its hashes differ from another chain's."""

    name: str = "a"
    logs: list[dict[str, Any]] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    waited: list[tuple[int, float]] = field(default_factory=list)
    hidden: int = 0
    """So many of the last blocks are not shown in the height yet."""

    def add(self, log: dict[str, Any]) -> None:
        number = len(self.logs) + 1
        self.logs.append({**log, "blockNumber": hex(number), "blockHash": f"{self.name}{number}"})

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        self.asked.append([method for method, _ in calls])
        return [self.answer(method, params) for method, params in calls]

    async def batch_past(self, height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        self.waited.append((height, limit_s))
        return len(self.logs) - self.hidden, await self.batch(calls)

    def answer(self, method: str, params: list[Any]) -> Any:
        if method == "eth_blockNumber":
            return hex(len(self.logs) - self.hidden)
        if method == "eth_getBlockByNumber":
            number = int(params[0], 16)
            return {"hash": f"{self.name}{number}"} if number <= len(self.logs) else None
        first = int(params[0]["fromBlock"], 16)
        if first > len(self.logs):
            return RpcError(-32000, "BlockOutOfRangeError")
        return [log for log in self.logs if int(log["blockNumber"], 16) >= first]

    async def close(self) -> None: ...


def committed(round_: int, prev: str, model: str = "44" * 32, forge: bool = False) -> tuple[str, dict[str, Any]]:
    participants = tuple(Participant(key.address, 1, 1, "33" * 32, False) for key in KEYS)
    result = Result(TRAINING, round_, prev, participants, False, 16, model)
    signed = replace(result, next=1) if forge else result
    votes = tuple(Vote(key.address, KeySigner(key, DOMAIN).sign_result(signed)) for key in KEYS)
    return result_id(result), log_of(Certificate(result, votes))


def log_of(certificate: Certificate) -> dict[str, Any]:
    result, voters, votes = certificate_call(certificate)
    id_ = bytes.fromhex(result_id(certificate.result))
    data = encode(["bytes32", RESULT_TYPE, "address[]", "bytes[]"], [id_, result, voters, votes])
    round_ = certificate.result.round.to_bytes(32, "big").hex()
    topics = [load("Rounds").topic("Committed"), "0x" + TRAINING, "0x" + round_]
    return {"topics": topics, "data": "0x" + data.hex(), "transactionHash": "0x" + "77" * 32}


def member_log(event: str, types: list[str], values: list[Any], key: LedgerKey = KEYS[0]) -> dict[str, Any]:
    topics = [load("Rounds").topic(event), "0x" + TRAINING, "0x" + key.address[2:].rjust(64, "0")]
    return {"topics": topics, "data": "0x" + encode(types, values).hex(), "transactionHash": "0x" + "88" * 32}


def announced(incarnation: int, key: LedgerKey = KEYS[0]) -> dict[str, Any]:
    return member_log("Announced", ["uint64", "string"], [incarnation, f"n{incarnation}"], key)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def watch(chain: FakeChain, depth: int = 1) -> Watch:
    return Watch(chain, DOMAIN, TRAINING, depth, Clock())


def with_rounds(name: str, number: int, model: str = "44" * 32) -> tuple[FakeChain, list[str]]:
    chain, ids = FakeChain(name), [GENESIS]
    for round_ in range(1, number + 1):
        id_, log = committed(round_, ids[-1], model)
        chain.add(log)
        ids.append(id_)
    return chain, ids[1:]


async def test_members_rosters_and_rounds_in_their_order() -> None:
    chain = FakeChain()
    for key in KEYS:
        chain.add(announced(1, key))
    first, log = committed(1, GENESIS)
    chain.add(log)
    chain.add(member_log("Left", ["string"], ["SWL-1"], KEYS[1]))
    chain.add(member_log("Removed", ["string", "address"], ["lied", KEYS[0].address], KEYS[2]))
    second, log = committed(2, first)
    chain.add(log)
    chain.add(announced(2, KEYS[1]))
    view = await watch(chain).view(None)
    everyone = frozenset(key.address for key in KEYS)
    assert [KeyVerifier(DOMAIN).result_id(r) for r in view.results] == [first, second]
    assert view.rosters == (frozenset(), everyone, frozenset({KEYS[0].address}))
    assert view.members[KEYS[1].address].incarnation == 2
    assert view.members[KEYS[1].address].nonce == "n2"
    assert (view.left, view.removed) == ({}, {KEYS[2].address: "lied"})


async def test_it_reads_only_what_is_new() -> None:
    chain, _ = with_rounds("a", 2)
    watched = watch(chain)
    assert len((await watched.view(None)).results) == 2
    chain.asked.clear()
    before = await watched.view(0.25)
    assert chain.asked == [["eth_getBlockByNumber", "eth_blockNumber", "eth_getLogs", "eth_getBlockByNumber"]]
    assert before.block_seconds == 0.25
    _, log = committed(3, result_id(before.results[-1]))
    chain.add(log)
    after = await watched.view(None)
    assert len(after.results) == 3
    assert after.read_at > before.read_at


async def test_what_is_not_final_is_included_only() -> None:
    chain, ids = with_rounds("a", 2)
    watched = watch(chain, depth=2)
    view = await watched.view(None)
    assert (len(view.results), view.included) == (1, frozenset(ids))
    _, log = committed(3, ids[-1])
    chain.add(log)
    assert len((await watched.view(None)).results) == 2


async def test_a_block_above_the_height_told_waits() -> None:
    chain, _ = with_rounds("a", 2)
    chain.hidden = 1
    watched = watch(chain)
    assert len((await watched.view(None)).results) == 1
    chain.hidden = 0
    assert len((await watched.view(None)).results) == 2


async def test_a_lagging_or_emptied_chain_leaves_the_view_and_its_age() -> None:
    chain, _ = with_rounds("a", 3)
    watched = watch(chain)
    before = await watched.view(None)
    for number in (2, 0):
        chain.name, chain.logs = "b", with_rounds("b", number)[0].logs
        view = await watched.view(None)
        assert view is before
    chain.logs = with_rounds("b", 4)[0].logs
    after = await watched.view(None)
    assert len(after.results) == 4
    assert after.read_at > before.read_at


async def test_another_result_for_a_final_round_is_a_fork() -> None:
    chain, _ = with_rounds("a", 2)
    watched = watch(chain)
    await watched.view(None)
    chain.name, chain.logs = "b", with_rounds("b", 3, model="55" * 32)[0].logs
    with pytest.raises(LedgerForked, match="round 1 was"):
        await watched.view(None)
    with pytest.raises(LedgerForked):
        await watched.view(None)


async def test_a_reset_training_starts_over() -> None:
    chain, _ = with_rounds("a", 2)
    watched = watch(chain)
    await watched.view(None)
    topics = [load("Rounds").topic("Restarted"), "0x" + TRAINING]
    chain.add({"topics": topics, "data": "0x" + encode(["uint64"], [2]).hex(), "transactionHash": "0x"})
    assert (await watched.view(None)).results == ()
    _, log = committed(1, GENESIS, "99" * 32)
    chain.add(log)
    assert len((await watched.view(None)).results) == 1


async def test_a_resumed_training_forgets_who_left_and_keeps_its_rounds() -> None:
    chain, _ = with_rounds("a", 2)
    chain.add(member_log("Left", ["string"], ["SWL-1"]))
    chain.add(member_log("Removed", ["string", "address"], ["lied", KEYS[1].address], KEYS[2]))
    watched = watch(chain)
    assert (await watched.view(None)).left == {KEYS[0].address: "SWL-1"}
    topics = [load("Rounds").topic("Resumed"), "0x" + TRAINING]
    data = "0x" + encode(["uint64", "address"], [2, KEYS[1].address]).hex()
    chain.add({"topics": topics, "data": data, "transactionHash": "0x"})
    view = await watched.view(None)
    assert view.left == {} and view.removed.keys() == {KEYS[2].address} and len(view.results) == 2


def spoil(kind: str) -> dict[str, Any]:
    """A commit as an SN might invent it."""
    if kind == "a vote is forged":
        return committed(1, GENESIS, forge=True)[1]
    if kind == "does not follow":
        return committed(2, "55" * 32)[1]
    participants = tuple(Participant(key.address, 1, 1, "33" * 32, False) for key in KEYS)
    result = Result(TRAINING, 1, GENESIS, participants, False, 16, "44" * 32)
    votes = tuple(Vote(key.address, KeySigner(key, DOMAIN).sign_result(result)) for key in KEYS)
    if kind == "no quorum":
        return log_of(Certificate(result, votes[:1]))
    log = log_of(Certificate(result, votes))
    return {**log, "data": "0x" + "00" * 32 + log["data"][66:]}  # another id than that of its content


@pytest.mark.parametrize("kind", ["a vote is forged", "does not follow", "no quorum", "not the hash"])
async def test_an_sn_cannot_invent_a_round(kind: str) -> None:
    chain = FakeChain()
    chain.add(spoil(kind))
    with pytest.raises(LedgerForked, match=kind):
        await watch(chain).view(None)


async def test_it_waits_for_what_is_above_the_last_answer_and_others_read_meanwhile() -> None:
    chain, _ = with_rounds("a", 1)
    watched = watch(chain)
    assert len((await watched.view(None)).results) == 1
    block = asyncio.Event()
    at_once = chain.batch_past

    async def batch_past(height: int, limit_s: float, calls: Sequence[Call]) -> tuple[int, list[Any]]:
        if limit_s:
            await block.wait()
        return await at_once(height, limit_s, calls)

    chain.batch_past = batch_past  # type: ignore[method-assign]
    waiting = asyncio.create_task(watched.view(None, 1.0))
    await asyncio.sleep(0)  # it asks
    assert len((await watched.view(None)).results) == 1
    chain.add(committed(2, result_id(watched.rounds[-1].certificate.result))[1])
    assert len((await watched.view(None)).results) == 2  # it is faster than who waits: that reads again
    chain.add(committed(3, result_id(watched.rounds[-1].certificate.result))[1])
    block.set()
    assert len((await waiting).results) == 3
    assert chain.waited[-2:] == [(1, 1.0), (2, 0.0)]


async def test_a_chain_that_began_anew_between_two_questions() -> None:
    chain, _ = with_rounds("a", 1)
    watched = watch(chain)
    await watched.view(None)
    again, _ = with_rounds("b", 3)

    async def batch(calls: Sequence[Call]) -> list[Any]:
        answers = []
        for method, params in calls:
            if method == "eth_getLogs":
                chain.name, chain.logs = again.name, again.logs
            answers.append(chain.answer(method, params))
        return answers

    chain.add(committed(2, result_id((await watched.view(None)).results[0]))[1])
    chain.batch = batch  # type: ignore[method-assign]
    with pytest.raises(LedgerUnreachable):
        await watched.view(None)
    assert len((await watched.view(None)).results) == 3

"""Every transaction of a training, read with web3, the field's own library: metadata only."""

from __future__ import annotations

import json
import struct
from importlib import resources
from typing import Any

import pytest

from swarm_lab.ledger.records import Perf

LOSS = 0.123456789


def abi_of(name: str) -> Any:
    return json.loads((resources.files("swarm_lab.ledger") / "abi" / f"{name}.json").read_text())["abi"]


@pytest.fixture
def chain_by_web3(lab: Any) -> Any:
    from web3 import Web3

    return Web3(Web3.HTTPProvider(lab.chain.url))


def words_of(value: Any) -> list[Any]:
    """All leaves of a decoded argument."""
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in words_of(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in words_of(one)]
    return [value]


async def test_a_run_leaves_metadata_only(lab: Any, chain_by_web3: Any) -> None:
    first = chain_by_web3.eth.block_number + 1
    training = await lab.training()
    ids = await lab.commit_rounds(training, 3)
    await lab.learners[0].perf(training, Perf(3, LOSS, 0.5, 48))
    contracts = {
        address.lower(): chain_by_web3.eth.contract(address=address, abi=abi_of(name))
        for name in ("Trainings", "Rounds")
        if (address := chain_by_web3.to_checksum_address(getattr(lab.contracts, name.lower())))
    }
    seen: dict[str, int] = {}
    for number in range(first, chain_by_web3.eth.block_number + 1):
        for tx in chain_by_web3.eth.get_block(number, full_transactions=True).transactions:
            function, arguments = contracts[tx["to"].lower()].decode_function_input(tx["input"])
            seen[function.fn_name] = seen.get(function.fn_name, 0) + 1
            assert tx["value"] == 0
            assert tx["gasPrice"] == 0
            for leaf in words_of(arguments):
                # Digests, signatures, accounts, names, numbers: nothing that could hold a tensor.
                assert not isinstance(leaf, bytes) or len(leaf) in (32, 65), function.fn_name
                assert not isinstance(leaf, str) or len(leaf) <= 64
            assert len(tx["input"]) <= 512 + 4 * 600
    assert seen == {"create": 1, "register": 4, "announce": 4, "commit": 3, "report": 1}
    rounds = contracts[lab.contracts.rounds]
    key = bytes.fromhex(lab.result(training).training)
    assert rounds.functions.head(key).call() == [3, bytes.fromhex(ids[-1]), False]
    logs = rounds.events.Committed().get_logs(from_block=first, argument_filters={"training": key})
    assert [log.args.id.hex() for log in logs] == ids
    stood = contracts[lab.contracts.trainings].events.Performance().get_logs(from_block=first)[-1].args.perf.loss
    assert struct.unpack(">d", stood.to_bytes(8, "big"))[0] == LOSS


async def test_gas_of_a_commit(lab: Any) -> None:
    training = await lab.training()
    receipt = await lab.learners[0].commit(lab.certificate(lab.result(training)))
    assert receipt.gas_used < 300_000

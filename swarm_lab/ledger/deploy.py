"""Makes the swarm's contracts: the same key and an empty chain give the same addresses, and the same bytes, again."""

from __future__ import annotations

import asyncio

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from swarm_lab.errors import OtherContracts
from swarm_lab.ledger.abi import load
from swarm_lab.ledger.records import Contracts
from swarm_lab.ledger.sender import Sender, sign_transaction, transaction_hash
from swarm_lab.ledger.signing import LedgerKey
from swarm_lab.ledger.transport import RpcError, Transport

_GAS = 8_000_000
_RECEIPT_LIMIT_S = 60.0


def contract_address(deployer: str, nonce: int) -> str:
    """Where the contract goes that an account makes with its transaction number `nonce`."""
    return "0x" + keccak(rlp.encode([bytes.fromhex(deployer.removeprefix("0x")), nonce]))[12:].hex()


def contracts_of(deployer: str, chain_id: int) -> Contracts:
    """Where this deployer's contracts are, or will be: its first three transactions make them."""
    return Contracts(chain_id, *(contract_address(deployer, nonce) for nonce in range(3)))


async def deploy(transport: Transport, key: LedgerKey, chain_id: int) -> Contracts:
    """Make what is missing of the contracts and let `Rounds` close trainings; does nothing when all is there.

    Raises `OtherContracts` where something else is at the place, `LedgerUnreachable`, `TransactionNotMined`.
    """
    contracts = contracts_of(key.address, chain_id)
    creations = (
        load("Enrolment").creation(),
        load("Trainings").creation(contracts.enrolment),
        load("Rounds").creation(contracts.enrolment, contracts.trainings),
    )
    places = (contracts.enrolment, contracts.trainings, contracts.rounds)
    codes = await transport.batch([("eth_getCode", [place, "latest"]) for place in places])
    for nonce, (place, data, code) in enumerate(zip(places, creations, codes, strict=True)):
        if code == "0x":
            await _create(transport, sign_transaction(key, chain_id, nonce, "", data, _GAS), place)
    await _allow_rounds(transport, key, contracts)
    return contracts


async def _create(transport: Transport, raw: bytes, place: str) -> None:
    """Send a creation and wait for its code. The nonce is fixed, so that repeating it is harmless."""
    answer, *_ = await transport.batch([("eth_sendRawTransaction", ["0x" + raw.hex()])])
    try:
        async with asyncio.timeout(_RECEIPT_LIMIT_S):
            while True:
                (code,) = await transport.batch([("eth_getCode", [place, "latest"])])
                if code != "0x":
                    return
                if isinstance(answer, RpcError) and "known" not in answer.message.lower():
                    raise OtherContracts(f"the contract for {place} cannot be made: {answer.message}")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise OtherContracts(f"transaction {transaction_hash(raw)} made no contract at {place}") from None


async def _allow_rounds(transport: Transport, key: LedgerKey, contracts: Contracts) -> None:
    trainings, role = load("Trainings"), keccak(b"ROUNDS_ROLE")
    asked = {"to": contracts.trainings, "data": trainings.call("hasRole", role, contracts.rounds)}
    (answer,) = await transport.batch([("eth_call", [asked, "latest"])])
    if isinstance(answer, RpcError) or not trainings.answer("hasRole", answer)[0]:
        sender = Sender(transport, key, contracts.chain_id)
        await sender.send(contracts.trainings, trainings.call("grantRole", role, contracts.rounds))

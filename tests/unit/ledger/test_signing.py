"""Hashes, signatures and transactions, compared with the field's own library."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_lab.errors import LedgerKeyUnusable
from swarm_lab.ledger.deploy import contract_address
from swarm_lab.ledger.replay import simulation
from swarm_lab.ledger.sender import sign_transaction, transaction_hash
from swarm_lab.ledger.signing import (
    Domain,
    KeySigner,
    KeyVerifier,
    LedgerKey,
    check_in_hash,
    enrolment_hash,
    recover,
    result_hash,
    result_id,
    training_key,
)
from swarm_lab.rounds.messages import CheckIn, Participant, Plan, Result

KEY = LedgerKey(b"\x11" * 32)
DOMAIN = Domain(77431, "0x" + "ab" * 20)
PARTICIPANT = [
    ("address", "node"),
    ("uint64", "incarnation"),
    ("uint32", "weight"),
    ("bytes32", "root"),
    ("bool", "done"),
    ("uint64", "loss"),
    ("uint64", "metric"),
    ("uint64", "localLoss"),
    ("uint64", "localMetric"),
    ("uint64", "steps"),
]
HEAD = [("bytes32", "training"), ("uint64", "round"), ("bytes32", "prev")]
TYPES = {
    "CheckIn": [*HEAD, *PARTICIPANT],
    "Participant": PARTICIPANT,
    "Result": [*HEAD, ("Participant[]", "participants"), ("bool", "end"), ("uint32", "next"), ("bytes32", "model")],
    "Plan": [*HEAD, ("uint32", "attempt"), ("uint32", "number"), ("bytes32", "content")],
    "Enrol": [("string", "spiffeId"), ("address", "account"), ("string", "kind")],
}

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
addresses = st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex())
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
numbers = [u64] * 5
participants = st.builds(Participant, addresses, u64, u32, digests, st.booleans(), *numbers)
check_ins = st.builds(CheckIn, digests, u64, digests, addresses, u64, u32, digests, st.booleans(), *numbers)
results = st.builds(
    Result, digests, u64, digests, st.lists(participants, max_size=5).map(tuple), st.booleans(), u32, digests
)
plans = st.builds(Plan, digests, u64, digests, u32, u32, digests)


def digest_by_the_library(primary: str, message: dict[str, Any]) -> bytes:
    """The 32 bytes to sign, by eth_account."""
    from eth_hash.auto import keccak

    used = {"Result": ("Result", "Participant")}.get(primary, (primary,))
    domain = [("string", "name"), ("string", "version"), ("uint256", "chainId"), ("address", "verifyingContract")]
    types = {name: [{"type": t, "name": n} for t, n in TYPES[name]] for name in used}
    signable = encode_typed_data(
        full_message={
            "types": {"EIP712Domain": [{"type": t, "name": n} for t, n in domain], **types},
            "primaryType": primary,
            "domain": {"name": "swarm-lab", "version": "1", "chainId": 77431, "verifyingContract": "0x" + "ab" * 20},
            "message": message,
        }
    )
    return bytes(keccak(b"\x19" + signable.version + signable.header + signable.body))


def plain(struct: Any) -> dict[str, Any]:
    """A message's fields as the library takes them."""
    name = type(struct).__name__
    fields = {}
    for type_, field in TYPES[name]:
        value = getattr(struct, {"localLoss": "local_loss", "localMetric": "local_metric"}.get(field, field))
        if type_ == "bytes32":
            value = bytes.fromhex(value)
        fields[field] = [plain(p) for p in value] if type_ == "Participant[]" else value
    return fields


@settings(max_examples=20)
@given(check_ins)
def test_check_ins_hash_as_the_library_says(check_in: CheckIn) -> None:
    assert DOMAIN.digest(check_in_hash(check_in)) == digest_by_the_library("CheckIn", plain(check_in))


@settings(max_examples=20)
@given(results)
def test_results_hash_as_the_library_says(result: Result) -> None:
    assert DOMAIN.digest(result_hash(result)) == digest_by_the_library("Result", plain(result))
    assert result_id(result) == result_hash(result).hex()


@settings(max_examples=10)
@given(plans)
def test_plans_are_signed_as_the_library_says(plan: Plan) -> None:
    signature = KeySigner(KEY, DOMAIN).sign_plan(plan)
    assert recover(digest_by_the_library("Plan", plain(plan)), signature) == KEY.address


def test_enrolments_hash_as_the_library_says() -> None:
    name = "spiffe://demo.swarm/sl/sl-1"
    message = {"spiffeId": name, "account": KEY.address, "kind": "sl"}
    assert DOMAIN.digest(enrolment_hash(name, KEY.address, "sl")) == digest_by_the_library("Enrol", message)


def test_signatures_are_the_libraries_own() -> None:
    assert KEY.address == Account.from_key(b"\x11" * 32).address.lower()
    digest = b"\x42" * 32
    theirs = Account.unsafe_sign_hash(digest, b"\x11" * 32).signature
    assert KEY.sign(digest) == bytes(theirs)


@settings(max_examples=20)
@given(check_ins, results, plans)
def test_what_was_signed_verifies_and_nothing_else(check_in: CheckIn, result: Result, plan: Plan) -> None:
    from dataclasses import replace

    signer, verifier = KeySigner(KEY, DOMAIN), KeyVerifier(DOMAIN)
    mine = replace(check_in, node=KEY.address)
    assert verifier.check_in(mine, signer.sign_check_in(mine))
    assert not verifier.check_in(replace(mine, weight=mine.weight ^ 1), signer.sign_check_in(mine))
    assert verifier.vote(result, KEY.address, signer.sign_result(result))
    assert not verifier.vote(replace(result, next=result.next ^ 1), KEY.address, signer.sign_result(result))
    assert verifier.plan(plan, KEY.address, "0x" + signer.sign_plan(plan))
    assert not KeyVerifier(Domain(1, DOMAIN.contract)).plan(plan, KEY.address, signer.sign_plan(plan))


@pytest.mark.parametrize("junk", ["", "zz", "00" * 65, "11" * 64, "ff" * 65, "00" * 64 + "1b", "22" * 64 + "1d"])
def test_junk_is_a_wrong_signature_and_no_error(junk: str) -> None:
    assert recover(b"\x01" * 32, junk) != KEY.address


@pytest.mark.parametrize("to", ["", "0x" + "cd" * 20])
def test_transactions_are_those_of_the_library(to: str) -> None:
    raw = sign_transaction(KEY, 77431, 7, to, "0xdeadbeef", 1_000_000)
    fields: dict[str, Any] = {"nonce": 7, "gasPrice": 0, "gas": 1_000_000, "value": 0, "data": "0xdeadbeef"}
    if to:
        from eth_utils.address import to_checksum_address

        fields["to"] = to_checksum_address(to)
    theirs = Account.sign_transaction({**fields, "chainId": 77431}, b"\x11" * 32)
    assert raw == bytes(theirs.raw_transaction)
    assert transaction_hash(raw) == "0x" + bytes(theirs.hash).hex()
    call, nonce = simulation("0x" + raw.hex())
    assert (call["from"], call.get("to", ""), call["data"], nonce) == (KEY.address, to, "0xdeadbeef", 7)


def test_where_contracts_go() -> None:
    # The example that everybody uses: the first two contracts of one well-known account.
    deployer = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert contract_address(deployer, 0) == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert contract_address(deployer, 1) == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"


def test_training_keys() -> None:
    assert training_key("") == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_keys_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    made = LedgerKey.create_or_load(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LedgerKey.create_or_load(path).address == made.address
    assert path.read_text().strip() not in repr(made)
    path.chmod(0o640)
    with pytest.raises(LedgerKeyUnusable, match="others"):
        LedgerKey.create_or_load(path)
    path.chmod(0o600)
    path.write_text("not a key")
    with pytest.raises(LedgerKeyUnusable) as caught:
        LedgerKey.create_or_load(path)
    assert "not a key" not in str(caught.value)

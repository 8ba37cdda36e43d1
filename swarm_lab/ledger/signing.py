"""What nodes sign: Ethereum keys, EIP-712 hashes of check-ins, results and plans, and their checks.

Structs are hashed by hand, since a round hashes and checks one for each member: with libsecp256k1 a check costs about
0.1 ms. A test compares every hash with the field's own encoder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import coincurve
from eth_hash.auto import keccak

from swarm_lab.errors import LedgerKeyUnusable
from swarm_lab.rounds.messages import CheckIn, Participant, Plan, Result
from swarm_lab.rounds.slices import Slice

_PARTICIPANT = (
    "Participant(address node,uint64 incarnation,uint32 weight,bytes32 root,bool done,"
    "uint64 loss,uint64 metric,uint64 localLoss,uint64 localMetric,uint64 steps)"
)
PARTICIPANT_TYPE = keccak(_PARTICIPANT.encode())
CHECK_IN_TYPE = keccak(
    b"CheckIn(bytes32 training,uint64 round,bytes32 prev,address node,uint64 incarnation,uint32 weight,"
    b"bytes32 root,bool done,uint64 loss,uint64 metric,uint64 localLoss,uint64 localMetric,uint64 steps)"
)
RESULT_TYPE = keccak(
    b"Result(bytes32 training,uint64 round,bytes32 prev,Participant[] participants,bool end,uint32 next,"
    b"bytes32 model)" + _PARTICIPANT.encode()
)
PLAN_TYPE = keccak(b"Plan(bytes32 training,uint64 round,bytes32 prev,uint32 attempt,uint32 number,bytes32 content)")
SLICE_TYPE = keccak(
    b"Slice(bytes32 training,uint64 round,bytes32 prev,bytes32 assignment,address merger,bytes32 digest)"
)
ENROL_TYPE = keccak(b"Enrol(string spiffeId,address account,string kind)")
_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def training_key(training: str) -> str:
    """The key of a training on the ledger, 64 hex characters: keccak256 of its id."""
    return keccak(training.encode()).hex()


@dataclass(frozen=True, slots=True)
class Domain:
    """What a signature is good for: one contract (`0x` address, lower case) on one chain."""

    chain_id: int
    contract: str
    separator: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (_DOMAIN_TYPE, keccak(b"swarm-lab"), keccak(b"1"), _uint(self.chain_id), _address(self.contract))
        object.__setattr__(self, "separator", keccak(b"".join(parts)))

    def digest(self, struct_hash: bytes) -> bytes:
        """What is signed for a struct in this domain, 32 bytes."""
        return keccak(b"\x19\x01" + self.separator + struct_hash)


class LedgerKey:
    """A node's Ethereum key. It never leaves the process and is in no `repr`."""

    def __init__(self, secret: bytes) -> None:
        self._key = coincurve.PrivateKey(secret)
        self.address = _address_of(self._key.public_key)

    @classmethod
    def create_or_load(cls, path: Path) -> LedgerKey:
        """The key in `path` (hex, mode 0600), made first if there is none; raises `LedgerKeyUnusable`."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls._load(path)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            secret = coincurve.PrivateKey().secret
            file.write(secret.hex() + "\n")
            file.flush()
            os.fsync(descriptor)
        return cls(secret)

    @classmethod
    def _load(cls, path: Path) -> LedgerKey:
        if path.stat().st_mode & 0o077:
            raise LedgerKeyUnusable(f"{path} can be read by others than its owner")
        try:
            return cls(bytes.fromhex(path.read_text("ascii").strip()))
        except ValueError:
            # Without the cause: its message may hold a part of the key.
            raise LedgerKeyUnusable(f"{path} does not hold a key") from None

    def sign(self, digest: bytes) -> bytes:
        """The signature r, s, v (27 or 28) of 32 bytes; deterministic, s in the lower half."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes([27 + raw[64]])

    def __repr__(self) -> str:
        return f"LedgerKey({self.address})"


@dataclass(frozen=True, slots=True)
class KeySigner:
    """`rounds.signatures.Signer` with a ledger key. Signatures are 130 hex characters."""

    key: LedgerKey
    domain: Domain

    def sign_check_in(self, check_in: CheckIn) -> str:
        """EIP-712 signature of a check-in."""
        return self.key.sign(self.domain.digest(check_in_hash(check_in))).hex()

    def sign_result(self, result: Result) -> str:
        """A vote."""
        return self.key.sign(self.domain.digest(result_hash(result))).hex()

    def sign_plan(self, plan: Plan) -> str:
        """EIP-712 signature of a plan."""
        return self.key.sign(self.domain.digest(plan_hash(plan))).hex()

    def sign_slice(self, part: Slice) -> str:
        """EIP-712 signature of a slice digest."""
        return self.key.sign(self.domain.digest(slice_hash(part))).hex()


@dataclass(frozen=True, slots=True)
class KeyVerifier:
    """`rounds.signatures.Verifier` in one domain. A signature that cannot be read is a wrong one, not an error."""

    domain: Domain

    def result_id(self, result: Result) -> str:
        """The result id."""
        return result_id(result)

    def check_in(self, check_in: CheckIn, signature: str) -> bool:
        """Whether `check_in.node` signed it."""
        return recover(self.domain.digest(check_in_hash(check_in)), signature) == check_in.node

    def vote(self, result: Result, voter: str, signature: str) -> bool:
        """Whether `voter` signed the result."""
        return recover(self.domain.digest(result_hash(result)), signature) == voter

    def plan(self, plan: Plan, coordinator: str, signature: str) -> bool:
        """Whether `coordinator` signed the plan."""
        return recover(self.domain.digest(plan_hash(plan)), signature) == coordinator

    def slice(self, part: Slice, signature: str) -> bool:
        """Whether `part.merger` signed it."""
        return recover(self.domain.digest(slice_hash(part)), signature) == part.merger


@lru_cache(maxsize=4096)
def recover(digest: bytes, signature: str) -> str | None:
    """The account that signed 32 bytes, None where the signature is none. Repeated calls cost nothing."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        if len(raw) != 65 or raw[64] not in (27, 28):
            return None
        key = coincurve.PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] - 27]), digest, hasher=None)
    except ValueError:
        return None
    return _address_of(key)


def sign_enrolment(key: LedgerKey, domain: Domain, spiffe_id: str, kind: str) -> bytes:
    """Proof of possession: `key` says that its account belongs to this SPIFFE ID. `domain` is Enrolment's."""
    return key.sign(domain.digest(enrolment_hash(spiffe_id, key.address, kind)))


def enrolment_hash(spiffe_id: str, account: str, kind: str) -> bytes:
    """hashStruct of an Enrol."""
    return keccak(ENROL_TYPE + keccak(spiffe_id.encode()) + _address(account) + keccak(kind.encode()))


def check_in_hash(c: CheckIn) -> bytes:
    """hashStruct of a check-in."""
    head = (CHECK_IN_TYPE, bytes.fromhex(c.training), _uint(c.round), bytes.fromhex(c.prev))
    return keccak(b"".join(head) + _participant_fields(c))


@lru_cache(maxsize=256)
def result_hash(r: Result) -> bytes:
    """hashStruct of a result."""
    participants = keccak(b"".join(keccak(PARTICIPANT_TYPE + _participant_fields(p)) for p in r.participants))
    head = (RESULT_TYPE, bytes.fromhex(r.training), _uint(r.round), bytes.fromhex(r.prev), participants)
    return keccak(b"".join(head) + _uint(r.end) + _uint(r.next) + bytes.fromhex(r.model))


def result_id(r: Result) -> str:
    """The result id: hashStruct, 64 hex characters."""
    return result_hash(r).hex()


def plan_hash(p: Plan) -> bytes:
    """hashStruct of a plan."""
    head = (PLAN_TYPE, bytes.fromhex(p.training), _uint(p.round), bytes.fromhex(p.prev))
    return keccak(b"".join(head) + _uint(p.attempt) + _uint(p.number) + bytes.fromhex(p.content))


def slice_hash(s: Slice) -> bytes:
    """hashStruct of a slice digest."""
    head = (SLICE_TYPE, bytes.fromhex(s.training), _uint(s.round), bytes.fromhex(s.prev), bytes.fromhex(s.assignment))
    return keccak(b"".join(head) + _address(s.merger) + bytes.fromhex(s.digest))


def _participant_fields(p: CheckIn | Participant) -> bytes:
    head = _address(p.node) + _uint(p.incarnation) + _uint(p.weight) + bytes.fromhex(p.root) + _uint(p.done)
    return head + b"".join(map(_uint, (p.loss, p.metric, p.local_loss, p.local_metric, p.steps)))


def _uint(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x")).rjust(32, b"\0")


def _address_of(key: coincurve.PublicKey) -> str:
    return "0x" + keccak(key.format(compressed=False)[1:])[12:].hex()

"""A typed view of one contract's ABI: calls out, answers, events and custom errors back.

`eth_abi` does the encoding. Importing web3 costs 1.2 s of CPU in each process, in ten processes on a
laptop's cores; what a node needs of it is in this file and in `transport`. Tests read what is written
here with web3.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

CONTRACTS = ("Enrolment", "Trainings", "Rounds")


@dataclass(frozen=True, slots=True)
class Item:
    """A function, event or error: its 4 or 32 byte id, and names and types of what goes in and comes out."""

    name: str
    id: str
    inputs: tuple[str, ...]
    types: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    indexed: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A custom error of a contract, with what it carries by name."""

    name: str
    arguments: dict[str, object]


class Contract:
    """ABI and bytecode of one contract."""

    def __init__(self, artifact: Mapping[str, Any]) -> None:
        self.name: str = artifact["contract"]
        self.bytecode: str = artifact["bytecode"]
        items = {kind: [_item(e) for e in artifact["abi"] if e["type"] == kind] for kind in _KINDS}
        self._functions = {item.name: item for item in items["function"]}
        self._events = {item.id: item for item in items["event"]}
        self._errors = {item.id: item for item in items["error"]}
        self._constructor = items["constructor"]

    def call(self, function: str, *arguments: object) -> str:
        """Call data of `function`, `0x` hex. Structs are tuples, bytes are bytes."""
        item = self._functions[function]
        return item.id + encode(item.types, arguments).hex()

    def answer(self, function: str, data: str) -> tuple[Any, ...]:
        """What `function` returned; raises `ValueError` for data that does not fit (no contract there, for one)."""
        try:
            return tuple(decode(self._functions[function].outputs, _bytes(data)))
        except DecodingError as error:
            raise ValueError(f"{self.name}.{function} answered {data[:80]!r}: {error}") from error

    def creation(self, *arguments: object) -> str:
        """Data of the transaction that makes the contract."""
        types = self._constructor[0].types if self._constructor else ()
        return self.bytecode + encode(types, arguments).hex()

    def topic(self, event: str) -> str:
        """First topic of an event."""
        return next(id for id, item in self._events.items() if item.name == event)

    def event(self, log: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Name and fields of a log entry, None for one that is not this contract's."""
        topics = log["topics"]
        item = self._events.get(topics[0])
        if item is None:
            return None
        plain = decode([t for t, i in zip(item.types, item.indexed, strict=True) if not i], _bytes(log["data"]))
        indexed, rest = iter(topics[1:]), iter(plain)
        fields = {}
        for name, type_, is_indexed in zip(item.inputs, item.types, item.indexed, strict=True):
            fields[name] = decode([type_], _bytes(next(indexed)))[0] if is_indexed else next(rest)
        return item.name, fields

    def failure(self, data: str) -> Failure | None:
        """The custom error in revert data, None where it is none of this contract's."""
        item = self._errors.get(data[:10])
        if item is None:
            return None
        values = decode(item.types, _bytes(data)[4:])
        return Failure(item.name, dict(zip(item.inputs, values, strict=True)))


@cache
def load(name: str) -> Contract:
    """The contract with this name as it ships with the package."""
    path = resources.files("swarm_lab.ledger") / "abi" / f"{name}.json"
    return Contract(json.loads(path.read_text("utf-8")))


@cache
def digest() -> str:
    """SHA-256 over ABI and bytecode of all contracts, 64 hex characters: two packages with the same one fit."""
    folder = resources.files("swarm_lab.ledger") / "abi"
    return hashlib.sha256(b"".join((folder / f"{name}.json").read_bytes() for name in CONTRACTS)).hexdigest()


def failure_of(data: str) -> Failure | None:
    """The custom error in revert data, whichever contract of ours it comes from."""
    return next((found for name in CONTRACTS if (found := load(name).failure(data)) is not None), None)


_KINDS = ("function", "event", "error", "constructor")


def _item(entry: Mapping[str, Any]) -> Item:
    name = entry.get("name", "")
    types = tuple(_type(i) for i in entry["inputs"])
    digest = "0x" + keccak(f"{name}({','.join(types)})".encode()).hex()
    return Item(
        name,
        digest if entry["type"] == "event" else digest[:10],
        tuple(i["name"] for i in entry["inputs"]),
        types,
        tuple(_type(o) for o in entry.get("outputs", ())),
        tuple(bool(i.get("indexed")) for i in entry["inputs"]),
    )


def _type(parameter: Mapping[str, Any]) -> str:
    """The type as signatures spell it: a struct is the tuple of its parts."""
    name: str = parameter["type"]
    if not name.startswith("tuple"):
        return name
    parts: Sequence[Mapping[str, Any]] = parameter["components"]
    return f"({','.join(_type(part) for part in parts)}){name.removeprefix('tuple')}"


def _bytes(data: str) -> bytes:
    return bytes.fromhex(data.removeprefix("0x"))

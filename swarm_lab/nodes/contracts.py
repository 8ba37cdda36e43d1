"""Where an SN finds the swarm's contracts: it asks the sentinel, and remembers the answer for when that is away."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.facts.state import write_json
from swarm_lab.ledger.records import Contracts
from swarm_lab.ledger.transport import RpcError, Transport

_VERSION = 1


def save(directory: Path, contracts: Contracts) -> None:
    """Write `contracts.json`."""
    write_json(directory / "contracts.json", {"v": _VERSION, **asdict(contracts)})


def saved(directory: Path) -> Contracts | None:
    """What was written; None where nothing was, or in a version that this one does not read."""
    try:
        found = json.loads((directory / "contracts.json").read_text("utf-8"))
        if found.pop("v") != _VERSION:
            return None
        return Contracts(**found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


async def chain_id(chain: Transport) -> int:
    """The chain's id; raises `LedgerUnreachable`."""
    (answer,) = await chain.batch([("eth_chainId", [])])
    if isinstance(answer, RpcError):
        raise LedgerUnreachable(f"the chain does not tell its id: {answer.message}")
    return int(answer, 16)

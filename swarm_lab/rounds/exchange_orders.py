"""What the bookkeeping of an exchange wants done: orders, which `exchange` gives and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swarm_lab.rounds.messages import NodeId

What = Literal["raw", "merged", "slice", "tables"]


@dataclass(frozen=True, slots=True)
class Give:
    """Send these blocks of my contribution to the member that merges them."""

    to: NodeId
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tabulate:
    """All contributions to this block are here: compute its table, then tell `tabulated`. Keep the contributions."""

    block: int


@dataclass(frozen=True, slots=True)
class SpreadTables:
    """The tables of my share are made: send them to all others."""


@dataclass(frozen=True, slots=True)
class Combine:
    """Merge this block, then tell `combined`. Its contributions may go."""

    block: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Send this merged block to all other members."""

    block: int


@dataclass(frozen=True, slots=True)
class Sign:
    """My share is merged: sign its digest, tell `signed`, and send it to all others."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask `to` for what `owner` gives (its contribution's blocks, its merged blocks, its slice, its tables)."""

    to: NodeId
    what: What
    owner: NodeId
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoil:
    """What came in this owner's name is not what it signed; it is missing again."""

    owner: NodeId


@dataclass(frozen=True, slots=True)
class Complete:
    """The whole merged model is here and every slice is signed."""


Order = Give | Tabulate | SpreadTables | Combine | Spread | Sign | Ask | Spoil | Complete

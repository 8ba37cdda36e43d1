"""Which data folder is whose: by the node's name, or as many folders as seats, in name order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swarm_lab.errors import BadData
from swarm_lab.facts.swarm import natural


def assign(data: Path, seats: Sequence[str]) -> dict[str, Path]:
    """Map each seat to its folder in `data`; raises `BadData` naming what is missing."""
    if not data.is_dir():
        raise BadData(f"there is no folder {data}")
    folders = [path for path in data.absolute().iterdir() if path.is_dir() and not path.name.startswith(".")]
    by_name = {path.name: path for path in folders}
    if any(seat in by_name for seat in seats):
        missing = [seat for seat in seats if seat not in by_name]
        if missing:
            raise BadData(f"{data} has no folder for {', '.join(missing)}")
        return {seat: by_name[seat] for seat in seats}
    if len(folders) != len(seats):
        raise BadData(
            f"{data} has {len(folders)} folders and the training {len(seats)} seats ({', '.join(seats)}), "
            f"and no folder is named like a seat"
        )
    return dict(zip(seats, sorted(folders, key=lambda path: natural(path.name)), strict=True))

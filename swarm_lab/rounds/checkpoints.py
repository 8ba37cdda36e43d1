"""The certified models of one training on one node's disk: written before they are committed, the last few kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from swarm_lab.errors import ModelFileError
from swarm_lab.rounds.layout import Buffer, Layout, root
from swarm_lab.rounds.model_file import read_metadata, read_model, write_model

_NAME = re.compile(r"(\d{6,})-([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stored model: round, id of the round's result, root of the model, batches trained when it was stored."""

    round: int
    result_id: str
    root: str
    batches: int
    path: Path


class Checkpoints:
    """Files `<round>-<result id>.safetensors` in a folder of their own; two results of one round may coexist."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def store(self, round_: int, result_id: str, layout: Layout, buffer: Buffer, digest: str, batches: int) -> None:
        """Write a model durably; raises `OSError` when the disk does not take it, and nothing is lost then."""
        self.directory.mkdir(parents=True, exist_ok=True)
        about = json.dumps({"round": round_, "result_id": result_id, "root": digest, "batches": batches})
        write_model(self._path(round_, result_id), layout, buffer, {"checkpoint": about})

    def stored(self) -> list[Checkpoint]:
        """What lies on disk, oldest round first; a file that cannot be read is passed over."""
        found = []
        for path in sorted(self.directory.glob("*.safetensors")):
            if not _NAME.fullmatch(path.name):
                continue
            try:
                about = json.loads(read_metadata(path)["checkpoint"])
                found.append(Checkpoint(about["round"], about["result_id"], about["root"], about["batches"], path))
            except (ModelFileError, KeyError, ValueError):
                continue
        return found

    def load(self, digest: str) -> tuple[Layout, bytearray] | None:
        """The model with this root, checked against it; None where no whole file holds it."""
        for checkpoint in reversed(self.stored()):
            if checkpoint.root != digest:
                continue
            try:
                layout, buffer = read_model(checkpoint.path)
            except ModelFileError:
                continue
            if root(layout, buffer) == digest:
                return layout, buffer
        return None

    def keep(self, result_ids: frozenset[str], rounds: int = 2) -> None:
        """Remove all but these results and those of the last `rounds` rounds on disk."""
        stored = self.stored()
        newest = max((checkpoint.round for checkpoint in stored), default=0)
        for checkpoint in stored:
            if checkpoint.result_id not in result_ids and checkpoint.round <= newest - rounds:
                checkpoint.path.unlink(missing_ok=True)

    def _path(self, round_: int, result_id: str) -> Path:
        return self.directory / f"{round_:06d}-{result_id[:16]}.safetensors"

"""The certified models of one training on one node's disk: written before they are committed, the last few kept."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from swarm_lab.errors import ModelFileError
from swarm_lab.rounds.layout import Buffer, Layout, root
from swarm_lab.rounds.model_file import read_metadata, read_model, write_model

log = logging.getLogger(__name__)

KEPT = 3
SPARE = ".spare.part"
"""What was pruned last: the next model is written over it."""
_NAME = re.compile(r"(\d{6,})-([0-9a-f]{16})\.safetensors")
_HALF_WRITTEN = re.compile(r"\..+\.part")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stored model: round, id of the round's result, root of the model, batches trained when it was stored."""

    round: int
    result_id: str
    root: str
    batches: int
    path: Path


class Checkpoints:
    """Files `<round>-<result id>.safetensors` in a folder of their own; two results of one round may coexist.

    What does not fit is named in the log, once, and passed over: the model is then fetched from a peer, and its file
    written anew. `training` "" takes those of any.
    """

    def __init__(self, directory: Path, *, training: str = "", kept: int = KEPT) -> None:
        self.directory = directory
        self.training = training
        self.kept = max(1, kept)
        self._named: set[tuple[Path, int]] = set()

    def store(self, round_: int, result_id: str, layout: Layout, buffer: Buffer, digest: str, batches: int) -> None:
        """Write a model durably; raises `OSError` when the disk does not take it, and nothing is lost then."""
        self.directory.mkdir(parents=True, exist_ok=True)
        about = {"round": round_, "result_id": result_id, "root": digest, "batches": batches, "training": self.training}
        spare = self.directory / SPARE
        write_model(self._path(round_, result_id), layout, buffer, {"checkpoint": json.dumps(about)}, spare)

    def stored(self) -> list[Checkpoint]:
        """What the heads of the files say, oldest round first; a file that cannot be read is passed over."""
        found = []
        for path in self._files():
            try:
                found.append(self._head(path))
            except ModelFileError as error:
                self._name(path, error)
        return found

    def sound(self, layout: Layout | None = None) -> list[Checkpoint]:
        """Those of `stored` whose every byte was read: whole, of this layout if one is given, and of their digest."""
        return [checkpoint for checkpoint in self.stored() if self._read(checkpoint, layout) is not None]

    def load(self, digest: str) -> tuple[Layout, bytearray] | None:
        """The model with this root, checked against it; None where no whole file holds it."""
        for checkpoint in reversed(self.stored()):
            found = self._read(checkpoint, None) if checkpoint.root == digest else None
            if found is not None:
                return found
        return None

    def keep(self, result_ids: frozenset[str]) -> None:
        """Remove all but these results and those of the last `kept` rounds on disk, damaged files among them."""
        named = {result_id[:16] for result_id in result_ids}
        files = [(int(match[1]), match[2], path) for path in self._files() if (match := _NAME.fullmatch(path.name))]
        newest = max((checkpoint.round for checkpoint in self.stored()), default=0)
        for round_, result_id, path in files:
            if result_id not in named and round_ <= newest - self.kept:
                with contextlib.suppress(FileNotFoundError):
                    path.replace(self.directory / SPARE)

    def clean(self) -> None:
        """Remove what a writer that was killed left half written; only when nobody else writes here."""
        for path in self.directory.glob(".*"):
            if _HALF_WRITTEN.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """Files with a checkpoint's name, oldest round first."""
        files = []
        for path in sorted(self.directory.glob("*")):
            if _NAME.fullmatch(path.name):
                files.append(path)
            elif not path.name.startswith("."):  # those are on their way to a name
                self._name(path, ModelFileError(f"{path} has no checkpoint's name"))
        return files

    def _head(self, path: Path) -> Checkpoint:
        """A file's own word; raises `ModelFileError`."""
        text = read_metadata(path).get("checkpoint")
        try:
            about = json.loads(text or "")
            found = Checkpoint(about["round"], about["result_id"], about["root"], about["batches"], path)
            training = str(about.get("training", ""))
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ModelFileError(f"{path} does not say which round it is of") from None
        if path.name != self._path(found.round, found.result_id).name:
            raise ModelFileError(f"{path} holds round {found.round}, result {found.result_id[:16]}")
        if self.training and training and training != self.training:
            raise ModelFileError(f"{path} is of the training {training}")
        return found

    def _read(self, checkpoint: Checkpoint, layout: Layout | None) -> tuple[Layout, bytearray] | None:
        path = checkpoint.path
        try:
            mine, buffer = read_model(path)
            if layout is not None and mine != layout:
                raise ModelFileError(f"{path} is of another model: {layout.difference(mine)}")
            found = root(mine, buffer)
            if found != checkpoint.root:
                raise ModelFileError(f"{path} should have the digest {checkpoint.root[:16]} and has {found[:16]}")
        except ModelFileError as error:
            self._name(path, error)
            return None
        return mine, buffer

    def _name(self, path: Path, error: ModelFileError) -> None:
        """Say that a file is passed over, once for each of its contents."""
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError:
            return  # pruned meanwhile
        if key not in self._named:
            self._named.add(key)
            log.warning("a checkpoint is passed over: %s", error.message, extra={"code": error.code, "file": str(path)})

    def _path(self, round_: int, result_id: str) -> Path:
        return self.directory / f"{round_:06d}-{result_id[:16]}.safetensors"

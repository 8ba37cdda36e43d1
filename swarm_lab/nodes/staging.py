"""What the operator gives an SL node for a training: the request, and the program's files on the node's disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from blake3 import blake3
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from swarm_lab import __version__
from swarm_lab.errors import StagingError
from swarm_lab.facts.state import write_text
from swarm_lab.rounds.checkpoints import KEPT

PROTOCOL = 1
PROGRAM_LIMIT = 32 * 1024 * 1024  # bytes of all files together
_REQUEST_LIMIT = 256 * 1024
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
TRAINING_ID = r"^t-[0-9a-f]{6,32}$"


class StagedFile(BaseModel):
    """One file of the program: where it lies below the program's folder, and its size in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(max_length=512)
    size: int = Field(ge=0, le=PROGRAM_LIMIT)

    @field_validator("path")
    @classmethod
    def _stays_below(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in path or "\0" in path:
            raise ValueError(f"{path!r} leads out of the program's folder")
        return str(pure)


class TrainingRules(BaseModel):
    """What must agree over a training; it stands on the ledger as one digest (`TrainingRules.digest`).

    `sync_frequency` in batches; `grace` is the factor on the median interval that peers still training are given;
    `absent_s` is how long missing peers are waited for, `start_s` how long assigned nodes for their first check-in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: tuple[str, ...] = Field(min_length=1, max_length=1024)
    sync_frequency: int = Field(ge=1)
    min_peers: int = Field(ge=1)
    merge: Literal["mean", "coordmedian", "geomedian"] = "mean"
    wire: Literal["float32", "bf16", "fp16"] = Field(default="float32", description="a key of `rounds.wire.WIRES`")
    end_rule: Literal["all", "min_peers"] = "all"
    adaptive_sync: bool = False
    early_stopping: int = Field(default=0, ge=0, lt=2**32, description="rounds without a better loss; 0: never")
    seed: int = Field(default=0, ge=0, lt=2**63)
    grace: float = Field(default=1.0, ge=0, le=1000)
    absent_s: float = Field(default=3600.0, gt=0)
    start_s: float = Field(default=60.0, gt=0)
    platform: Literal["torch", "keras", "sklearn"] = "torch"
    program: str = Field(description="digest of the program's files, 64 hex characters", pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _reachable(self) -> TrainingRules:
        if self.min_peers > len(self.nodes):
            raise ValueError(f"min_peers is {self.min_peers}, but the training has {len(self.nodes)} nodes")
        return self

    def digest(self) -> str:
        """BLAKE3 of the rules' canonical JSON, 64 hex characters."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return blake3(text.encode()).hexdigest()


class StageRequest(BaseModel):
    """A training for one node. The files' bytes follow the request in the order of `files`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: int
    package: str = Field(max_length=64)
    training: str = Field(pattern=TRAINING_ID)
    rules: TrainingRules
    program: str = Field(max_length=512, description="path of the main program below the program's folder")
    files: tuple[StagedFile, ...] = Field(min_length=1, max_length=4096)
    data_dir: str = Field(max_length=4096)
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    node_weight: int = Field(default=1, ge=1, le=100)
    train_end: Literal["snapshot", "active", "inactive"] = "snapshot"
    cold: bool = False
    joins: bool = Field(default=False, description="the node joins a training that was created without it")
    checkpoints: int = Field(default=KEPT, ge=1, le=1000, description="committed rounds that the node keeps on disk")

    @model_validator(mode="after")
    def _fits(self) -> StageRequest:
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths):
            raise ValueError("a file comes twice")
        if self.program not in paths:
            raise ValueError(f"the program {self.program!r} is not among its files")
        if sum(file.size for file in self.files) > PROGRAM_LIMIT:
            raise ValueError(f"the program's files exceed {PROGRAM_LIMIT // 1024**2} MB")
        return self


def parse_request(body: bytes) -> StageRequest:
    """Check a request; raises `StagingError`, also for another protocol version, which names both."""
    if len(body) > _REQUEST_LIMIT:
        raise StagingError(f"the request has {len(body)} bytes; at most {_REQUEST_LIMIT} are read")
    try:
        request = StageRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "request"
        raise StagingError(f"{where}: {first['msg']}") from error
    if request.protocol != PROTOCOL:
        raise StagingError(
            f"the operator speaks staging protocol {request.protocol} (swarm-lab {request.package}), "
            f"this node {PROTOCOL} (swarm-lab {__version__})"
        )
    return request


def program_digest(files: Iterable[tuple[str, bytes]]) -> str:
    """BLAKE3 over the files' paths and contents in path order, 64 hex characters."""
    whole = blake3(b"swarm-lab/program/1")
    for path, content in sorted(files):
        for part in (path.encode(), content):
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.hexdigest()


async def receive_files(request: StageRequest, chunks: AsyncIterator[bytes]) -> dict[str, bytes]:
    """Collect the files that follow a request; raises `StagingError` if they do not match it or its digest."""
    expected = sum(file.size for file in request.files)
    received = bytearray()
    async for chunk in chunks:
        received += chunk
        if len(received) > expected:
            raise StagingError("more bytes came than the request names")
    if len(received) != expected:
        raise StagingError(f"{len(received)} of {expected} bytes came")
    files, position = {}, 0
    for file in request.files:
        files[file.path] = bytes(received[position : position + file.size])
        position += file.size
    if program_digest(files.items()) != request.rules.program:
        raise StagingError("the files do not match the program's digest")
    return files


class Stage:
    """The staged trainings of one node: `<node>/trainings/<T>/` with request, program and the program's folders."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def folder(self, training: str) -> Path:
        """The folder of one training."""
        return self.directory / training

    def store(self, request: StageRequest, files: dict[str, bytes]) -> None:
        """Write the program, then the request: a training with a request on disk is wholly staged."""
        folder = self.folder(request.training)
        part = folder / ".program.part"
        shutil.rmtree(part, ignore_errors=True)
        for path, content in files.items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        shutil.rmtree(folder / "program", ignore_errors=True)
        part.rename(folder / "program")
        for name in ("model", "scratch", "checkpoints", "state"):
            (folder / name).mkdir(exist_ok=True)
        # Values of -e may be secrets of the user: for the owner's eyes only.
        write_text(folder / "request.json", request.model_dump_json(), mode=0o600)

    def check(self, request: StageRequest) -> None:
        """Raise `StagingError` unless the program's files on disk are still those that were sent."""
        folder = self.folder(request.training) / "program"
        try:
            files = [(file.path, (folder / file.path).read_bytes()) for file in request.files]
        except OSError as error:
            raise StagingError(f"the program of {request.training} cannot be read: {error}") from error
        if program_digest(files) != request.rules.program:
            raise StagingError(f"the program of {request.training} was changed in {folder}")

    def request(self, training: str) -> StageRequest | None:
        """The request of a staged training, or None."""
        try:
            return parse_request((self.folder(training) / "request.json").read_bytes())
        except FileNotFoundError:
            return None

    def trainings(self) -> list[str]:
        """Ids of all staged trainings."""
        if not self.directory.is_dir():
            return []
        return sorted(path.parent.name for path in self.directory.glob("*/request.json"))

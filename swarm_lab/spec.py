"""What a user writes: the description of a swarm (YAML or arguments) and of a training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarm_lab.errors import BadSpec, UsageError
from swarm_lab.facts.paths import check_name
from swarm_lab.facts.swarm import Host
from swarm_lab.nodes.config import Framework

DEFAULT_NAME = "swarm"
# Those of `rounds.merge.METHODS`; here without importing numpy.
MERGE_METHODS = ("mean", "coordmedian", "geomedian")

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The link's own; a value given by -e would make a program talk to nobody.
_RESERVED = frozenset({"SWARM_LINK", "SWARM_SEED", "SWARM_STATE_DIR", "DATA_DIR", "MODEL_DIR", "SCRATCH_DIR"})

Model = TypeVar("Model", bound=BaseModel)


class SwarmSpec(BaseModel):
    """A whole swarm. `sn` counts the sentinel; `svid_ttl` is the life of an identity in seconds.

    `hosts` has the nodes, by name, that do not listen on loopback.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str = DEFAULT_NAME
    sl: Annotated[int, Field(ge=1, le=64)] = 4
    sn: Annotated[int, Field(ge=1, le=16)] = 2
    framework: Framework | None = None
    cold: bool = False
    svid_ttl: Annotated[int, Field(ge=10, le=86400)] | None = None
    options: dict[str, str] = Field(default_factory=dict)
    hosts: dict[str, Host] = Field(default_factory=dict)

    @property
    def node_options(self) -> dict[str, str]:
        """What every node is given beside its addresses."""
        life = {} if self.svid_ttl is None else {"svid_ttl": str(self.svid_ttl)}
        return {**self.options, **life}

    def write(self, path: Path) -> None:
        """Write `spec.yaml`."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=False), "utf-8")


class TrainingSpec(BaseModel):
    """A training as it was asked for; `min_peers` None is a majority of the seats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    program: Path
    data: Path | None = None
    sync: Annotated[int, Field(ge=1)] = 16
    min_peers: Annotated[int, Field(ge=1)] | None = None
    merge: str = "mean"
    wire: Literal["float32", "bf16", "fp16"] = "float32"
    adaptive: bool = False
    early_stopping: Annotated[int, Field(ge=0, lt=2**32)] = 0
    end_rule: Literal["all", "min_peers"] = "all"
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    files: tuple[Path, ...] = ()
    requirements: Path | None = None
    nodes: tuple[str, ...] = ()
    checkpoints: Annotated[int, Field(ge=1, le=1000)] = 3
    args: tuple[str, ...] = ()

    def peers(self, seats: int) -> int:
        """The least number of nodes in a round; raises `UsageError` when there are fewer seats."""
        if self.min_peers is None:
            return seats // 2 + 1
        if self.min_peers > seats:
            raise UsageError(
                f"--min-peers {self.min_peers} is more than the {seats} seats of this training",
                next_step=f"give --min-peers {seats} at most, or `swarm-lab add sl`",
            )
        return self.min_peers

    def check_merge(self) -> str:
        """The merge method; raises `UsageError` for one that this version does not have."""
        if self.merge not in MERGE_METHODS:
            raise UsageError(
                f"there is no merge method {self.merge!r}",
                next_step=f"give one of: {', '.join(MERGE_METHODS)}",
            )
        return self.merge


def read_spec(path: Path) -> SwarmSpec:
    """Read a swarm's YAML file; raises `BadSpec` naming the field."""
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise BadSpec(f"{path} cannot be read: {error.strerror}", next_step="give the path of a file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSpec(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise BadSpec(f"{path} is not a mapping of fields")
    spec = checked(SwarmSpec, found, str(path))
    check_name(spec.name)
    return spec


def checked(model: type[Model], values: dict[str, object], where: str) -> Model:
    """Make a model, with its errors in words: raises `BadSpec` naming the first field that does not fit."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadSpec(f"{where}: {field}: {first['msg']}") from error


def read_env(pairs: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` pairs as a mapping; raises `UsageError` for another form or a name that is the link's own."""
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or _KEY.fullmatch(key) is None:
            raise UsageError(f"-e {pair!r} is not KEY=VALUE")
        if key in _RESERVED or key.startswith("SWARM_LAB_"):
            raise UsageError(f"-e {key}=... cannot be set: the node sets it itself")
        found[key] = value
    return found

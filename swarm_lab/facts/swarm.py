"""What a swarm was resolved to: `swarm.json`, written by `up` and read by everything that attaches."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarm_lab.errors import NoSuchSwarm, OtherVersion
from swarm_lab.facts.paths import SwarmPaths, swarms_root
from swarm_lab.facts.state import write_json

SWARM_VERSION = 1

LOCAL = "local"
NodeKind = Literal["license", "identity", "chain", "sentinel", "sn", "sl", "seats"]


class Host(BaseModel):
    """Where a node listens, when that is not loopback: an address, and the network namespace that has it.

    Without `netns`, a name below `/run/netns`, the address is this machine's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: IPv4Address
    netns: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")] | None = None


class NodeFacts(BaseModel):
    """A node as it was placed. `address` is `host:port`, empty for one that listens on a socket file.

    `host` is the network namespace of this machine that it runs in; `LOCAL` where that is everybody's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: NodeKind
    address: str = ""
    host: str = LOCAL


class SwarmFacts(BaseModel):
    """A swarm as it was resolved. A swarm that is started again keeps all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str
    trust_domain: str
    run_dir: Path
    framework: Literal["torch", "keras", "sklearn"]
    cold: bool = False
    created: float
    nodes: tuple[NodeFacts, ...]
    options: dict[str, str] = Field(default_factory=dict)

    def named(self, name: str) -> NodeFacts | None:
        """The node called so."""
        return next((node for node in self.nodes if node.name == name), None)

    def of_kind(self, *kinds: str) -> tuple[NodeFacts, ...]:
        """The nodes of these kinds, in name order as people count: sl-2 before sl-10."""
        return tuple(sorted((n for n in self.nodes if n.kind in kinds), key=lambda n: natural(n.name)))

    @property
    def seats(self) -> list[str]:
        """The names of the nodes that learn."""
        return [node.name for node in self.of_kind("sl")]

    @property
    def network(self) -> dict[str, str]:
        """Each SN's address by name, the sentinel first."""
        return {node.name: node.address for node in (*self.of_kind("sentinel"), *self.of_kind("sn"))}

    @property
    def ports(self) -> dict[str, str]:
        """The addresses that the swarm's nodes listen on."""
        return {node.name: node.address for node in self.nodes if node.address}

    def write(self, paths: SwarmPaths) -> None:
        """Replace `swarm.json`."""
        write_json(paths.swarm, self.model_dump(mode="json"))


def natural(name: str) -> tuple[str, int]:
    """Sorts `sl-10` after `sl-2`."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def read_swarm(paths: SwarmPaths) -> SwarmFacts:
    """Read `swarm.json`; raises `NoSuchSwarm`, or `OtherVersion` for a file of another version."""
    try:
        text = paths.swarm.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchSwarm(f"there is no swarm {paths.name!r}") from None
    try:
        return SwarmFacts.model_validate_json(text)
    except ValidationError as error:
        version = _version(text)
        if version != SWARM_VERSION:
            raise OtherVersion(f"{paths.swarm} has version {version}, this package reads 1") from error
        raise OtherVersion(f"{paths.swarm} cannot be read: {error.errors()[0]['msg']}") from error


def swarm_names() -> list[str]:
    """The names of this user's swarms, running or not."""
    return sorted(path.parent.name for path in swarms_root().glob("*/swarm.json"))


def _version(text: str) -> object:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    return found.get("version") if isinstance(found, dict) else None

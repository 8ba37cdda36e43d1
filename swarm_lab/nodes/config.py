"""What a node's main program is given: one JSON file, written by whoever provisions the node."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from swarm_lab.identity.ids import SpiffeId

CONFIG_VERSION = 1

Kind = Literal["license", "identity", "chain", "sentinel", "sn", "sl", "seats", "swci"]
Framework = Literal["torch", "keras", "sklearn"]

ROLES: dict[str, str] = {
    "license": "license",
    "identity": "identity",
    "sentinel": "sn",
    "sn": "sn",
    "sl": "sl",
    "swci": "swci",
}


class NodeConfig(BaseModel):
    """Everything a node knows before it talks to anybody.

    `directory` is the node's own; `swarm_dir` holds the swarm's facts; sockets lie in `run_dir`, whose path is short
    because a Unix socket's may have 108 bytes at most. `network` maps each SN's name to its address, `host:port`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    swarm: str
    name: str
    kind: Kind
    trust_domain: str
    directory: Path
    swarm_dir: Path
    run_dir: Path
    address: str = ""
    sentinel: str = "sentinel"
    network: dict[str, str] = Field(default_factory=dict)
    license_address: str = ""
    chain_url: str = ""
    framework: Framework = "torch"
    options: dict[str, str] = Field(default_factory=dict)

    @property
    def workload_socket(self) -> Path:
        """Where nodes fetch their SVID."""
        return self.run_dir / "workload.sock"

    @property
    def operator_socket(self) -> Path:
        """Where the owner of the swarm fetches the SVID with the role `swci`."""
        return self.run_dir / "operator.sock"

    @property
    def spiffe_id(self) -> SpiffeId:
        """The identity that this node must be given."""
        return SpiffeId(self.trust_domain, ROLES[self.kind], self.name)

    def peer_id(self, role: str, name: str) -> SpiffeId:
        """The identity of another node of this trust domain."""
        return SpiffeId(self.trust_domain, role, name)

    @classmethod
    def read(cls, path: Path) -> NodeConfig:
        """Read `config.json`; raises pydantic's `ValidationError` on another version or unknown fields."""
        return cls.model_validate_json(path.read_text("utf-8"))

    def write(self) -> Path:
        """Write `config.json` into the node's directory, readable by its owner only."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "config.json"
        path.touch(mode=0o600)
        path.write_text(self.model_dump_json(indent=1), "utf-8")
        return path

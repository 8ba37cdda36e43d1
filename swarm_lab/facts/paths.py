"""Where a swarm's facts lie: a directory under the user's data directory, and a short one for its sockets."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from swarm_lab.errors import BadName, UnsafeDirectory

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")
# A Unix socket's path may have 104 bytes on macOS and 108 on Linux; supervisor appends its pid while it binds.
_RUN_DIR_LIMIT = 60


def swarms_root() -> Path:
    """The directory of all swarms of this user; `XDG_DATA_HOME` moves it."""
    return platformdirs.user_data_path("swarm-lab") / "swarms"


def check_name(name: str) -> str:
    """Return `name` if a swarm may have it, else raise `BadName`: it becomes part of DNS names."""
    if not is_name(name):
        raise BadName(f"{name[:80]!r} cannot name a swarm")
    return name


def is_name(name: str) -> bool:
    """Whether a swarm may have it."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class SwarmPaths:
    """The files of one swarm. Nothing here touches the disk."""

    root: Path

    @classmethod
    def of(cls, name: str) -> SwarmPaths:
        """The paths of the swarm called `name`, whether it exists or not."""
        return cls(swarms_root() / check_name(name))

    @property
    def name(self) -> str:
        """The swarm's name."""
        return self.root.name

    @property
    def spec(self) -> Path:
        """What the user asked for."""
        return self.root / "spec.yaml"

    @property
    def swarm(self) -> Path:
        """What it was resolved to: nodes, addresses, run directory."""
        return self.root / "swarm.json"

    @property
    def events(self) -> Path:
        """The facts, one object a line."""
        return self.root / "events.jsonl"

    @property
    def nodes(self) -> Path:
        """The directory of the nodes' directories."""
        return self.root / "nodes"

    def node(self, name: str) -> Path:
        """The directory of one node."""
        return self.nodes / name

    def config(self, node: str) -> Path:
        """The input of a node's main program."""
        return self.node(node) / "config.json"

    def state(self, node: str) -> Path:
        """What a node says of itself."""
        return self.node(node) / "state.json"

    def process(self, node: str) -> Path:
        """The process that a node is: pid and start time."""
        return self.node(node) / "process.json"

    def log(self, node: str) -> Path:
        """A node's structured log."""
        return self.node(node) / "log.jsonl"

    def training(self, training: str) -> Path:
        """The directory of what is known of a training beside the nodes' own."""
        return self.root / "trainings" / training

    def model(self, node: str, training: str) -> Path:
        """A node's final model of a training."""
        return self.node(node) / "trainings" / training / "model.safetensors"


def run_dir_of(swarm_dir: Path) -> Path:
    """The directory for a swarm's sockets: `$TMPDIR/swl-<uid>/<8 hex>`, in `/tmp` where that is too long."""
    key = hashlib.sha256(str(swarm_dir.absolute()).encode()).hexdigest()[:8]
    here = Path(tempfile.gettempdir()) / f"swl-{os.getuid()}" / key
    if len(os.fsencode(here)) > _RUN_DIR_LIMIT:
        here = Path("/tmp") / f"swl-{os.getuid()}" / key  # noqa: S108 - checked for its owner by make_private
    return here


def make_private(path: Path) -> Path:
    """Make `path` and its parent as 0700 of this user; raises `UnsafeDirectory` when another user owns one."""
    for part in (path.parent, path):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = part.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UnsafeDirectory(f"{part} exists and is not a directory of yours")
        if stat.S_IMODE(found.st_mode) != 0o700:
            part.chmod(0o700)
    return path

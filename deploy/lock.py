"""Makes `deploy/requirements-*.txt` from pyproject.toml: versions and hashes for every platform, no addresses.

Run by `make lock`. The set `dev` is made first and constrains the others, so that all agree and `.venv` can grow
from a demo's to a developer's without replacing anything.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from environment import DEPLOY, ROOT, VENV, is_torch
from packaging.markers import Marker
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

# What builds the project itself, without a network once the lock is installed.
BUILD = ["editables", "hatchling", "jupyter-builder", "uv"]
SETS = {
    "dev": ["torch", "keras", "huggingface", "sklearn", "notebook", "lab", "dev"],
    "torch": ["torch", "notebook", "lab"],
    "keras": ["keras", "notebook", "lab"],
}
PYTHON = "3.11"


def main() -> int:
    """Write the three locks and the one for uv."""
    with tempfile.TemporaryDirectory() as scratch:
        build = Path(scratch) / "build.in"
        build.write_text("\n".join(BUILD) + "\n", "utf-8")
        constraint: list[str] = []
        for name, extras in SETS.items():
            sources = [str(ROOT / "pyproject.toml"), str(build), *constraint]
            sources += [part for extra in extras for part in ("--extra", extra)]
            path = DEPLOY / f"requirements-{name}.txt"
            path.write_text(_size_line(sources, Path(scratch)) + _compile(sources, scratch), "utf-8")
            constraint = ["-c", str(DEPLOY / "requirements-dev.txt")]
            print(f"wrote {path.relative_to(ROOT)}: {path.read_text('utf-8').splitlines()[0][2:]}")
        only_uv = Path(scratch) / "uv.in"
        only_uv.write_text("uv\n", "utf-8")
        (DEPLOY / "requirements-uv.txt").write_text(_compile([str(only_uv), *constraint], scratch), "utf-8")
    return 0


def _compile(sources: list[str], scratch: str) -> str:
    output = Path(scratch) / "lock.txt"
    output.unlink(missing_ok=True)
    clean = ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    clean += ["--no-emit-find-links"]
    _uv(*sources, *clean, "-o", str(output))
    return output.read_text("utf-8")


def _size_line(sources: list[str], scratch: Path) -> str:
    """The first line of a lock: megabytes that this kind of machine downloads with an empty cache."""
    output = scratch / "pylock.toml"  # has sizes and, beside them, addresses: it is not kept
    output.unlink(missing_ok=True)
    _uv(*sources, "--format", "pylock.toml", "-o", str(output))
    total = cuda = 0
    order = {tag: index for index, tag in enumerate(sys_tags())}
    for package in tomllib.loads(output.read_text("utf-8"))["packages"]:
        if "marker" in package and not Marker(package["marker"]).evaluate():
            continue
        fitting = []
        for wheel in package.get("wheels", []):
            tags = parse_wheel_filename(wheel["url"].rsplit("/", 1)[1])[3]
            ranks = [order[tag] for tag in tags if tag in order]
            if ranks:
                fitting.append((min(ranks), wheel["size"]))
        size = min(fitting)[1] if fitting else package.get("sdist", {"size": 0})["size"]
        total += size
        cuda += size if is_torch(package["name"]) else 0
    return f"# download: {total // 10**6} MB, of which PyTorch with CUDA {cuda // 10**6} MB\n"


def _uv(*arguments: str) -> None:
    command = [str(VENV / "bin" / "uv"), "pip", "compile", "--quiet", "--universal", "--upgrade"]
    subprocess.run([*command, "--python-version", PYTHON, *arguments], check=True, cwd=ROOT, timeout=600)


if __name__ == "__main__":
    sys.exit(main())

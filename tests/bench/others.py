"""Other systems, each in an environment of its own that uv makes in the user's cache; versions are pinned by name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

LIMIT_S = 900.0
PINS: dict[str, tuple[str, ...]] = {"hivemind": ("hivemind==1.1.12", "torch==2.13.0", "numpy==2.4.6")}


class NotInstalled(Exception):
    """A system that cannot be installed here; its text says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A system's own Python and the script that is a peer of it."""

    label: str
    python: Path
    peer: Path


def prepare(system: str) -> Environment:
    """The environment of a system, made at its first use; raises `NotInstalled`."""
    if system not in PINS:
        raise NotInstalled(f"there is no bench for {system!r}; there is one for {', '.join(PINS)}")
    pins = PINS[system]
    folder = platformdirs.user_cache_path("swarm-lab") / "bench" / pins[0].replace("==", "-")
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    whole = folder / "installed.txt"
    if not whole.exists() or whole.read_text("utf-8") != "\n".join(pins):
        folder.parent.mkdir(parents=True, exist_ok=True)
        uv = _uv()
        _run(system, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run(system, [uv, "pip", "install", "--quiet", "--python", str(python), *pins])
        _run(system, [str(python), "-c", f"import {system}"])
        whole.write_text("\n".join(pins), "utf-8")
    return Environment(pins[0].replace("==", " "), python, Path(__file__).with_name(f"{system}_peer.py"))


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise NotInstalled("uv is not here: `make dev` installs it")
    return found


def _run(system: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{system} cannot be installed: {error}") from error
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise NotInstalled(f"{system} cannot be installed: {' '.join(said[-3:])[-300:] or done.returncode}")

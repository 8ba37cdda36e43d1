"""Makes `.venv` with swarm-lab and its pinned dependencies in it; run by `make` with any Python 3.11 or newer.

Needs nothing but the standard library: it puts `uv` into `.venv` by pip and lets it install what
`deploy/requirements-*.txt` lock, hashes checked. A stamp in `.venv` says what is there, so that a second call
ends at once.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
VENV = ROOT / ".venv"
STAMP = VENV / "swarm-lab.json"
UV_LIMIT_S = 3600
PROBE_LIMIT_S = 40


class CannotMakeEnvironment(Exception):
    """The reason, with what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make or reuse `.venv`; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=("torch", "keras", "dev"), help="a framework, or all for tests")
    parser.add_argument("--torch-backend", default="auto", help="as of uv, or `pypi` for PyPI's build")
    options = parser.parse_args(arguments)
    try:
        if installed := _reusable(options.set):
            print(f"Reusing .venv: {installed} is installed as locked; nothing to download.")
            return 0
        began = time.monotonic()
        _make(options.set, options.torch_backend)
        print(f"Made .venv for {options.set} in {time.monotonic() - began:.0f} s.")
    except CannotMakeEnvironment as error:
        print(f"No environment: {error}", file=sys.stderr)
        return 1
    return 0


def _make(wanted: str, torch_backend: str) -> None:
    _make_venv()
    uv = _bootstrap_uv()
    lock = DEPLOY / f"requirements-{wanted}.txt"
    print(f"Installing {wanted} into .venv, as locked in {lock.relative_to(ROOT)}.", flush=True)
    backend = _torch_backend(uv, lock, torch_backend)
    _announce(uv, lock, backend)
    if backend is None:
        _uv(uv, "pip", "install", "--require-hashes", "-r", str(lock))
    else:
        _install_with_torch_index(uv, lock, backend)
    # hatchling and editables are in the lock: nothing is fetched to build the project itself.
    _uv(uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    _write_stamp(wanted)


def _make_venv() -> None:
    if (VENV / "bin" / "python").exists():
        return
    if not importlib.util.find_spec("ensurepip") or not importlib.util.find_spec("venv"):
        raise CannotMakeEnvironment(
            f"{sys.executable} comes without `venv` and `ensurepip`, which make .venv. "
            "Install them (Debian and Ubuntu: `apt install python3-venv`) or name another Python: "
            "`make env PYTHON=/path/to/python3`."
        )
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode:
        raise CannotMakeEnvironment(f"`{sys.executable} -m venv .venv` failed; its words are above.")


def _bootstrap_uv() -> Path:
    """The pinned uv in `.venv`, put there by pip: it does in a minute what takes pip ten."""
    uv, python = VENV / "bin" / "uv", str(VENV / "bin" / "python")
    if uv.exists():
        return uv
    print("Fetching uv, the installer (about 25 MB).", flush=True)
    subprocess.run([python, "-m", "ensurepip"], check=False, capture_output=True, timeout=300)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run([*pip, "-r", str(DEPLOY / "requirements-uv.txt")], check=False, timeout=UV_LIMIT_S)
    if done.returncode:
        raise CannotMakeEnvironment("pip could not fetch uv; its words are above. Is there a package index?")
    return uv


def _torch_backend(uv: Path, lock: Path, wanted: str) -> str | None:
    """The torch backend to ask uv for; None for PyPI's build, which is pinned by hash.

    PyPI's build for Linux is the one with CUDA; PyTorch's own index has smaller ones, where it can be reached.
    """
    version = locked_version(lock.read_text("utf-8"), "torch")
    if version is None or wanted == "pypi" or platform.system() != "Linux":
        return None
    installed = _run_uv(uv, "pip", "list", "--format", "json").stdout
    if any(entry["name"] == "torch" for entry in json.loads(installed or "[]")):
        return None if _has_pypi_build() else wanted
    probe = ["pip", "install", "--dry-run", "--no-deps", f"--torch-backend={wanted}", f"torch=={version}"]
    quick = {"UV_HTTP_TIMEOUT": "8", "UV_HTTP_CONNECT_TIMEOUT": "8", "UV_HTTP_RETRIES": "0"}
    try:
        answer = _run_uv(uv, *probe, limit_s=PROBE_LIMIT_S, **quick)
    except subprocess.TimeoutExpired:
        answer = None
    if answer is not None and answer.returncode == 0:
        return wanted
    if wanted != "auto":
        raise CannotMakeEnvironment(f"PyTorch's index does not give torch {version} for {wanted}.")
    print("PyTorch's own index cannot be reached: taking PyPI's build, which carries CUDA.")
    return None


def _has_pypi_build() -> bool:
    """Whether the torch in `.venv` is PyPI's: its version has no `+cpu` or the like."""
    return not any("+" in path.name for path in VENV.glob("lib/python*/site-packages/torch-*.dist-info"))


def _announce(uv: Path, lock: Path, backend: str | None) -> None:
    """Say how much will be downloaded, before anything is; raises if the disk cannot hold it."""
    total, cuda = download_size(lock.read_text("utf-8"))
    dry = _run_uv(uv, "pip", "install", "--dry-run", "-r", str(lock)).stderr
    if backend is None:
        found = re.search(r"Would download (\d+) package", dry)
        count = int(found.group(1)) if found else 0
        of_it = f", {cuda / 1000:.1f} GB of it PyTorch with CUDA (5 GB on disk)" if cuda else ""
        size = f"{total / 1000:.1f} GB{of_it}"
    else:
        count = 1
        size = f"{(total - cuda) / 1000:.1f} GB and PyTorch's build for this machine (0.2 GB for the CPU)"
    if count == 0:
        print("To download: nothing, all of it is in uv's cache.", flush=True)
    else:
        packages = f"{count} package{'s' * (count > 1)}" if backend is None else "what uv's cache lacks"
        print(f"To download: {packages}; the whole set is {size}.", flush=True)
    free = shutil.disk_usage(VENV).free / 1e6
    if "Would install" in dry and free < 2 * total:
        raise CannotMakeEnvironment(
            f"{free / 1000:.1f} GB are free on the disk of .venv; {2 * total / 1000:.0f} are needed."
        )


def _install_with_torch_index(uv: Path, lock: Path, backend: str) -> None:
    """All but PyTorch by hash; PyTorch of the locked version from its own index, whose builds have other hashes."""
    text = lock.read_text("utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        rest = Path(scratch) / "requirements.txt"
        rest.write_text(without_torch(text), "utf-8")
        _uv(uv, "pip", "install", "--no-deps", "--require-hashes", "-r", str(rest))
    _uv(uv, "pip", "install", f"--torch-backend={backend}", f"torch=={locked_version(text, 'torch')}")


def _uv(uv: Path, *arguments: str) -> None:
    """Run uv in sight of the user, less its list of everything that was installed."""
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    live = sys.stderr.isatty()  # then it draws progress bars, which a pipe would take away
    words = None if live else subprocess.PIPE
    with subprocess.Popen([uv, *arguments], env=environment, cwd=ROOT, stderr=words, text=True) as process:
        for line in process.stderr or ():
            if not line.startswith((" + ", " - ", " ~ ")):
                print(line, end="", file=sys.stderr, flush=True)
        code = process.wait(timeout=UV_LIMIT_S)
    if code:
        raise CannotMakeEnvironment(
            "uv did not end well; its words are above. What it has fetched is kept: call again."
        )


def _run_uv(
    uv: Path, *arguments: str, limit_s: float = UV_LIMIT_S, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), **environment}
    return subprocess.run(
        [uv, *arguments], check=False, env=env, cwd=ROOT, timeout=limit_s, capture_output=True, text=True
    )


# --- the lock files ---------------------------------------------------------------------------------------


def blocks(lock: str) -> list[str]:
    """The lock's entries, each with its lines of hashes."""
    return re.findall(r"^[A-Za-z0-9][^\n]*(?:\n[ \t][^\n]*)*\n?", lock, re.MULTILINE)


def name_of(block: str) -> str:
    """The package that an entry of a lock is about."""
    return re.split(r"[=<>;\[ ]", block, maxsplit=1)[0]


def is_torch(name: str) -> bool:
    """Whether a package comes with PyTorch's build for one kind of machine."""
    return name in {"torch", "triton"} or name.startswith(("nvidia-", "cuda-"))


def without_torch(lock: str) -> str:
    """The lock without PyTorch and the CUDA libraries of PyPI's build."""
    return "".join(block for block in blocks(lock) if not is_torch(name_of(block)))


def locked_version(lock: str, package: str) -> str | None:
    """The version that the lock pins; None if it does not have the package."""
    found = re.search(rf"^{re.escape(package)}==([^ ;\\\n]+)", lock, re.MULTILINE)
    return found.group(1) if found else None


def download_size(lock: str) -> tuple[int, int]:
    """Megabytes to download on Linux x86-64, and how many of them are PyTorch with CUDA, from the first line."""
    found = re.match(r"# download: (\d+) MB, of which PyTorch with CUDA (\d+) MB", lock)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


# --- what is installed ------------------------------------------------------------------------------------


def digest_of(wanted: str) -> str:
    """What a stamp is compared with: it changes with the lock, with pyproject.toml and with Python's version."""
    parts = [DEPLOY / f"requirements-{wanted}.txt", ROOT / "pyproject.toml"]
    text = b"".join(path.read_bytes() for path in parts) + _python_of_venv().encode()
    return hashlib.sha256(text).hexdigest()


def _python_of_venv() -> str:
    config = VENV / "pyvenv.cfg"
    return config.read_text("utf-8") if config.exists() else ""


def _stamps() -> dict[str, str]:
    try:
        stamps: dict[str, str] = json.loads(STAMP.read_text("utf-8"))
        return stamps
    except (OSError, ValueError):
        return {}


def _reusable(wanted: str) -> str | None:
    """The set in `.venv` that has all of `wanted`; None if there is none."""
    if not (VENV / "bin" / "python").exists():
        return None
    stamps = _stamps()
    return next((name for name in (wanted, "dev") if stamps.get(name) == digest_of(name)), None)


def _write_stamp(wanted: str) -> None:
    current = {name: digest for name, digest in _stamps().items() if digest == digest_of(name)}
    STAMP.write_text(json.dumps({**current, wanted: digest_of(wanted)}, indent=1), "utf-8")


if __name__ == "__main__":
    sys.exit(main())

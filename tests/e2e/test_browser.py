"""The browser tests: specs in TypeScript, run by Playwright on a real JupyterLab and a real swarm.

`PICTURES=docs/pictures` has them write the README's pictures as well. What Playwright is made of (0.6 GB) lies in the
user's cache, by the digest of `yarn.lock`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import platformdirs
import pytest

from swarm_lab.facts.swarm import swarm_names
from swarm_lab.swarm import Swarm
from tests.support.ports import free_port

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
INSTALL_S = 600
SUITE_S = 1200
LINES = 150


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Swarms, notebooks and logs of the suite; whatever it left running is ended."""
    folder = Path(tempfile.mkdtemp(prefix="swl-e-", dir="/tmp"))  # short, for Unix sockets
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    yield folder
    for name in swarm_names():
        Swarm.attach(name).down()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + SUITE_S + 100)
def test_the_lab_in_a_browser(home: Path, need: Callable[..., None], tmp_path: Path) -> None:
    need("node", "chromium", "anvil", "front end", "python:jupyterlab", "python:sklearn", "python:anywidget")
    environment = suite_environment(home, tmp_path / "results")
    install(environment)
    if pictures := os.environ.get("PICTURES"):
        environment["PICTURES"] = str(Path(pictures).absolute())
    command = [str(HERE / "node_modules" / ".bin" / "playwright"), "test"]
    done = run(command, environment, SUITE_S)
    server = (home / "server.log").read_text("utf-8", "replace") if (home / "server.log").exists() else ""
    assert done.returncode == 0, f"{tail(done.stdout)}\n--- the server's last words\n{tail(server, 30)}"


def suite_environment(home: Path, results: Path) -> dict[str, str]:
    """What `playwright.config.js` and `server.ts` read."""
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "CHROMIUM": str(shutil.which("chromium")),
        "SWARM_LAB_HOME": str(home),
        "SWARM_LAB_PORT": str(free_port()),
        "SWARM_LAB_RESULTS": str(results),
    }


def install(environment: dict[str, str]) -> None:
    """Playwright and galata, once for each lock; `node_modules` here is a link to them."""
    lock = (HERE / "yarn.lock").read_bytes()
    home = platformdirs.user_cache_path("swarm-lab") / "browser-tests" / hashlib.sha256(lock).hexdigest()[:16]
    home.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(home.with_suffix(".lock"), timeout=INSTALL_S):
        if not (home / "whole").exists():
            home.mkdir(exist_ok=True)
            for name in ("package.json", "yarn.lock", ".yarnrc.yml"):
                shutil.copyfile(HERE / name, home / name)
            command = [str(BIN / "jlpm"), "install", "--immutable"]
            done = run(command, {**environment, "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}, INSTALL_S, cwd=home)
            assert done.returncode == 0, tail(done.stdout)
            (home / "whole").touch()
    link = HERE / "node_modules"
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(home / "node_modules")


def run(
    command: list[str], environment: dict[str, str], limit_s: float, cwd: Path = HERE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_s,
        check=False,
    )


def tail(text: str, lines: int = LINES) -> str:
    return "\n".join(text.splitlines()[-lines:])

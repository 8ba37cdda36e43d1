"""One session of tests: a data directory of its own, marks by folder, `need`, and nothing left running at its end."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # what tests share: parts.py, leftovers.py

import leftovers
import parts

MARKS = {
    "unit": "no process, no network, no waiting",
    "integration": "starts real processes",
    "faults": "kills, cuts or spoils something on purpose",
    "conformance(*ids, different=None)": "shows the IDs of docs/conformance.md; `different`: what ours does instead",
    "e2e": "uses JupyterLab in a browser",
    "package": "builds the wheel and uses it outside the repository",
    "slow": "takes more than a few seconds",
}

hypothesis.settings.register_profile("swarm-lab", deadline=None, print_blob=True)
hypothesis.settings.load_profile("swarm-lab")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The fault matrix, whose conftest is found too late to have options."""
    group = parser.getgroup("fault matrix")
    group.addoption("--whole-matrix", action="store_true", help="all rows, not one of each kind")
    group.addoption("--long", action="store_true", help="also the rows that take more than ten minutes")
    group.addoption("--chances", metavar="FIRST:COUNT", default="1:0", help="seeds of faults by chance")
    group.addoption("--matrix-table", metavar="PATH", help="write the table as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Give this process a data directory; the first process of the session also gives the session its token."""
    for name, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if leftovers.TOKEN not in os.environ:
        os.environ[leftovers.TOKEN] = secrets.token_hex(8)
        # Short, as Unix sockets may end up below it; /tmp, as macOS's own temporary folder has a long path.
        os.environ["SWARM_LAB_TEST_HOME"] = tempfile.mkdtemp(prefix="swl-t-", dir="/tmp")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    data_home = _home() / worker
    data_home.mkdir(exist_ok=True)
    (_home() / f"{worker}.pid").write_text(str(os.getpid()))
    os.environ["XDG_DATA_HOME"] = str(data_home)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder below `tests/` that it lies in; the quick ones go first, the wheel last."""
    root = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(root).parts[0] if item.path.is_relative_to(root) else ""
        if folder == "conformance":
            item.add_marker("integration")
        elif folder in MARKS:
            item.add_marker(folder)
    order = ("package", "e2e", "faults", "integration", "unit")
    items.sort(
        key=lambda item: -max((order.index(mark.name) for mark in item.iter_markers() if mark.name in order), default=0)
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if a process that a test started still runs; end it."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    workers = {int(path.read_text()) for path in _home().glob("*.pid")}
    left = leftovers.leftovers(os.environ[leftovers.TOKEN], _home(), spared=workers)
    if left:
        lines = "\n".join(f"  {leftovers.describe(process)}" for process in left)
        print(f"\nERROR: the tests left {len(left)} process(es) running, ended now:\n{lines}", file=sys.stderr)
        leftovers.end(left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure() -> None:
    """Remove the session's data directory."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(_home(), ignore_errors=True)


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """`need("npm", "python:torch")`: skip (in CI: fail) the test if a part is missing."""
    return parts.need


def _home() -> Path:
    return Path(os.environ["SWARM_LAB_TEST_HOME"])

"""The fault matrix: which rows are done, the swarm that they share, and the table at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import parts
import pytest
from support import hosts
from support.hurts import Row, all_rows
from support.matrix import Outcome, table, write
from support.wards import Ward, ward

OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each row that this session does, and for each seed of faults by chance."""
    if "seed" in metafunc.fixturenames:
        seeds = [pytest.param(seed, marks=pytest.mark.timeout(600)) for seed in _chances(metafunc.config)]
        metafunc.parametrize("seed", seeds)
    if "row" not in metafunc.fixturenames:
        return
    whole, long = metafunc.config.getoption("--whole-matrix"), metafunc.config.getoption("--long")
    rows = [row for row in all_rows() if (long if row.long else whole or row.quick)]
    metafunc.parametrize("row", [pytest.param(row, id=row.name, marks=_limit(row)) for row in rows])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Faults by chance are asked for."""
    return True if collection_path.name == "test_by_chance.py" and not _chances(config) else None


def _chances(config: pytest.Config) -> range:
    first, count = map(int, config.getoption("--chances").split(":"))
    return range(first, first + count)


def _limit(row: Row) -> pytest.MarkDecorator:
    return pytest.mark.timeout(900 if row.long else 300)


@pytest.fixture(scope="session")
def wards(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., None]) -> Iterator[Callable[[Row], Ward]]:
    """The swarm for a row: one for all, on hosts of their own where this machine can have them."""
    with contextlib.ExitStack() as stack:
        made: list[Ward] = []

        def get(row: Row) -> Ward:
            need("npm", "python:torch", *row.parts)
            if not made:
                network = not any(parts.missing(part) for part in hosts.PARTS)
                made.append(stack.enter_context(ward("ward", tmp_path_factory.mktemp("ward"), 4, network)))
            return made[0]

        yield get


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> list[Outcome]:
    """Where each row puts what it cost."""
    return request.config.stash.setdefault(OUTCOMES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, and write it where the session was told to."""
    found = config.stash.get(OUTCOMES, [])
    if not found:
        return
    terminalreporter.write_sep("=", "fault matrix")
    terminalreporter.write_line(table(found))
    if path := config.getoption("--matrix-table"):
        write(Path(path), found)
        terminalreporter.write_line(f"also in {path}")

"""A warm parent for real programs of a test, and the start of one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from swarm_lab.nodes.config import Framework, NodeConfig
from swarm_lab.nodes.launching import ProgramSpec, Start
from swarm_lab.nodes.program import Program
from swarm_lab.nodes.seats_client import SeatsClient

Lines = list[tuple[str, str]]
NODES = ("-m", "swarm_lab.nodes")


@contextmanager
def warm_seats(
    framework: Framework, command: tuple[str, ...] = NODES, env: Mapping[str, str] | None = None
) -> Iterator[SeatsClient]:
    """Seats in a process of their own; `command` is what the interpreter runs on their configuration."""
    directory = Path(tempfile.mkdtemp(prefix=f"swl-{framework}-", dir="/tmp"))
    config = NodeConfig(
        swarm="t", name="seats", kind="seats", trust_domain="t.swarm", directory=directory / "seats",
        swarm_dir=directory, run_dir=directory, framework=framework,
    )  # fmt: skip
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command, str(config.write())], stderr=log, env=env)
        yield SeatsClient(directory / "seats.sock")
        process.kill()
        process.wait(10)
    shutil.rmtree(directory, ignore_errors=True)


async def launched(
    base: Path, number: int, source: str, framework: Framework, start: Start, variables: Mapping[str, str]
) -> tuple[Program, Lines]:
    """The `number`-th program of a test, from its source; what it prints is in the list."""
    directory = base / f"p{number}"
    directory.mkdir()
    (directory / "program.py").write_text(source)
    spec = ProgramSpec(
        program=directory / "program.py",
        directory=directory,
        link=base / f"{number}.sock",
        output=directory / "output.log",
        record=directory / "process.json",
        framework=framework,
        variables=variables,
        seed=7,
        threads=1,
    )
    lines: Lines = []
    program = await Program.launch(
        spec, start, inherited=os.environ, on_line=lambda stream, text: lines.append((stream, text))
    )
    return program, lines

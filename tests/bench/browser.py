"""What the lab costs a browser: event to pixel, long tasks, heap, size.

`python -m tests.bench.browser [SECONDS [NODES ...]]`

The swarms are files alone, with 1, 10 and 100 nodes or so many; facts are appended, ten a second, for so many seconds
each (600 show whether the heap stays flat). No test asserts a figure.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.machine import facts
from tests.e2e.test_browser import HERE, install, run, suite_environment
from tests.support.paper import Paper

SIZES = (1, 10, 100)


def main(seconds: int = 20, *sizes: int) -> int:
    """Make the swarms, run the spec, print its figures; the exit status."""
    home = Path(tempfile.mkdtemp(prefix="swl-e-", dir="/tmp"))
    os.environ["XDG_DATA_HOME"] = str(home / "data")
    sizes = sizes or SIZES
    try:
        for size in sizes:
            swarm = Paper(f"paper-{size}", size)
            for seat in swarm.seats:
                swarm.says(seat)
            swarm.trains()
        environment = {**suite_environment(home, home / "results"), "FIGURES": str(seconds), "SIZES": json.dumps(sizes)}
        install(environment)
        command = [str(HERE / "node_modules" / ".bin" / "playwright"), "test"]
        done = run(command, environment, len(sizes) * (seconds + 180) + 120)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    found = [line.partition("FIGURE ")[2] for line in done.stdout.splitlines() if "FIGURE " in line]
    print("\n".join([str(facts()), *found]) if done.returncode == 0 else done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

"""`python -m tests.bench` runs, averages rightly and has its fields. How long it takes is nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_small_run_ends_with_one_object(need: Callable[..., None]) -> None:
    need("npm", "python:torch")
    asked = ["--params", "0.1M", "--n", "2", "--rounds", "4", "--systems", "floor,ours", "--json", "--limit", "80"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["average_ok"] is True, found
    assert (found["params"], found["n"]) == (100_000, 2)
    assert found["ratio_to_mtls_floor"] > 0
    assert found["machine"]["cores"] and "load" in found["machine"]
    floor, ours = found["rows"]
    assert (floor["system"], ours["system"]) == ("mTLS floor", "swarm-lab")
    for row in (floor, ours):
        assert row["round_s"] > 0 and row["cold_start_s"] > 0 and row["pss_mb"] > 0, row
        assert {"load_before", "other_cpu_pct", "bytes_per_node", "committed_s", "phases_s"} <= row.keys()
    assert ours["phases_s"], "the phases of a round are read from the nodes' logs"
    assert "| swarm-lab | 0.1M | 2 |" in done.stderr

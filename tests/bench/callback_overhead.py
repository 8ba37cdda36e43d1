"""What the callback costs: a batch without a sync, a sync of a large model, memory of seats and programs.

    python tests/bench/callback_overhead.py [torch|keras]

Prints one JSON object. Goal for `on_batch_end` without a sync: below 50 microseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from swarm_lab.callback.messages import Release
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.launching import ProgramSpec
from swarm_lab.nodes.program import Program
from swarm_lab.nodes.seats_client import SeatsClient

CALLS = 100_000
SIZES = {"1M": 1_000_000, "50M": 50_000_000, "300M (1.2 GB)": 300_000_000}
LIMIT = 300.0

BATCHES = {
    "torch": f"""
import time, torch
from swarm_lab import SwarmCallback
model = torch.nn.Sequential(*[torch.nn.Linear(64, 64) for _ in range(20)])
cb = SwarmCallback(model=model)
cb.on_train_begin()
begun = time.perf_counter()
for _ in range({CALLS}): cb.on_batch_end()
print("us", (time.perf_counter() - begun) / {CALLS} * 1e6, flush=True)
time.sleep(60)
""",
    "keras": f"""
import time, keras
from swarm_lab import SwarmCallback
model = keras.Sequential([keras.layers.Input((64,))] + [keras.layers.Dense(64) for _ in range(20)])
cb = SwarmCallback()
cb.set_model(model); cb.set_params({{}})
cb.on_train_begin()
begun = time.perf_counter()
for i in range({CALLS}): cb.on_batch_end(i, {{"loss": 0.5}})
print("us", (time.perf_counter() - begun) / {CALLS} * 1e6, flush=True)
time.sleep(60)
""",
}
SYNC = """
import os, torch
from swarm_lab import SwarmCallback
model = torch.nn.Module()
model.w = torch.nn.Parameter(torch.zeros(int(os.environ["COUNT"])))
cb = SwarmCallback(model=model)
cb.on_train_begin()
for _ in range(4): cb.on_batch_end()
"""


class Bench:
    """A warm parent and the programs on it."""

    def __init__(self, framework: str) -> None:
        self.framework = framework
        self.directory = Path(tempfile.mkdtemp(prefix="swl-bench-", dir="/tmp"))
        config = NodeConfig(
            swarm="b", name="seats", kind="seats", trust_domain="b.swarm", directory=self.directory / "seats",
            swarm_dir=self.directory, run_dir=self.directory, framework=framework,
        )  # fmt: skip
        self.seats = subprocess.Popen(
            [sys.executable, "-m", "swarm_lab.nodes", str(config.write())], stderr=subprocess.DEVNULL
        )
        self.client = SeatsClient(self.directory / "seats.sock")
        self.number = 0

    async def launch(self, source: str, lines: list[str], **variables: str) -> Program:
        self.number += 1
        place = self.directory / str(self.number)
        place.mkdir()
        (place / "p.py").write_text(source)
        spec = ProgramSpec(
            place / "p.py", place, self.directory / f"{self.number}.sock", place / "out", place / "pid.json",
            self.framework, variables=variables, threads=1,
        )  # fmt: skip
        program = await Program.launch(spec, self.client.start, on_line=lambda stream, text: lines.append(text))
        await program.hello(LIMIT)
        return program

    async def overhead(self, count: int) -> dict[str, object]:
        """Microseconds a call, and PSS of the programs and of their parent, in MB."""
        lines: list[str] = []
        programs = [await self.launch(BATCHES[self.framework], lines) for _ in range(count)]
        for program in programs:
            await program.welcome(interval=10**9)
            await program.parked()
            await program.release(Release(model=False))
        while len([line for line in lines if line.startswith("us")]) < count:
            await asyncio.sleep(0.05)
        found: dict[str, object] = {
            "on_batch_end_us": [round(float(line.split()[1]), 2) for line in lines if line.startswith("us")],
            "program_pss_mb": [pss(program.pid) for program in programs],
            "parent_pss_mb": pss(self.seats.pid),
        }
        for program in programs:
            await program.kill(1)
        return found

    async def sync(self, count: int) -> dict[str, float]:
        """Milliseconds of one sync: from the release to the next contribution (the batch itself is nothing)."""
        program = await self.launch(SYNC, [], COUNT=str(count))
        begun = time.perf_counter()
        await program.welcome(interval=1)
        await program.parked()
        welcome = time.perf_counter() - begun
        model = bytes(program.layout.nbytes)
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            await program.release(Release(model=True), model)
            released = time.perf_counter()
            await program.parked()
            times.append((released - begun, time.perf_counter() - begun))
        await program.kill(1)
        best = min(times, key=lambda pair: pair[1])
        return {"welcome_ms": ms(welcome), "release_ms": ms(best[0]), "load_and_store_ms": ms(best[1] - best[0])}


def ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


async def main(framework: str) -> None:
    bench = Bench(framework)
    try:
        begun = time.perf_counter()
        await bench.client.ready(LIMIT)
        found: dict[str, object] = {"framework": framework, "warm_up_s": round(time.perf_counter() - begun, 1)}
        found["idle"] = await bench.client.show()
        found["one"] = await bench.overhead(1)
        found["four"] = await bench.overhead(4)
        if framework == "torch":
            found["sync"] = {name: await bench.sync(count) for name, count in SIZES.items()}
        print(json.dumps(found, indent=1))
    finally:
        bench.seats.terminate()
        bench.seats.wait(10)
        shutil.rmtree(bench.directory, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "torch"))

"""The real warm parent: programs of both frameworks forked from it train together."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from swarm_lab.errors import ProgramFailed, ProgramKilled, SeatsUnavailable
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.seats_client import SeatsClient

START_S = 60.0
TORCH = """
    import os, sys, random, numpy, torch
    from swarm_lab import SwarmCallback

    print("random", random.random(), numpy.random.rand(), float(torch.rand(1)), hash("swarm"))
    print("place", os.getcwd() == os.path.dirname(os.path.abspath(__file__)), sys.argv[1:], __name__)
    print("threads", torch.get_num_threads(), os.getsid(0) == os.getpid())
    print("secrets", sorted(name for name in os.environ if "SECRET" in name or "KEY" in name))
    print("descriptors", sorted(int(n) for n in os.listdir("/proc/self/fd"))[:8])
    model = torch.nn.Linear(8, 2)
    opt = torch.optim.Adam(model.parameters())
    x = torch.randn(64, 8); y = (x[:, 0] > 0).long()
    cb = SwarmCallback(model=model)
    for epoch in cb.epochs(2):
        for i in range(0, 64, 16):
            opt.zero_grad()
            torch.nn.functional.cross_entropy(model(x[i:i+16]), y[i:i+16]).backward(); opt.step()
            cb.on_batch_end()
    cb.on_train_end()
"""
KERAS = """
    import os
    import numpy as np
    import keras
    from swarm_lab import SwarmCallback

    x = np.random.rand(64, 8).astype("float32"); y = (x[:, 0] > 0.5).astype("int64")
    model = keras.Sequential([
        keras.layers.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.1), keras.layers.Dense(2, "softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    cb = SwarmCallback(syncFrequency=4, minPeers=2, adsValData=(x, y))
    assert isinstance(cb, keras.callbacks.Callback) and isinstance(cb, SwarmCallback)
    model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[cb])
    np.save("final.npy", model.get_weights()[0])
    print("stopped by the swarm", cb.stop_training)
"""


class Seats:
    """A warm parent in a process of its own."""

    def __init__(self, framework: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="swl-seats-", dir="/tmp"))
        config = NodeConfig(
            swarm="t", name="seats", kind="seats", trust_domain="t.swarm", directory=self.directory / "seats",
            swarm_dir=self.directory, run_dir=self.directory, framework=framework,
        )  # fmt: skip
        self.log = (self.directory / "log").open("w")
        environment = {**os.environ, "MY_SECRET": "x", "AWS_SECRET_KEY": "y"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "swarm_lab.nodes", str(config.write())], stderr=self.log, env=environment
        )
        self.client = SeatsClient(self.directory / "seats.sock")

    def state(self) -> dict:
        return json.loads((self.directory / "seats" / "state.json").read_text())

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def torch_seats():
    seats = Seats("torch")
    yield seats
    seats.close()


@pytest.fixture(scope="module")
def keras_seats():
    seats = Seats("keras")
    yield seats
    seats.close()


async def test_torch_programs_fork_seed_and_train(torch_seats, launch, averager):
    await torch_seats.client.ready(START_S)
    begun = time.monotonic()
    members = [
        await launch(TORCH, f"p{i}", start=torch_seats.client.start, seed=i, threads=1, arguments=("--deep", "1"))
        for i in (1, 2)
    ]
    await averager(4).run(members)
    print("two warm programs:", round(time.monotonic() - begun, 2), "s")
    lines = [dict(line.partition(" ")[::2] for _, line in member.lines) for member in members]
    for found, member in zip(lines, members, strict=True):
        assert member.exit.error is None
        assert found["place"] == "True ['--deep', '1'] __main__"
        assert found["threads"] == "1 True"
        assert found["secrets"] == "[]"
        assert found["descriptors"].startswith("[0, 1, 2, 3")
    assert lines[0]["random"] != lines[1]["random"]
    again = await launch(TORCH, "again", start=torch_seats.client.start, seed=1, threads=1)
    await averager(4).run([again])
    assert again.lines[0][1].partition(" ")[2] == lines[0]["random"]


async def test_memory_and_programs_are_reported(torch_seats, launch):
    await torch_seats.client.ready(START_S)
    shown = await torch_seats.client.show()
    print(shown)
    assert shown["pss_mb"] > 10 and shown["pid"] == torch_seats.process.pid
    member = await launch("import time; print('up', flush=True); time.sleep(60)", start=torch_seats.client.start)
    assert (await torch_seats.client.show())["programs"] == 1
    assert torch_seats.state()["extra"]["programs"] == 1
    exit = await member.program.kill(5)
    assert isinstance(exit.error, ProgramKilled) and "SIGTERM" in exit.error.message
    assert (await torch_seats.client.show())["programs"] == 0


async def test_a_warm_program_that_raises_is_reported_once_with_its_line(torch_seats, launch):
    await torch_seats.client.ready(START_S)
    source = """
        def work(x):
            return 1 / x

        work(0)
    """
    member = await launch(source, start=torch_seats.client.start)
    exit = await member.program.exit()
    assert isinstance(exit.error, ProgramFailed)
    assert exit.error.line == 3 and exit.error.type == "ZeroDivisionError"
    assert "runpy" not in exit.error.traceback and exit.error.traceback.count("division by zero") == 1
    assert member.lines == []
    assert "ZeroDivisionError" in member.program.spec.output.read_text()


async def test_keras_programs_train_together(keras_seats, launch, averager):
    await keras_seats.client.ready(START_S)
    members = [await launch(KERAS, f"p{i}", "keras", start=keras_seats.client.start, seed=i, threads=1) for i in (1, 2)]
    await averager(4).run(members)
    for member in members:
        assert member.exit.error is None, member.exit
        assert [(sync.reason, sync.batches) for sync in member.syncs] == [
            ("begin", 0), ("interval", 4), ("interval", 8), ("end", 8),
        ]  # fmt: skip
        assert member.syncs[1].loss > 0 and 0 <= member.syncs[1].metric <= 1
        assert member.exit.evaluated.metric == member.exit.evaluated.metric
        assert ("stdout", "stopped by the swarm True") in member.lines
    finals = [(member.program.spec.directory / "final.npy").read_bytes() for member in members]
    assert finals[0] == finals[1]
    names = [spec.name for spec in members[0].program.layout.specs]
    assert any(name.endswith("dense/kernel") for name in names)
    print(await keras_seats.client.show())


async def test_a_stopped_keras_program_leaves_fit_at_once(keras_seats, launch, averager):
    await keras_seats.client.ready(START_S)
    source = (
        KERAS.replace("epochs=2", "epochs=1000") + '    print("batches", cb._session.batches, cb._session.epochs)\n'
    )
    member = await launch(source, "p1", "keras", start=keras_seats.client.start)
    await averager(6, stop_at=2).run([member])
    assert member.exit.error is None
    assert [(sync.reason, sync.batches) for sync in member.syncs] == [
        ("begin", 0), ("interval", 6), ("interval", 12), ("end", 12),
    ]  # fmt: skip
    assert ("stdout", "batches 12 2") in member.lines


async def test_a_stopped_torch_program_leaves_its_loops_at_once(torch_seats, launch, averager):
    await torch_seats.client.ready(START_S)
    source = TORCH.replace("epochs(2)", "epochs(1000)").replace("range(0, 64, 16)", "cb.batches(range(0, 64, 16))")
    source += '    print("batches", cb._session.batches, cb._session.epochs, cb.stop_training)\n'
    member = await launch(source, start=torch_seats.client.start)
    await averager(6, stop_at=2).run([member])
    assert member.exit.error is None
    assert [sync.reason for sync in member.syncs] == ["begin", "interval", "interval", "end"]
    assert ("stdout", "batches 12 2 True") in member.lines


async def test_workers_of_a_data_loader_run_in_a_warm_seat(torch_seats, launch):
    await torch_seats.client.ready(START_S)
    source = """
        import torch

        class Squares(torch.utils.data.Dataset):
            def __len__(self): return 8
            def __getitem__(self, i): return torch.tensor(i * i)

        if __name__ == "__main__":
            for context in ("fork", "spawn"):
                loader = torch.utils.data.DataLoader(Squares(), 4, num_workers=1, multiprocessing_context=context)
                print(context, sum(int(batch.sum()) for batch in loader))
    """
    member = await launch(source, start=torch_seats.client.start, threads=1)
    await member.program.exit()
    assert member.lines == [("stdout", "fork 140"), ("stdout", "spawn 140")]


async def test_children_survive_their_parent_and_the_parent_ends_on_sigterm(torch_seats, launch):
    """The last of this file: it ends the parent that the others use."""
    await torch_seats.client.ready(START_S)
    source = "import time; print('up'); time.sleep(1.0); print('still here')"
    member = await launch(source, start=torch_seats.client.start)
    torch_seats.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(torch_seats.process.wait, 10) == 0
    assert psutil.pid_exists(member.program.pid)
    exit = await member.program.exit()
    assert exit.code is None and ("stdout", "still here") in member.lines
    assert torch_seats.state()["state"] == "stopped"
    with pytest.raises(SeatsUnavailable):
        await torch_seats.client.show()

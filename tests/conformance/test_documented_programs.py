"""Programs in the documented style of the existing product, unchanged: alone in loopback, beside a node, in a swarm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_node import LIMIT

from swarm_lab.callback.session import FINAL_LINE

PROGRAMS = Path(__file__).parent / "programs"
TORCH = ("torch", "documented_torch.py", "pyt/model/saved_model.pt")
KERAS = ("keras", "documented_keras.py", "keras/model.weights.h5")
OLD = ("torch", "first_version.py", "model.pt")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """DATA_DIR of a node."""
    folder = tmp_path / "data"
    write(folder, 0)
    return folder


def write(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(96, 8)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    np.savez(folder / "part.npz", x=x[:64], y=y[:64], xt=x[64:], yt=y[64:])


def weights(path: Path) -> dict[str, Any]:
    """What the program saved, by name."""
    if path.suffix == ".pt":
        import torch

        return {name: tensor.numpy() for name, tensor in torch.load(path).items()}
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None
        )
    return {name: value for name, value in found.items() if not name.startswith("optimizer")}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.conformance("CB-71", "CB-22", "CB-54")
@pytest.mark.parametrize(("framework", "program", "saved"), [TORCH, KERAS], ids=["torch", "keras"])
def test_alone_in_loopback(framework, program, saved, data, tmp_path, need):
    need(f"python:{framework}")
    folders = {"DATA_DIR": str(data), "SCRATCH_DIR": str(tmp_path), "MODEL_DIR": str(tmp_path), "MAX_EPOCHS": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "swarm_lab.callback.runner", str(PROGRAMS / program)],
        check=False, capture_output=True, text=True, timeout=100, cwd=tmp_path,
        env={**os.environ, **folders, "SWARM_LOOPBACK": "TRUE", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / saved).exists() and FINAL_LINE not in done.stdout
    assert done.stdout.count("SWARM_LOOPBACK is set") == 1
    assert framework != "keras" or (tmp_path / "keras" / "folder" / "saved_model.pb").exists()


@pytest.mark.conformance("CB-01", "CB-02", "CB-07", "CB-22", "CB-50", "CB-51", "CB-53", "CB-54", "CB-60", "CB-69")
@pytest.mark.parametrize(("framework", "program", "saved"), [TORCH, KERAS, OLD], ids=["torch", "keras", "first"])
async def test_two_beside_a_node_end_with_one_model(framework, program, saved, launch, averager, tmp_path, need):
    need(f"python:{framework}")
    members = []
    for seed in (1, 2):
        write(tmp_path / f"data{seed}", seed)
        folders = {"DATA_DIR": str(tmp_path / f"data{seed}"), "SCRATCH_DIR": str(tmp_path / f"p{seed}")}
        source = (PROGRAMS / program).read_text("utf-8")
        variables = {**folders, "MODEL_DIR": folders["SCRATCH_DIR"], "MAX_EPOCHS": "2", "MIN_PEERS": "2"}
        members.append(await launch(source, f"p{seed}", framework=framework, variables=variables))
    await averager(4).run(members)
    one, two = (weights(tmp_path / f"p{seed}" / saved) for seed in (1, 2))
    assert len(one) >= 2 and same(one, two)
    for member in members:
        assert member.exit.error is None and member.exit.finished
        assert [sync.reason for sync in member.syncs] == ["begin", "interval", "interval", "end"]
        hello = await member.program.hello(LIMIT)
        assert hello.arguments["min_peers"] == 2 and hello.arguments["sync_frequency"] == 4
        texts = [text for _, text in member.lines]
        assert [text for text in texts if text.endswith(FINAL_LINE)]
        if program != OLD[1]:
            assert hello.arguments["total_epochs"] == 2 and member.exit.evaluated.metric is not None
            assert sum("mlPlatform" in text and "not used" in text for text in texts) == 1


@pytest.mark.conformance("CB-77")
async def test_one_site_has_a_gpu_and_the_other_has_none(launch, averager, tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    members = []
    for seed, hidden in ((1, {}), (2, {"CUDA_VISIBLE_DEVICES": ""})):
        write(tmp_path / f"data{seed}", seed)
        variables = {"DATA_DIR": str(tmp_path / f"data{seed}"), "SCRATCH_DIR": str(tmp_path / f"p{seed}"), **hidden}
        source = (PROGRAMS / TORCH[1]).read_text("utf-8")
        members.append(await launch(source, f"p{seed}", variables=variables))
    await averager(4).run(members)
    states = [torch.load(tmp_path / f"p{seed}" / TORCH[2]) for seed in (1, 2)]
    assert {tensor.device.type for tensor in states[0].values()} == {"cuda"}
    assert {tensor.device.type for tensor in states[1].values()} == {"cpu"}
    assert all(torch.equal(states[0][name].cpu(), states[1][name]) for name in states[1])


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.conformance("CB-02", "CB-11", "CB-12", "CB-22", "CB-60", "CB-69")
@pytest.mark.parametrize(("framework", "program", "saved"), [TORCH, KERAS], ids=["torch", "keras"])
def test_in_a_swarm(framework, program, saved, tmp_path, need):
    from support.patients import finished

    from swarm_lab.swarm import Swarm

    need("npm", f"python:{framework}")
    swarm = Swarm.up(f"documented-{framework}", sl=2, framework=framework)
    try:
        for seed, seat in enumerate(swarm.seats):
            write(tmp_path / seat, seed)
        training = swarm.train(PROGRAMS / program, data=tmp_path, sync=16, seed=1, env={"MIN_PEERS": "2"})
        last = finished(training, limit=150)
        assert last["state"] == "finished", (last, training.view.failed)
        folders = [swarm.paths.root / "nodes" / seat / "trainings" / training.id for seat in swarm.seats]
        one, two = (weights(folder / "scratch" / saved) for folder in folders)
        assert same(one, two)
        for folder in folders:
            output = (folder / "output.log").read_text("utf-8")
            assert output.count(FINAL_LINE) == 1 and "test accuracy" in output
        # The program's own frequency of 4 holds, not the command line's 16: three epochs of 4 batches, and the end.
        assert training.status.round >= 3
        assert swarm.verify(training.id).ok
    finally:
        swarm.down()

"""The wheel: what is in it, and that, installed outside the repository, it brings a swarm up and trains.

`uv pip` fills the environment, not pip: PyTorch of PyPI is five gigabytes, which uv links from its cache in a
second and pip copies in minutes. That pip itself takes the wheel is seen without the dependencies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os
import numpy as np
import torch
from swarm_lab import SwarmCallback

data = np.load(os.path.join(os.environ["DATA_DIR"], "rows.npz"))
x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
swarm = SwarmCallback(model=model)
swarm.on_train_begin()
for start in range(0, 160, 10):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x[start : start + 10]), y[start : start + 10]).backward()
    optimizer.step()
    swarm.on_batch_end()
swarm.on_train_end()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Path]:
    """A folder outside the repository and with a short path, for an environment and for a swarm's sockets."""
    with tempfile.TemporaryDirectory(prefix="swl-p-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def installed(wheel: Path, elsewhere: Path) -> Path:
    """The `bin` of an environment with nothing but the wheel and what it needs for PyTorch."""
    home = elsewhere / "env"
    venv.create(home, with_pip=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, cwd=elsewhere, timeout=120, check=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv, "uv is in the set `dev`"
    python = str(home / "bin" / "python")
    constraints = str(ROOT / "deploy" / "requirements-torch.txt")
    command = [uv, "pip", "install", "-q", "--python", python, "-c", constraints, f"{wheel}[torch]"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return home / "bin"


def test_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "swarm_lab/py.typed",
        *(f"swarm_lab/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")),
        "swarm_lab/ledger/abi/Enrolment.json",
        "swarm_lab/ledger/abi/Rounds.json",
        "swarm_lab/ledger/abi/Trainings.json",
        "swarm_lab/protos/license.proto",
        "swarm_lab/protos/network.proto",
        "swarm_lab/protos/peer.proto",
        "swarm_lab/provision/npm/package.json",
        "swarm_lab/provision/npm/package-lock.json",
        "swarm_lab/provision/npm/node-requirements.txt",
        "swarm_lab/jupyter/static/views.js",
        "swarm_lab/jupyter/static/views.css",
    ):
        assert wanted in names, wanted
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"swarm_lab"}
    unwanted = ("node_modules", "__pycache__", ".ipynb_checkpoints", "conftest", "/test_")
    assert [name for name in names if any(part in name for part in unwanted)] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_jupyter_finds_its_parts(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    data = {name.split(".data/data/")[1] for name in names if ".data/data/" in name}
    extension = "share/jupyter/labextensions/swarm-lab"
    for wanted in (
        f"{extension}/package.json",
        f"{extension}/install.json",
        f"{extension}/static/style.js",
        f"{extension}/schemas/swarm-lab/commands.json",
        "etc/jupyter/jupyter_server_config.d/swarm_lab.json",
    ):
        assert wanted in data, wanted
    # Once: not in the package as well.
    assert [name for name in names if name.startswith("swarm_lab/jupyter/labextension/")] == []


def test_bytecode_travels_with_the_abi(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    for name in ("Enrolment", "Rounds", "Trainings"):
        contract = json.loads(archive.read(f"swarm_lab/ledger/abi/{name}.json"))
        assert contract["abi"]
        assert len(contract["bytecode"]) > 1000


def call(bin_folder: Path, cwd: Path, *arguments: str, limit_s: float = 240) -> list[dict[str, object]]:
    """Run `swarm-lab` of the installed package; its answer, one object a line or a single one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["XDG_DATA_HOME"] = str(cwd / "data")
    environment["PATH"] = f"{bin_folder}{os.pathsep}{environment['PATH']}"
    command = [str(bin_folder / "swarm-lab"), *arguments, "--json"]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    try:
        return [json.loads(done.stdout)]
    except ValueError:
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_installed_outside_the_repository_it_trains(installed: Path, elsewhere: Path) -> None:
    generator = np.random.default_rng(7)
    for site in ("a", "b"):
        folder = elsewhere / "parts" / site
        folder.mkdir(parents=True)
        x = generator.normal(size=(160, 4)).astype(np.float32)
        np.savez(folder / "rows.npz", x=x, y=(x[:, 0] > 0).astype(np.int64))
    (elsewhere / "program.py").write_text(PROGRAM)

    (status,) = call(installed, elsewhere, "up", "--name", "boxed", "--sl", "2")
    try:
        nodes = status["nodes"]
        assert isinstance(nodes, list)
        assert {node["state"] for node in nodes} == {"ready"}
        training = ("train", "program.py", "--data", "parts", "--name", "boxed", "--sync", "8")
        events = call(installed, elsewhere, *training)
        assert events[-1]["event"] == "finished"
        assert Path(str(events[-1]["model"])).is_file()
        (digest,) = call(installed, elsewhere, "digest", str(events[-1]["model"]))
        assert digest["digest"] == events[-1]["digest"]
        call(installed, elsewhere, "verify", "--name", "boxed")
    finally:
        call(installed, elsewhere, "down", "boxed")


@pytest.mark.slow
def test_the_installed_package_is_the_one_that_runs(installed: Path, elsewhere: Path) -> None:
    script = "import swarm_lab, sys; print(swarm_lab.__file__, 'tensorflow' in sys.modules)"
    done = subprocess.run(
        [installed / "python", "-c", script], cwd=elsewhere, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(str(elsewhere / "env"))
    assert done.stdout.strip().endswith("False")

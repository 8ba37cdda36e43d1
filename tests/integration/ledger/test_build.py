"""What ships is what the sources say: bytecode and ABI from Solidity, Python code from the schemas."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[3]
CONTRACTS = ROOT / "contracts"
SHIPPED = ROOT / "swarm_lab" / "ledger" / "abi"


@pytest.fixture(scope="module")
def modules(need: Callable[..., None]) -> Path:
    """The compiler and OpenZeppelin as the lock file pins them, fetched once into the user's cache."""
    if (CONTRACTS / "node_modules").is_dir():
        return CONTRACTS / "node_modules"
    need("npm")
    lock = hashlib.sha256((CONTRACTS / "package-lock.json").read_bytes()).hexdigest()[:16]
    home = platformdirs.user_cache_path("swarm-lab") / f"contracts-{lock}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock", timeout=120):
        if not (home / "node_modules" / ".package-lock.json").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(CONTRACTS / name, home)
            npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(npm, cwd=home, check=True, timeout=110, capture_output=True)
    return home / "node_modules"


def test_abi_and_bytecode_are_those_of_the_sources(modules: Path, tmp_path: Path, need: Callable[..., None]) -> None:
    need("node")
    environment = {**os.environ, "SWARM_LAB_NODE_MODULES": str(modules)}
    command = ["node", str(CONTRACTS / "build.mjs"), str(tmp_path)]
    done = subprocess.run(command, check=False, env=environment, timeout=110, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    shipped = {path.name: json.loads(path.read_text()) for path in SHIPPED.glob("*.json")}
    assert made.keys() == shipped.keys() == {"Enrolment.json", "Trainings.json", "Rounds.json"}
    for name, artifact in made.items():
        assert artifact == shipped[name], f"{name}: run `npm run build` in contracts/ and commit what it writes"


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in (CONTRACTS / "package-lock.json").read_text()


def test_generated_code_is_that_of_the_schemas(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    from swarm_lab.protos.generate import HERE, generate

    generate(tmp_path)
    made = sorted((tmp_path / "swarm_lab" / "protos").glob("*_pb2*"))
    assert [path.name for path in made] == sorted(path.name for path in HERE.glob("*_pb2*"))
    for path in made:
        assert path.read_text() == (HERE / path.name).read_text(), f"{path.name}: python -m swarm_lab.protos.generate"

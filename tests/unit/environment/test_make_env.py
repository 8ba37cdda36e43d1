"""`make env`: what it reads from a lock, when it reuses `.venv`, and what it says when it cannot make one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
LOCK = """# download: 3166 MB, of which PyTorch with CUDA 2989 MB
blake3==1.0.11 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
cuda-toolkit==13.2.2 ; sys_platform == 'linux' \\
    --hash=sha256:cc
torch==2.15.0 \\
    --hash=sha256:dd
torchmetrics==1.9.0 \\
    --hash=sha256:ee
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, at work in a checkout of its own."""
    spec = importlib.util.spec_from_file_location("environment", DEPLOY / "environment.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in {"ROOT": ".", "DEPLOY": "deploy", "VENV": ".venv", "STAMP": ".venv/stamp"}.items():
        monkeypatch.setattr(module, name, tmp_path / path)
    (tmp_path / "deploy").mkdir()
    for name in ("torch", "keras", "dev"):
        (tmp_path / "deploy" / f"requirements-{name}.txt").write_text(LOCK)
    (tmp_path / "pyproject.toml").write_text("[project]")
    return module


def fake_venv(root: Path) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").touch()


def test_reads_a_lock(environment: ModuleType) -> None:
    assert [environment.name_of(block) for block in environment.blocks(LOCK)] == [
        "blake3",
        "cuda-toolkit",
        "torch",
        "torchmetrics",
    ]
    assert environment.locked_version(LOCK, "torch") == "2.15.0"
    assert environment.locked_version(LOCK, "tensorflow") is None
    assert environment.download_size(LOCK) == (3166, 2989)
    rest = environment.without_torch(LOCK)
    assert "torch==" not in rest and "cuda" not in rest
    assert "torchmetrics==1.9.0" in rest and "sha256:bb" in rest


def test_reuses_what_is_installed(environment: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_venv(tmp_path)
    environment._write_stamp("torch")
    assert environment.main(["torch"]) == 0
    assert "Reusing .venv: torch is installed" in capsys.readouterr().out


def test_all_for_tests_serves_a_demo(environment: ModuleType, tmp_path: Path) -> None:
    fake_venv(tmp_path)
    environment._write_stamp("dev")
    assert environment._reusable("keras") == "dev"


@pytest.mark.parametrize("changed", ["deploy/requirements-torch.txt", "pyproject.toml", ".venv/pyvenv.cfg"])
def test_installs_again_after_a_change(environment: ModuleType, tmp_path: Path, changed: str) -> None:
    fake_venv(tmp_path)
    environment._write_stamp("torch")
    (tmp_path / changed).write_text("changed")
    assert environment._reusable("torch") is None


def test_keeps_the_stamp_of_the_other_framework(environment: ModuleType, tmp_path: Path) -> None:
    fake_venv(tmp_path)
    environment._write_stamp("torch")
    environment._write_stamp("keras")
    assert environment._reusable("torch") == "torch"
    assert environment._reusable("keras") == "keras"


def test_python_without_ensurepip(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert environment.main(["torch"]) == 1
    assert "apt install python3-venv" in capsys.readouterr().err


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 || exit 1\n')
    old.chmod(0o755)
    command = ["make", "-C", str(ROOT), "env", f"PYTHON={old}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.8.1" in done.stderr


@pytest.mark.parametrize("name", ["torch", "keras", "dev", "uv"])
def test_locks_have_hashes_and_no_addresses(name: str) -> None:
    text = (DEPLOY / f"requirements-{name}.txt").read_text("utf-8")
    assert "://" not in text
    assert "--find-links" not in text
    pinned = [line for line in text.splitlines() if line[:1].isalnum()]
    assert pinned and all("==" in line and line.endswith("\\") for line in pinned)


def test_one_framework_only() -> None:
    torch = (DEPLOY / "requirements-torch.txt").read_text("utf-8")
    keras = (DEPLOY / "requirements-keras.txt").read_text("utf-8")
    assert "\ntorch==" in torch and "\ntensorflow" not in torch
    assert "\ntensorflow-cpu==" in keras and "\ntorch==" not in keras


def test_locks_agree() -> None:
    def pins(name: str) -> set[str]:
        text = (DEPLOY / f"requirements-{name}.txt").read_text("utf-8")
        return {line.split()[0] for line in text.splitlines() if line[:1].isalnum()}

    assert pins("torch") <= pins("dev")
    assert pins("keras") <= pins("dev")


def test_lock_has_every_dependency() -> None:
    """A dependency added to pyproject.toml and not locked would be missing on a fresh machine: `make lock`."""
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    locked = (DEPLOY / "requirements-dev.txt").read_text("utf-8")
    names = {line.split("==")[0] for line in locked.splitlines() if "==" in line}
    for text in [*project["dependencies"], *extras["torch"], *extras["notebook"], *extras["dev"]]:
        assert canonicalize_name(Requirement(text).name) in names, f"{text} is not locked: run `make lock`"


def test_script_runs_without_packages() -> None:
    command = [sys.executable, "-I", "-S", str(DEPLOY / "environment.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "keras" in done.stdout

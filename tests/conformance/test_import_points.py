"""Where programs find packages of the existing product's names: behind their own folder, before what is installed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WHERE = """
import importlib.util as u, sys
for name in ("swarm", "swarmlearning", "swarmlearning.client.swarm"):
    spec = u.find_spec(name)
    print(name, spec.origin if spec else None)
"""


def run(*command: str, **variables: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, *command], check=False, capture_output=True, text=True, timeout=60,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


@pytest.mark.conformance("CB-01", "CB-07")
def test_programs_find_them_without_anything_installed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WHERE)
    found = run("-m", "swarm_lab.callback.runner", str(program))
    assert all("/swarm_lab/compat/swarm" in origin for origin in found.values()) and len(found) == 3


@pytest.mark.conformance("CB-01")
def test_they_win_over_an_installed_package_and_lose_to_the_programs_own_module(tmp_path):
    installed = tmp_path / "installed"
    (installed / "swarmlearning").mkdir(parents=True)
    (installed / "swarmlearning" / "__init__.py").write_text("raise ImportError('the other one')")
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "swarm.py").write_text("")
    (folder / "program.py").write_text(WHERE.replace("swarmlearning.client.swarm", "swarmlearning.client"))
    found = run("-m", "swarm_lab.callback.runner", str(folder / "program.py"), PYTHONPATH=str(installed))
    assert found["swarm"] == str(folder / "swarm.py")
    assert "/swarm_lab/compat/" in found["swarmlearning"]


def test_no_other_process_sees_them():
    found = run(
        "-c",
        "import swarm_lab, swarm_lab.callback, swarm_lab.nodes\n" + WHERE.replace(', "swarmlearning.client.swarm"', ""),
    )
    assert found == {"swarm": "None", "swarmlearning": "None"}


@pytest.mark.conformance("CB-06")
def test_the_error_is_the_same_class_for_every_framework(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import swarmlearning.client.swarm as s, swarm_lab.callback.errors as e\n"
        "print('same', s.SwarmError is e.SwarmError and issubclass(e.CallbackArgumentError, s.SwarmError))"
    )
    assert run("-m", "swarm_lab.callback.runner", str(program)) == {"same": "True"}

"""Where `anvil` comes from, without a network: the override, the cache, and what is said when it cannot be had."""

from __future__ import annotations

import json
import platform
from importlib import resources
from pathlib import Path

import pytest

from swarm_lab.errors import ToolDoesNotRun, ToolNotFetched
from swarm_lab.provision import tools


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(tools.OVERRIDE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_override_is_used_after_it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = program(tmp_path / "anvil", "echo anvil Version: 9")
    monkeypatch.setenv(tools.OVERRIDE, str(mine))
    assert tools.anvil() == mine


@pytest.mark.parametrize("text", ["echo something else", "echo no such library >&2; exit 127"])
def test_override_that_is_no_anvil(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tools.OVERRIDE, str(program(tmp_path / "anvil", text)))
    with pytest.raises(ToolDoesNotRun, match=tools.OVERRIDE):
        tools.anvil()


def test_override_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tools.OVERRIDE, str(tmp_path / "nowhere"))
    with pytest.raises(ToolDoesNotRun, match="nowhere"):
        tools.anvil()


def test_one_placed_by_hand_is_used_without_a_word(empty_cache: Path) -> None:
    placed = program(empty_cache / "swarm-lab" / "anvil" / tools.anvil_version() / "anvil", "exit 3")
    said: list[str] = []
    assert tools.anvil(said.append) == placed
    assert said == []


def test_npm_that_fails_is_reported_with_how_to_place_it(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "npm error FetchError: request to http://me:secret@127.0.0.1:9/x failed, ECONNREFUSED"
    program(tmp_path / "bin" / "npm", f"[ $1 = --version ] && echo 10.1.0 || {{ echo '{reason}'; exit 1; }}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (empty_cache / "swarm-lab" / "anvil" / "fetch-killed").mkdir(parents=True)
    with pytest.raises(ToolNotFetched) as caught:
        tools.anvil()
    assert "ECONNREFUSED" in caught.value.message
    assert "secret" not in str(caught.value)
    assert str(tools.anvil_home() / "anvil") in caught.value.next_step
    assert tools.OVERRIDE in caught.value.next_step
    assert [path.name for path in tools.anvil_home().parent.iterdir()] == ["fetch.lock"]


def test_machine_without_an_anvil_on_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(ToolNotFetched, match="s390x"):
        tools.anvil()


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolNotFetched, match="cannot be put"):
        tools.anvil()


def test_lock_has_a_hash_and_no_address() -> None:
    text = (resources.files("swarm_lab.provision") / "npm" / "package-lock.json").read_text("utf-8")
    packages = [entry for name, entry in json.loads(text)["packages"].items() if name]
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages)
    assert "http" not in text
    assert "resolved" not in text

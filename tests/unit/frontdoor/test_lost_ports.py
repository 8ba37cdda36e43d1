"""A new swarm whose ports another process took between the look and the start takes others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm_lab.errors import PortTaken
from swarm_lab.facts.events import EventLog
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.swarm import SwarmFacts
from swarm_lab.front import launch
from swarm_lab.spec import SwarmSpec


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SwarmPaths:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = SwarmPaths.of("fast")
    found.root.mkdir(parents=True)
    return found


def starts(monkeypatch: pytest.MonkeyPatch, failing: int) -> list[set[str]]:
    """The ports of each start; the first ones find theirs taken."""
    seen: list[set[str]] = []

    def start(_paths: Any, facts: SwarmFacts, *_rest: Any) -> Any:
        seen.append(set(facts.ports.values()))
        if len(seen) <= failing:
            raise PortTaken("port 5814 of license is held by another (pid 1)")
        return type("Status", (), {"nodes": []})()

    monkeypatch.setattr(launch, "_start", start)
    return seen


def test_each_start_takes_ports_that_none_before_it_wanted(paths: SwarmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, said = starts(monkeypatch, 2), list[str]()
    launch.bring_up(paths, SwarmSpec(name="fast", framework="torch"), launch.Wanted(), 1.0, said.append)
    assert len(seen) == 3 and not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert said == ["port 5814 of license is held by another (pid 1): taking other ports"] * 2


def test_it_does_not_try_for_ever(paths: SwarmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = starts(monkeypatch, 99)
    with pytest.raises(PortTaken):
        launch.bring_up(paths, SwarmSpec(name="fast", framework="torch"), launch.Wanted(), 1.0, lambda line: None)
    assert len(seen) == 4


def test_a_swarm_that_was_up_keeps_its_addresses(paths: SwarmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = launch._facts(paths, SwarmSpec(name="fast", framework="torch"), launch.Wanted(), ())
    facts.write(paths)
    EventLog(paths.root).append("swarm_up", nodes=[])
    seen = starts(monkeypatch, 99)
    with pytest.raises(PortTaken):
        launch.bring_up(paths, SwarmSpec(name="fast", framework="torch"), launch.Wanted(), 1.0, lambda line: None)
    assert seen == [set(facts.ports.values())]

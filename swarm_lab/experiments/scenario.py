"""What was done to a swarm's nodes, as a file, and the same done again: times count from the rounds of a training.

from swarm_lab.experiments import scenario

training = swarm.train(program, data=folder)
scenario.read(path).replay(training)     # returns when its last step is done
training.wait(limit=600)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarm_lab.errors import BadScenario
from swarm_lab.experiments import faults
from swarm_lab.experiments.faults import Kind
from swarm_lab.facts import events
from swarm_lab.facts.events import EventReader
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.state import write_text
from swarm_lab.facts.views import TrainingView, apply
from swarm_lab.front.training import Training

_LOCK_S = 10.0
_LOOK_S = 0.02
_HEAD = "# What was done to nodes of the swarm {name}. docs/scenarios.md tells how a test does it again.\n"


class Step(BaseModel):
    """One thing done to one node, `after` seconds since `round` rounds of `training` were committed.

    `training` None: none was running; such a step is kept for the record and never done again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: str | None = None
    round: Annotated[int, Field(ge=0)] = 0
    after: Annotated[float, Field(ge=0)] = 0.0
    node: str
    do: Kind
    seconds: Annotated[float, Field(gt=0, le=faults.MAX_S)] | None = None
    delay_ms: Annotated[int, Field(ge=10, le=5000)] | None = None


class Scenario(BaseModel):
    """Steps in the order in which they were done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    swarm: str
    steps: tuple[Step, ...] = ()

    def of(self, training: str | None = None) -> tuple[Step, ...]:
        """The steps of one training, by default of the last that has any."""
        timed = [step for step in self.steps if step.training is not None]
        wanted = training or (timed[-1].training if timed else None)
        return tuple(step for step in timed if step.training == wanted)

    def text(self) -> str:
        """As YAML."""
        steps = [step.model_dump(mode="json", exclude_none=True) for step in self.steps]
        whole = {"version": self.version, "swarm": self.swarm, "steps": steps}
        return _HEAD.format(name=self.swarm) + yaml.safe_dump(whole, sort_keys=False)

    def replay(self, training: Training, *, of: str | None = None, limit: float = 300.0) -> None:
        """Do the steps of one training to the nodes of another that runs; returns when the last one is done.

        Raises `BadScenario` where the swarm has no such node, the training ends before a step's round, or that does
        not come within `limit` seconds. What lasts goes on by itself for its seconds.
        """
        steps = self.of(of)
        unknown = sorted({step.node for step in steps if training.facts.named(step.node) is None})
        if unknown:
            raise BadScenario(f"the swarm {training.facts.name!r} has no node {', '.join(unknown)}")
        rounds = _Rounds(training)
        for step in steps:
            rounds.reach(step, limit)
            faults.hurt(training.paths, step.node, step.do, seconds=step.seconds, delay_ms=step.delay_ms)


class _Rounds:
    """Follows a training to a time after one of its rounds."""

    def __init__(self, training: Training, clock: Callable[[], float] = time.time) -> None:
        self._id = training.id
        self._reader = EventReader(training.paths.root)
        self._views: dict[str, TrainingView] = {}
        self._clock = clock

    def reach(self, step: Step, limit: float) -> None:
        until = time.monotonic() + limit
        while (since := self._since(step.round)) is None or self._clock() < since + step.after:
            view = self._views.get(self._id)
            if view is not None and view.over:
                raise BadScenario(f"{self._id} ended after round {view.round}, before {step.do} {step.node}")
            if time.monotonic() > until:
                raise BadScenario(f"round {step.round} of {self._id} did not come within {limit:.0f} s")
            time.sleep(_LOOK_S)

    def _since(self, round_: int) -> float | None:
        for event in self._reader.poll():
            apply(self._views, event)
        view = self._views.get(self._id)
        return None if view is None else _committed_at(view, round_)


def path_of(paths: SwarmPaths) -> Path:
    """Where a swarm's scenario lies."""
    return paths.root / "scenario.yaml"


def read(path: Path) -> Scenario:
    """Read a scenario; raises `BadScenario` naming what does not fit."""
    try:
        return Scenario.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise BadScenario(f"{path} cannot be read: {error.strerror}", next_step="give the path of a file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadScenario(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def of_swarm(paths: SwarmPaths) -> Scenario:
    """What was done to a swarm's nodes so far."""
    path = path_of(paths)
    return read(path) if path.exists() else Scenario(swarm=paths.name)


def do(paths: SwarmPaths, node: str, kind: Kind, *, seconds: float | None = None, delay_ms: int | None = None) -> Step:
    """Hurt a node, see `faults.hurt`, and add it to the swarm's scenario."""
    place = _place(paths)
    done = faults.hurt(paths, node, kind, seconds=seconds, delay_ms=delay_ms)
    with FileLock(f"{path_of(paths)}.lock", timeout=_LOCK_S, mode=0o600):
        before = of_swarm(paths)
        step = Step(
            **place,
            node=node,
            do=kind,
            seconds=None if done is None else round(done.until - done.since, 3),
            delay_ms=done.delay_ms if done is not None and kind == "slow" else None,
        )
        write_text(path_of(paths), before.model_copy(update={"steps": (*before.steps, step)}).text())
    return step


def _place(paths: SwarmPaths) -> dict[str, Any]:
    """Now, as rounds have it: the running training, its committed rounds, the seconds since the last of them."""
    now = time.time()
    running = [view for view in events.fold(events.read(paths.root)).values() if view.state == "running"]
    if not running:
        return {}
    view = running[-1]
    since = _committed_at(view, view.round)
    return {
        "training": view.id,
        "round": view.round,
        "after": 0.0 if since is None else round(max(now - since, 0.0), 3),
    }


def _committed_at(view: TrainingView, round_: int) -> float | None:
    """When so many rounds were committed; round 0 is the training's creation. None: they are not."""
    if round_ == 0:
        return view.created
    return next((done.time for done in view.rounds if done.round >= round_), None)

"""The course of a training while something is done to it: its rounds as they are committed, a node's phases."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.wards import Ward

from swarm_lab.facts.events import EventReader

CALM = 3  # rounds of all nodes before anything is done
Event = dict[str, Any]


class Course:
    """Follows one training.

    `rounds` are the committed rounds, each with the monotonic time at which it was `seen`: by the node that told of it,
    or by this process, where the nodes' clocks are what is hurt.
    """

    def __init__(self, ward: Ward, training: Any) -> None:
        self.ward = ward
        self.training = training
        self.rounds: list[Event] = []
        self.usual_s = 0.0
        self.over = False
        self._events = EventReader(ward.swarm.paths.root)

    @property
    def everybody(self) -> set[str]:
        """The nodes of the training."""
        return set(self.ward.swarm.seats)

    def poll(self) -> list[Event]:
        """The rounds that were committed since the last call."""
        now, wall, true = time.monotonic(), time.time(), not self.ward.clocks_differ
        own = [event for event in self._events.poll() if event.get("training") == self.training.id]
        self.over = self.over or any(event["event"] == "finished" for event in own)
        fresh = [
            {**event, "seen": now - (wall - event["time"]) if true else now}
            for event in own
            if event["event"] == "round"
        ]
        self.rounds += fresh
        return fresh

    def coming(self, limit: float) -> Iterator[Event]:
        """Rounds as they are committed; fails where none that is good enough has come within the limit."""
        until = time.monotonic() + limit
        while True:
            yield from self.poll()
            assert time.monotonic() < until, f"nothing for {limit:.0f} s\n{self.tell()}"
            assert not self.over, f"it is over\n{self.tell()}"
            time.sleep(0.005)

    def calm(self, limit: float = 60.0) -> Event:
        """Wait for some rounds of all nodes, the last of them just committed; how long one takes is then known."""
        row: list[Event] = []
        for done in self.coming(limit):
            row = [*row, done] if set(done["nodes"]) == self.everybody else []
            if len(row) > CALM:
                taken = [after["seen"] - before["seen"] for before, after in itertools.pairwise(row[-CALM - 1 :])]
                self.usual_s = statistics.median(taken)
                return done
        raise AssertionError

    def after(self, moment: float, limit: float, beyond: int = 0) -> Event:
        """The first round that was committed after a moment, and that is none of those up to `beyond`."""
        for done in itertools.chain(list(self.rounds), self.coming(limit)):
            if done["seen"] > moment and done["round"] > beyond:
                return done
        raise AssertionError

    def whole(self, moment: float, limit: float) -> Event:
        """The first round of all nodes after a moment."""
        for done in itertools.chain(list(self.rounds), self.coming(limit)):
            if done["seen"] > moment and set(done["nodes"]) == self.everybody:
                return done
        raise AssertionError

    def gap(self, begun: float, ended: float) -> float:
        """The longest time without a commit: from the last one before `begun` to the first one after `ended`."""
        seen = [done["seen"] for done in self.rounds]
        first = max((at for at in seen if at <= begun), default=begun)
        last = min((at for at in seen if at > ended), default=ended)
        return max((b - a for a, b in itertools.pairwise([at for at in seen if first <= at <= last])), default=0.0)

    def coordinator(self, last: Event, attempt: int = 0) -> str:
        """Who coordinates the round after `last`: the ledger's order turned by the round's number."""
        nodes: list[str] = last["nodes"]
        return nodes[(int(last["round"]) + 1 + attempt) % len(nodes)]

    def tell(self) -> str:
        """Where it stands, for a failure's message."""
        view = self.training.view
        last = self.rounds[-1] if self.rounds else {}
        return (
            f"round {view.round} of {last.get('nodes')}, {view.state}; waiting {view.waiting}; lost {view.lost}; "
            f"failed { {node: end.get('message') for node, end in view.failed.items()} }"
        )


class Phases:
    """What a node's log says of its phases, from now on."""

    def __init__(self, ward: Ward, node: str) -> None:
        self._path: Path = ward.swarm.paths.log(node)
        self._offset = self._path.stat().st_size
        self.last, self.made = "training", 0

    def poll(self) -> str | None:
        """The latest phase since the last call; MERGED and COMMITTED are phases here, `made` is the last such round."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                block = file.read()
        except FileNotFoundError:  # turned over just now
            return None
        end = block.rfind(b"\n") + 1
        self._offset = 0 if self._path.stat().st_size < self._offset else self._offset + end
        found = [_phase(line) for line in block[:end].splitlines() if b'"kind": ' in line]
        fresh = [phase for phase in found if phase]
        if not fresh:
            return None
        self.last = fresh[-1][0]
        self.made = max(self.made, *(number for _, number in fresh))
        return self.last

    def reach(self, phase: str, limit: float = 30.0) -> None:
        """Return as soon as the log has the node in this phase."""
        until = time.monotonic() + limit
        while self.poll() != phase:
            assert time.monotonic() < until, f"the node is not {phase} within {limit:.0f} s"
            time.sleep(0.001)


def _phase(line: bytes) -> tuple[str, int] | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if said.get("kind") == "phase":
        return str(said["message"]), 0
    return (str(said["kind"]), int(said["round"])) if said.get("kind") in ("merged", "committed") else None

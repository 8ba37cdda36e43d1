"""A made-up training as swarms tell it, with what goes wrong: lost, left out, failed, resumed, joined, stopped."""

from __future__ import annotations

import random
from typing import Any

Facts = list[dict[str, Any]]


class Story:
    """Writes facts like a swarm's nodes; the same seed writes the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.facts: Facts = []
        self.nodes = [f"sl-{number}" for number in range(1, self._dice.choice((2, 3, 5)) + 1)]

    def tell(self) -> Facts:
        """From the swarm's start to the training's second end."""
        nodes = self.nodes
        self._write("swarm_up", nodes=nodes)
        self._say("training_created", nodes=nodes[:-1], program="a.py", digest="cd", merge="mean", min_peers=2, sync=16)
        self._say("training_queued", node="sl-1", after="t-0")
        for node in nodes:
            self._say("training_started", node=node)
        self._say("training_agreed", merge="geomedian", min_peers=1, sync=8, adaptive=True, early_stopping=3)
        self._say("node_joined", node=nodes[-1])
        self._rounds(1, 6)
        self._write("round", training="t-2", round=1, nodes=["sl-1"], digest="ee", metrics={})
        self._say("round", round=6, nodes=nodes, digest="twice", metrics={})
        self._end(6)
        self.nodes = self._dice.sample(nodes, len(nodes) - 1)
        self._say("training_resumed", nodes=self.nodes, round=6)
        self._rounds(7, 9)
        self._say("training_stopped")
        self._end(9)
        return self.facts

    def _rounds(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            there = sorted(self._dice.sample(self.nodes, self._dice.randint(1, len(self.nodes))))
            for node in there:
                self._work(node, number)
            early = self._dice.random() < 0.5
            for node in there if early else ():
                self._times(node, number, there[0])
            self._round(number, there)
            for node in () if early else there:
                self._times(node, number, there[0])
            if self._dice.random() < 0.3:
                lost = self._dice.choice(self.nodes)
                self._say("node_lost", node=lost, by=self.nodes[0], reason="connection lost", since=1e9)
            self._say("output", node=there[0], stream="stdout", text="epoch\n")

    def _work(self, node: str, number: int) -> None:
        self._say("progress", node=node, round=number, batches=16 * number, loss=self._value())
        if self._dice.random() < 0.2:
            phase, nodes = self._dice.choice((None, "CHECKED_IN")), self._dice.choice((None, ["sl-9"]))
            since = self._dice.choice((None, 1e9))
            self._say("waiting", node=node, phase=phase, reason="sl-9 is late", nodes=nodes, since=since)

    def _times(self, node: str, number: int, coordinator: str) -> None:
        spent = {f"{name}_s": self._dice.random() for name in ("training", "waiting", "exchanging")}
        self._say("round_times", node=node, round=number, coordinator=coordinator, **spent)

    def _round(self, number: int, there: list[str]) -> None:
        out = {node: "not heard" for node in self.nodes if node not in there and self._dice.random() < 0.7}
        self._say(
            "round",
            round=number,
            nodes=there,
            digest=f"{number:064x}",
            metrics={node: self._judged() for node in there},
            left_out=self._dice.choice((out, None)),
            seconds=self._dice.choice((None, self._dice.random())),
            interval=16,
            tx=self._dice.choice((None, "0xab")),
            path=self._dice.choice((None, "shards")),
        )

    def _end(self, number: int) -> None:
        for node in self.nodes:
            if self._dice.random() < 0.7:
                end = self._dice.choice((None, {"loss": self._value(), "metric": self._value()}))
                self._say("node_finished", node=node, digest="ab", model="/m", metrics=end, round=number)
            else:
                code = self._dice.choice((None, "SWL-651"))
                self._say("node_failed", node=node, code=code, message="no memory\nreally", next="x", line=0)
        state = self._dice.choice(("finished", "failed"))
        late = {self.nodes[-1]: "late"}
        self._say("finished", state=state, rounds=number, model="/m", digest="ab", metrics={}, without=late)

    def _judged(self) -> dict[str, float | None]:
        return {name: self._value() for name in ("loss", "metric", "local_loss", "local_metric")} | {"batches": 16}

    def _value(self) -> float | None:
        return self._dice.choice((None, round(self._dice.random(), 4)))

    def _say(self, event: str, **fields: Any) -> None:
        self._write(event, training="t-1", **fields)

    def _write(self, event: str, **fields: Any) -> None:
        after = self.facts[-1]["time"] if self.facts else 1e9
        fact = {"v": 1, "seq": len(self.facts) + 1, "time": after + self._dice.random(), "event": event}
        self.facts.append({**fact, **fields})

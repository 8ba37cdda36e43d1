"""The live output: drawn while it runs, throttled, once more at the end; an interrupt detaches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from swarm_lab.jupyter.live import LiveTraining

CREATED = {"v": 1, "seq": 1, "time": 1.0, "event": "training_created", "training": "t-1", "nodes": ["sl-1"], "sync": 1}
FINISHED = {"v": 1, "seq": 9, "time": 2.0, "event": "finished", "training": "t-1", "state": "finished", "digest": "ab"}


class Shown(list[dict[str, str]]):
    """What was shown, and a word when something was."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Event()

    def __call__(self, bundle: dict[str, str]) -> None:
        self.append(bundle)
        self.changed.set()


def progress(batches: int) -> dict[str, Any]:
    return {**CREATED, "event": "progress", "node": "sl-1", "round": 1, "batches": batches, "loss": 0.5}


def test_many_events_make_few_pictures_and_the_last_one_is_shown() -> None:
    shown = Shown()
    live = LiveTraining("t-1", "demo", shown, interval=60, clock=lambda: 3.0)
    last = live.follow([CREATED, *(progress(n) for n in range(500)), FINISHED], detached="")
    assert last == FINISHED
    assert len(shown) == 2
    assert "finished" in shown[-1]["text/plain"] and ">499<" in shown[-1]["text/html"]


def test_it_is_drawn_while_nothing_comes() -> None:
    shown = Shown()

    def events() -> Iterator[dict[str, Any]]:
        yield CREATED
        shown.changed.clear()
        assert shown.changed.wait(20)
        yield FINISHED

    LiveTraining("t-1", "demo", shown, interval=0.01).follow(events(), detached="")
    assert len(shown) >= 3


def test_an_interrupt_detaches_and_says_so() -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield CREATED
        raise KeyboardInterrupt

    shown = Shown()
    last = LiveTraining("t-1", "demo", shown, interval=60).follow(events(), detached="Detached. t-1 goes on.")
    assert last is None
    assert shown[-1]["text/plain"].endswith("Detached. t-1 goes on.")
    assert "Detached. t-1 goes on." in shown[-1]["text/html"]


def test_output_of_programs_is_kept_and_that_of_others_is_not() -> None:
    live = LiveTraining("t-1", "demo", Shown())
    for training, text in (("t-1", "mine\n"), ("t-2", "theirs")):
        live.take({**CREATED, "event": "output", "training": training, "node": "sl-1", "text": text})
    html = live.bundle()["text/html"]
    assert "sl-1  mine" in html and "theirs" not in html

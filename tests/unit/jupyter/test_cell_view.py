"""The live view of a cell: what the kernel sends to the browser, and what is left in a saved notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from support.training_story import Story

from swarm_lab.facts.views import fold
from swarm_lab.front.detail import TrainingDetail, training_detail
from swarm_lab.jupyter.live import LiveTraining
from swarm_lab.jupyter.view import CellView


class FakeWidget:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.detail: dict[str, Any] | None = None
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self.heard: Callable[[Any, Any, Any], None] = lambda *_: None

    def send(self, content: Any) -> None:
        self.sent.append(json.loads(json.dumps(content)))

    def on_msg(self, callback: Callable[[Any, Any, Any], None]) -> None:
        self.heard = callback

    def close(self) -> None:
        self.closed = True


class Clock:
    """Goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


FACTS = [fact for fact in Story(1).tell() if fact.get("training") == "t-1"]


def whole() -> TrainingDetail:
    return training_detail(fold(FACTS)["t-1"], swarm="demo", seq=FACTS[-1]["seq"])


def test_early_facts_are_sent_again_and_later_ones_once() -> None:
    widget, clock = FakeWidget(), Clock()
    view = CellView(widget, whole, clock=clock)
    view.take(FACTS[0])
    view.flush()
    view.flush()
    assert [sent["facts"] for sent in widget.sent] == [FACTS[:1]] * 2
    clock.now = 11
    view.take(FACTS[1])
    view.take(FACTS[2])
    view.flush()
    view.flush()
    assert widget.sent[2:] == [{"after": FACTS[0]["seq"], "facts": FACTS[1:3]}]


def test_the_whole_comes_from_time_to_time_and_for_who_lacks_something() -> None:
    widget, clock = FakeWidget(), Clock()
    view = CellView(widget, whole, clock=clock)
    view.flush()
    assert widget.detail is None
    clock.now = 31
    view.flush()
    assert widget.detail == whole().model_dump(mode="json")
    widget.detail = None
    view.flush()
    assert widget.detail is None
    widget.heard(widget, {"since": 3}, [])
    view.flush()
    assert widget.detail is not None


def test_with_a_widget_the_picture_goes_on_more_slowly_and_is_shown_at_the_end() -> None:
    shown: list[dict[str, str]] = []
    widget, over = FakeWidget(), []
    live = LiveTraining(
        "t-1", "demo", shown.append, widget=widget, when_over=lambda: over.append(len(shown)), interval=0.001
    )
    live.follow(FACTS, detached="")
    assert 2 <= len(shown) <= 4 and over == [len(shown) - 1] and widget.closed
    assert "t-1" in shown[-1]["text/plain"] and "<section" in shown[-1]["text/html"]


NOTEBOOK = """
import json
from pathlib import Path
from types import SimpleNamespace
from swarm_lab.jupyter import live, view
view.STATIC = Path("static")
widget = view.training_widget("t-1", "demo")
shown = live.NotebookShow(widget)
was = []
draw = live.LiveTraining.draw
live.LiveTraining.draw = lambda self: (draw(self), was.append(shown._below is not None))
training = live.LiveTraining("t-1", "demo", shown, widget=widget, when_over=shown.end)
training.follow(json.loads(Path("facts.json").read_text()), detached="")
assert was[0]
"""


def test_a_saved_notebook_has_the_picture_and_no_widget(tmp_path: Any, need: Callable[..., None]) -> None:
    need("python:anywidget", "python:nbclient")
    import nbformat
    from nbclient import NotebookClient

    static = tmp_path / "static"
    static.mkdir()
    (static / "views.js").write_text("export default {}")
    (static / "views.css").write_text("")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    output, below = [one for one in notebook.cells[0].outputs if one.output_type == "display_data"]
    assert set(output.data) == {"text/html", "text/plain"} and dict(below.data) == {"text/plain": ""}
    assert "<section" in output.data["text/html"] and "data-swl-beside" not in output.data["text/html"]

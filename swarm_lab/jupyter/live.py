"""The live output of a training: follows its events and keeps one display up to date, a few times a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from IPython.display import DisplayHandle

from swarm_lab.facts.views import TrainingView, apply
from swarm_lab.front.detail import TrainingDetail, training_detail
from swarm_lab.front.training import Training
from swarm_lab.jupyter.card import card
from swarm_lab.jupyter.picture import picture
from swarm_lab.jupyter.text import plain
from swarm_lab.jupyter.view import CellView, Widget

if TYPE_CHECKING:
    from anywidget import AnyWidget

INTERVAL_S = 0.25
_OUTPUT_LINES = 200

Bundle = dict[str, str]
"""What is shown, by MIME type."""


class Show(Protocol):
    """Where pictures go: the first call makes the output, the later ones replace it."""

    def __call__(self, bundle: Bundle) -> None:
        """Show `bundle` in place of what was shown before."""


class LiveTraining:
    """Shows one training. Feed it events; it draws at most every `interval` seconds, and once more at the end.

    With a `widget` the browser draws while the training runs; the picture then stands at its beginning and its end.
    """

    def __init__(
        self,
        training: str,
        swarm: str,
        show: Show,
        *,
        widget: Widget | None = None,
        interval: float = INTERVAL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.training = training
        self.swarm = swarm
        self._show = show
        self._view = None if widget is None else CellView(widget, self._whole)
        self._seq = 0
        self._interval = interval
        self._clock = clock
        self._views: dict[str, TrainingView] = {training: TrainingView(training)}
        self._output: deque[tuple[str, str]] = deque(maxlen=_OUTPUT_LINES)
        self._note = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def follow(self, events: Iterable[Mapping[str, Any]], *, detached: str) -> Mapping[str, Any] | None:
        """Show the events until they end; returns the last one, or None if the user interrupted.

        An interrupt detaches: the training goes on, and the note `detached` says how to see it again.
        """
        painter = threading.Thread(target=self._paint, name=f"swarm-lab {self.training}", daemon=True)
        self.draw()
        painter.start()
        last: Mapping[str, Any] | None = None
        try:
            for event in events:
                self.take(event)
                last = event
        except KeyboardInterrupt:
            self._note = detached
            return None
        finally:
            self._ended.set()
            painter.join()
            self.draw()
            if self._view is not None:
                self._view.close()
        return last

    def take(self, event: Mapping[str, Any]) -> None:
        """Note one event; it is drawn with the next picture."""
        if self._view is not None:
            self._view.take(event)
        with self._lock:
            self._seq = int(event["seq"])
            if event.get("event") == "output" and event.get("training") == self.training:
                self._output.append((str(event.get("node")), str(event.get("text", "")).rstrip("\n")))
            else:
                apply(self._views, event)

    def draw(self) -> None:
        """Show how it stands now."""
        self._show(self.bundle())

    def bundle(self) -> Bundle:
        """How it stands now, as HTML and as plain text."""
        with self._lock:
            shot = picture(
                self._views[self.training], self.swarm, self._clock(), output=tuple(self._output), note=self._note
            )
        return {"text/html": card(shot), "text/plain": plain(shot)}

    def _whole(self) -> TrainingDetail:
        with self._lock:
            return training_detail(self._views[self.training], swarm=self.swarm, seq=self._seq)

    def _paint(self) -> None:
        """Draw in the background, so that time goes on where no event comes."""
        while not self._ended.wait(self._interval):
            if self._view is None:
                self.draw()
            else:
                self._view.flush()


def still(training: Training) -> Bundle:
    """A training as it stands now, for showing its handle."""
    shot = picture(training.view, training.facts.name, time.time())
    return {"text/html": card(shot), "text/plain": plain(shot)}


class NotebookShow:
    """Shows in the output of the running cell. One that cannot be updated (a terminal) gets lines instead."""

    def __init__(self, widget: AnyWidget | None = None) -> None:
        self._handle: Any = None  # IPython has no types
        self._widget = widget

    def __call__(self, bundle: Bundle) -> None:
        """Make the output, then update it; works from any thread.

        A widget is in the first output alone: JupyterLab shows it instead of the picture, and an error in place of it
        where there is no kernel any more. What is saved with the notebook at the end is the picture.
        """
        show = self._handle.update if self._handle is not None else self._first()
        show(bundle if self._widget is None else self._with_widget(bundle), raw=True)

    def _first(self) -> Any:
        made: Any = DisplayHandle
        self._handle = made()
        return self._handle.display

    def _with_widget(self, bundle: Bundle) -> dict[str, Any]:
        widget, self._widget = self._widget, None
        found: Any = widget._repr_mimebundle_() if widget is not None else None
        data = found[0] if isinstance(found, tuple) else found
        return {**(data or {}), **bundle}

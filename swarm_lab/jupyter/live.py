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
BESIDE_S = 1.0
"""Between two pictures that a widget hides: they are for front ends that know no widgets."""
_OUTPUT_LINES = 200

Bundle = dict[str, str]
"""What is shown, by MIME type."""

_NOTHING = {"text/plain": ""}


class Show(Protocol):
    """Where pictures go: the first call makes the output, the later ones replace it."""

    def __call__(self, bundle: Bundle) -> None:
        """Show `bundle` in place of what was shown before."""


class LiveTraining:
    """Shows one training. Feed it events; it draws at most every `interval` seconds, and once more at the end.

    With a `widget` the browser draws while the training runs, and the picture follows more slowly; `when_over` is
    called before the last picture.
    """

    def __init__(
        self,
        training: str,
        swarm: str,
        show: Show,
        *,
        widget: Widget | None = None,
        when_over: Callable[[], None] = lambda: None,
        interval: float = INTERVAL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.training = training
        self.swarm = swarm
        self._show = show
        self._view = None if widget is None else CellView(widget, self._whole)
        self._seq = 0
        self._when_over = when_over
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
            self._when_over()
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
        due = 0.0
        while not self._ended.wait(self._interval):
            if self._view is not None:
                self._view.flush()
            now = time.monotonic()
            if self._view is None or now >= due:
                due = now + BESIDE_S
                self.draw()


def still(training: Training) -> Bundle:
    """A training as it stands now, for showing its handle."""
    shot = picture(training.view, training.facts.name, time.time())
    return {"text/html": card(shot), "text/plain": plain(shot)}


class NotebookShow:
    """Shows in the output of the running cell. One that cannot be updated (a terminal) gets lines instead.

    A widget has an output of its own below the picture. Where it is drawn it hides the picture, by the mark that this
    has meanwhile. Where widgets are not known the picture goes on. At the end it alone is left: a front end shows an
    error in place of a widget whose kernel is gone.
    """

    def __init__(self, widget: AnyWidget | None = None) -> None:
        self._handle: Any = None  # IPython has no types
        self._widget = widget
        self._below: Any = None

    def __call__(self, bundle: Bundle) -> None:
        """Make the output, then update it; works from any thread."""
        first = self._handle is None
        if first:
            self._handle = _handle()
        show = self._handle.display if first else self._handle.update
        show(bundle if self._widget is None else _marked(bundle, self._widget.key), raw=True)
        if first and self._widget is not None:
            found: Any = self._widget._repr_mimebundle_()
            data = found[0] if isinstance(found, tuple) else found
            self._below = _handle()
            self._below.display({**(data or {}), **_NOTHING}, raw=True)

    def end(self) -> None:
        """The widget goes; what is shown from now on is the picture, without a mark."""
        self._widget = None
        if self._below is not None:
            self._below.update(_NOTHING, raw=True)


def _handle() -> Any:
    made: Any = DisplayHandle
    return made()


def _marked(bundle: Bundle, key: str) -> Bundle:
    """The picture as `widget.ts` finds it."""
    return {**bundle, "text/html": f'<div data-swl-beside="{key}">{bundle["text/html"]}</div>'}

"""The training of a cell as a live view in the browser, by anywidget: the same views as JupyterLab's tabs have.

The kernel only speaks: facts as they come and now and then a snapshot, from the thread that draws. It asks the browser
for nothing, as a message to a busy kernel may wait for the end of its cell.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from swarm_lab.front.detail import TrainingDetail

if TYPE_CHECKING:
    from anywidget import AnyWidget

STATIC = Path(__file__).parent / "static"
"""Built of `extension/src/widget.ts`; not there in a checkout where nobody has built it."""

_ALL_AGAIN_S = 10.0  # a browser that is still loading the script hears nothing
_SNAPSHOT_S = 30.0


class Widget(Protocol):
    """What a `CellView` needs of the widget."""

    detail: dict[str, Any] | None

    def send(self, content: Any) -> None:
        """A message to every view of it."""

    def on_msg(self, callback: Callable[[Any, Any, Any], None]) -> None:
        """Who is told of messages from a browser."""

    def close(self) -> None:
        """Let go of it, here and in the browser."""


class CellView:
    """Keeps one output's widget at the facts of its training. `whole` gives the training as it stands."""

    def __init__(
        self, widget: Widget, whole: Callable[[], TrainingDetail], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._widget = widget
        self._whole = whole
        self._clock = clock
        self._begun = clock()
        self._snapshot_due = self._begun + _SNAPSHOT_S
        self._fresh: list[Mapping[str, Any]] = []
        self._early: list[Mapping[str, Any]] = []
        self._seq = 0
        self._lock = threading.Lock()
        widget.on_msg(self._asked)

    def take(self, event: Mapping[str, Any]) -> None:
        """Note a fact; it is sent with the next flush."""
        with self._lock:
            self._fresh.append(event)

    def flush(self) -> None:
        """Send what is new; in the first seconds all again, and from time to time the whole."""
        now = self._clock()
        with self._lock:
            fresh, self._fresh = self._fresh, []
        if now - self._begun < _ALL_AGAIN_S:
            self._early += fresh
            if self._early:
                self._send(0, self._early)
        elif fresh:
            self._send(self._seq, fresh)
        if fresh:
            self._seq = int(fresh[-1]["seq"])
        if now >= self._snapshot_due:
            self._snapshot_due = now + _SNAPSHOT_S
            self._widget.detail = self._whole().model_dump(mode="json")

    def close(self) -> None:
        """The output goes on without it."""
        self._widget.close()

    def _send(self, after: int, facts: list[Mapping[str, Any]]) -> None:
        self._widget.send({"after": after, "facts": facts})

    def _asked(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A browser lacks facts: the whole comes with the next flush."""
        if isinstance(content, dict) and "since" in content:
            self._snapshot_due = self._clock()


def training_widget(training: str, swarm: str) -> AnyWidget | None:
    """A widget for one output; None where there is no anywidget, no built script, or no kernel to speak through."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or find_spec("anywidget") is None or not (STATIC / "views.js").exists():
        return None
    return _widget_class()(key=uuid.uuid4().hex, training=training, swarm=swarm)


def _widget_class() -> type[AnyWidget]:
    """Made when it is first wanted: importing anywidget takes a while, and it need not be there."""
    import anywidget
    import traitlets

    class TrainingWidget(anywidget.AnyWidget):
        """State is small, and what is large in it the browser lets go: a saved notebook does not grow by it."""

        _esm = STATIC / "views.js"
        _css = STATIC / "views.css"
        key = traitlets.Unicode().tag(sync=True)
        swarm = traitlets.Unicode().tag(sync=True)
        training = traitlets.Unicode().tag(sync=True)
        detail = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    return TrainingWidget

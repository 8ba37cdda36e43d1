"""The Jupyter server extension: puts the routes under `swarm-lab/api/`, tells Jupyter's events, reports activity."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_events import EventLogger
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join

from swarm_lab.facts.events import Event
from swarm_lab.jupyter.server.base import SETTING
from swarm_lab.jupyter.server.lab import Lab
from swarm_lab.jupyter.server.routes import handlers

EVENTS = "https://swarm-lab.dev/events/fact"
ACTIVITY = "swarm_lab_last_activity"
# Told by the live socket alone, to those who ask for them: there are many.
_MANY = frozenset({"progress", "output", "waiting", "round_times"})


class SwarmLabApp(ExtensionApp):
    """Reads swarms from disk and lets the front end call the verbs; it owns nothing."""

    name = "swarm_lab"
    extension_url = "/lab"
    load_other_extensions = True

    lab: Lab | None = None

    def initialize_settings(self) -> None:
        """Called by ExtensionApp."""
        self.lab = self.settings[SETTING] = Lab(self._facts, self._trains)
        logger = self._logger()
        if EVENTS not in logger.schemas:
            logger.register_event_schema(Path(__file__).with_name("fact_event.yaml"))

    def initialize_handlers(self) -> None:
        """Called by ExtensionApp; it puts the server's base URL before the paths."""
        self.handlers.extend(handlers(url_path_join("/swarm-lab", "api")))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Called once the event loop runs."""
        if self.lab is not None:
            self.lab.start()

    async def stop_extension(self) -> None:
        """Called when the server ends."""
        if self.lab is not None:
            await self.lab.stop()

    def current_activity(self) -> list[dict[str, str]]:
        """The trainings that go on: a server that is to end when nothing happens stays for them."""
        return [] if self.lab is None else self.lab.trainings()

    def _logger(self) -> EventLogger:
        assert self.serverapp is not None and self.serverapp.event_logger is not None
        return self.serverapp.event_logger

    def _trains(self) -> None:
        assert self.serverapp is not None
        # Not `self.settings`, of which the server has made a copy.
        self.serverapp.web_app.settings[ACTIVITY] = datetime.now(UTC)

    def _facts(self, swarm: str, facts: list[Event]) -> None:
        for fact in facts:
            if fact["event"] not in _MANY:
                data = {"swarm": swarm, "seq": fact["seq"], "event": fact["event"], "fact": fact}
                self._logger().emit(schema_id=EVENTS, data=data)

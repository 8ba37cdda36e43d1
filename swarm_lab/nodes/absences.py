"""Who and what is not heard at the moment, since when and why; in the words that a wait is told with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Most absences are over before anybody could read of them.
WORTH_TELLING_S = 1.0


class Absence(NamedTuple):
    """Since when, in unix seconds, and why."""

    since: float
    why: str

    def words(self) -> str:
        """For people: the time of day is that of this machine."""
        return f"not heard since {time.strftime('%H:%M:%S', time.localtime(self.since))}: {self.why}"


class Absences:
    """Peers by name, and the ledger. `clock` is unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._peers: dict[str, Absence] = {}
        self._told: set[str] = set()
        self._ledger: Absence | None = None

    def gone(self, peer: str, why: str) -> None:
        """A peer is not heard any more."""
        self._peers.setdefault(peer, Absence(self._clock(), why or "connection lost"))

    def back(self, peer: str) -> None:
        """It is heard."""
        self._peers.pop(peer, None)
        self._told.discard(peer)

    def ledger(self, why: str) -> None:
        """The ledger does not answer; without a reason it does again."""
        self._ledger = Absence(self._clock(), why) if why else None

    def news(self) -> Iterator[tuple[str, Absence]]:
        """Peers that have been away for a while, each once an absence."""
        now = self._clock()
        for peer, absence in self._peers.items():
            if peer not in self._told and now - absence.since >= WORTH_TELLING_S:
                self._told.add(peer)
                yield peer, absence

    def explain(self, text: str, nodes: list[str]) -> str:
        """A wait's text with what is known of those it waits for."""
        known = [f"{node} ({self._peers[node].words()})" for node in nodes if node in self._peers]
        others = [node for node in nodes if node not in self._peers]
        return f"{text}: {', '.join(known + others)}" if nodes else text

    def explain_ledger(self, text: str) -> str:
        """A wait for the ledger with why it does not answer."""
        return text if self._ledger is None else f"{text} ({self._ledger.words()})"

"""The numbers of one training on one node, as Prometheus reads them: phases, rounds, batches and waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from swarm_lab.facts import metrics


class Meter:
    """Turns what happens into `facts.metrics`. `clock` is monotonic, in seconds."""

    def __init__(self, training: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._training = training
        self._clock = clock
        self._phase: tuple[str, float] | None = None
        self._wait: tuple[str, float] | None = None
        self._last_round: float | None = None
        self._batches = 0

    def phase(self, phase: str) -> None:
        """The node has come to a phase; the one before is over."""
        now = self._clock()
        if self._phase is not None:
            before, since = self._phase
            if before == phase:
                return
            metrics.phase_seconds.labels(before).observe(now - since)
        self._phase = phase, now

    def round(self, number: int, took_part: bool) -> None:
        """A round was committed."""
        now = self._clock()
        if self._last_round is not None:
            metrics.round_seconds.observe(now - self._last_round)
        self._last_round = now
        metrics.current_round.labels(self._training).set(number)
        if took_part:
            metrics.rounds.inc()

    def batches(self, done: int) -> None:
        """The program has done so many batches since its start; fewer than before means that it was started again."""
        metrics.batches.inc(done - self._batches if done >= self._batches else done)
        self._batches = done

    def lost(self, batches: int) -> None:
        """So many batches are in no committed model."""
        metrics.lost_batches.inc(max(batches, 0))

    def waits(self, phase: str) -> None:
        """The node waits, and why in a word; the wait before, if there is one, is over."""
        if self._wait is None or self._wait[0] != phase:
            self.goes_on()
            self._wait = phase, self._clock()
            metrics.waits.labels(phase).inc()

    def goes_on(self) -> None:
        """The wait is over."""
        if self._wait is not None:
            phase, since = self._wait
            metrics.wait_seconds.labels(phase).inc(self._clock() - since)
            self._wait = None

"""The validation loss over the rounds: what adaptive sync makes of it, and when early stopping ends a training.

Every node computes this from the signed losses of the committed rounds, so it is exact: a float64 is a fraction, and
`fractions.Fraction` adds and compares without rounding. No order of summation and no processor makes a difference.

The number of a round is the *weighted mean loss*: sum(w * loss) / sum(w) over its participants, each loss being that of
the merged model which the round started from, on the participant's own validation data. A participant without a loss
(NaN, infinite, or none given) is left out of the mean, and so is one of weight 0. A round whose mean nobody knows (the
first one always) changes nothing: not the interval, not a counter, not what later rounds are compared with.

Adaptive sync, with S = the interval that the training starts with, m = the mean, p = the last known mean before it:

* The first known mean has nothing before it: the interval stays.
* p - m > |p| / 100, an improvement over one per cent: the interval doubles, to at most 8 * S; the counter of rounds
  without one starts anew. With a loss below zero "better" is still "smaller", by one per cent of its size.
* Else the counter goes up. At two the interval is halved, rounded down, to at least S / 4 rounded up (so at least 1);
  the counter starts anew, so that the next halving takes two more such rounds.

Early stopping: after `patience` known means in a row that are not below the smallest one before them.

The rule is our own; the product that this one is compatible with does not publish its rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite

from swarm_lab.rounds.messages import Participant, Result, number

LONGEST, SHORTEST = 8, 4
"""The interval stays between a `SHORTEST`-th of the start and `LONGEST` times the start."""
ENOUGH = Fraction(1, 100)
"""What counts as an improvement, as a share of the mean before."""
PATIENCE = 2
"""Rounds in a row without one after which the interval is halved."""
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Course:
    """How things stand after a round. `stale`: rounds without an improvement; `since`: rounds since the best mean."""

    interval: int
    mean: Fraction | None = None
    stale: int = 0
    best: Fraction | None = None
    since: int = 0


def mean_loss(participants: Sequence[Participant]) -> Fraction | None:
    """The weighted mean loss of a round; None where nobody with a weight knows a loss."""
    known = [(p.weight, loss) for p in participants if p.weight and isfinite(loss := number(p.loss))]
    total = sum(weight for weight, _ in known)
    return sum((weight * Fraction(loss) for weight, loss in known), Fraction(0)) / total if total else None


def step(course: Course, start: int, participants: Sequence[Participant]) -> Course:
    """How things stand after one more round; `start` is the interval that the training began with, in batches."""
    mean = mean_loss(participants)
    if mean is None:
        return course
    if course.best is None or mean < course.best:
        course = replace(course, best=mean, since=0)
    else:
        course = replace(course, since=course.since + 1)
    before, course = course.mean, replace(course, mean=mean)
    if before is None:
        return course
    if before - mean > abs(before) * ENOUGH:
        return replace(course, interval=min(2 * course.interval, LONGEST * start, _MOST), stale=0)
    if course.stale + 1 < PATIENCE:
        return replace(course, stale=course.stale + 1)
    return replace(course, interval=max(course.interval // 2, -(-start // SHORTEST)), stale=0)


class Trend:
    """The courses of one training. It keeps what it has computed: a round costs its own participants, not all rounds'.

    A result names the one before it, so two histories with the same last result are the same.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._rounds: list[tuple[Result, Course]] = []

    def after(self, history: Sequence[Result]) -> Course:
        """How things stand after these rounds, which are all from the first on."""
        same = min(len(history), len(self._rounds))
        while same and self._rounds[same - 1][0] != history[same - 1]:
            same -= 1
        course = self._rounds[same - 1][1] if same else Course(self._start)
        if same == len(history):
            return course
        del self._rounds[same:]
        for result in history[same:]:
            course = step(course, self._start, result.participants)
            self._rounds.append((result, course))
        return course

    def next_interval(self, history: Sequence[Result], participants: Sequence[Participant]) -> int:
        """Batches of the interval that follows a round of these participants, after this history."""
        return step(self.after(history), self._start, participants).interval

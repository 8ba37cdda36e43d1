"""The rows of the fault matrix: what is done to a training, to whom, and in which phase of a round."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from support import hosts
from support.course import Course, Event, Phases
from support.wards import Ward

from swarm_lab.provision.local import LocalNodes

PHASES = ("training", "checked_in", "planned", "merged", "committed")
SHORT_S = 5.0  # longer than it takes to find a peer silent


@dataclass(frozen=True, slots=True)
class Hurt:
    """What was done: when, in which phase, when it was over; `missed` are nodes that others must have named.

    `made` is the last round whose result was there already: the next one comes after it.
    """

    at: float
    phase: str = ""
    missed: tuple[str, ...] = ()
    over: float | None = None
    made: int = 0


Do = Callable[[Course, Event], Hurt]


@dataclass(frozen=True, slots=True)
class Row:
    """`do` gets the course and the last round, `before` the swarm before the training begins.

    `quick` rows are those of `make test`; `long` ones are asked for. A next round that takes more than `stall` seconds
    to come is a stall, however loaded the machine.
    """

    name: str
    do: Do
    quick: bool = False
    long: bool = False
    hosts: bool = False
    least: int = 2
    parts: tuple[str, ...] = ()
    limit: float = 60.0
    stall: float = 60.0
    before: Callable[[Ward], None] | None = None


# --- deaths -------------------------------------------------------------------------------------------------


def die(who: str, phase: str, course: Course, last: Event) -> Hurt:
    """kill -9 of a node, or of a node's program, when a member (itself, if it is one) is in this phase."""
    ward, coordinator = course.ward, course.coordinator(last, attempt=0)
    # The coordinator of the round that is to be hit: the next one, whose batches have just begun, is past for a phase
    # that comes with the merge.
    watched = coordinator if who == "coordinator" else course.coordinator(last, attempt=1)
    named = who in ("coordinator", "member", "program")
    victim = watched if named else who
    pid = _pid(course, who, victim)
    phases = Phases(ward, watched)
    if phase != "training":  # that is where it is, right after a round
        phases.reach(phase)
    os.kill(pid, signal.SIGKILL)
    at = time.monotonic()
    phases.poll()
    return Hurt(at, phases.last, (victim,) if named else (), made=phases.made)


def _pid(course: Course, who: str, victim: str) -> int:
    if who == "program":
        return course.ward.program(course.training, victim)
    return course.ward.supervisor() if who == "supervisor" else course.ward.pid(victim)


def deaths() -> Iterator[Row]:
    """Each kind of node at each phase that means something to it."""
    # Those of the nodes that do not learn are in `test_kills.py`.
    quick = {("member", "planned"), ("coordinator", "checked_in"), ("program", "checked_in")}
    for who in ("member", "coordinator", "program"):
        for phase in PHASES:
            yield Row(f"kill {who}, {phase}", partial(die, who, phase), quick=(who, phase) in quick, stall=15.0)
    for who in ("sn-2", "sentinel", "chain", "license", "identity"):
        for phase in ("training", "checked_in", "merged"):
            # Without the chain no round is committed; without the others rounds go on.
            stall = 60.0 if who == "chain" else 15.0
            yield Row(f"kill {who}, {phase}", partial(die, who, phase), stall=stall)
    # Last of all, as the whole swarm goes down and up after it.
    for phase in ("training", "merged"):
        yield Row(f"kill supervisor, {phase}", partial(die, "supervisor", phase))


# --- absences -----------------------------------------------------------------------------------------------


def freeze(who: str, seconds: float, course: Course, last: Event) -> Hurt:
    """SIGSTOP, and SIGCONT later."""
    ward = course.ward
    victim = _named(course, last, who)
    ward.freeze(victim)
    at = time.monotonic()
    _wait(course, seconds)
    ward.thaw()
    return Hurt(at, "training", _missed(ward, victim), time.monotonic())


def stopped(who: str, seconds: float, course: Course, _last: Event) -> Hurt:
    """Ended in good order, and started again later."""
    nodes = LocalNodes(course.ward.swarm.paths, course.ward.swarm.facts)
    at = time.monotonic()
    nodes.supervisor.stop([who])
    _wait(course, seconds)
    nodes.restart(who)
    return Hurt(at, "training", _missed(course.ward, who), time.monotonic())


def slow_peer(pause_s: float, seconds: float, course: Course, last: Event) -> Hurt:
    """The batches of one program take much longer for a while."""
    victim = _named(course, last, "member")
    at = time.monotonic()
    course.ward.pause(victim, pause_s)
    _wait(course, seconds)
    course.ward.pause(victim, None)
    return Hurt(at, "training", (victim,), time.monotonic())


def absences() -> Iterator[Row]:
    """Nodes that are away and come back."""
    for who in ("member", "coordinator", "sn-2", "sentinel", "chain", "license", "identity", "supervisor"):
        yield Row(f"freeze {who}, {SHORT_S:.0f} s", partial(freeze, who, SHORT_S), quick=who == "member")
    for who in ("sn-2", "sentinel", "license", "identity", "sl-4"):
        yield Row(f"stop {who}, {SHORT_S:.0f} s", partial(stopped, who, SHORT_S))
    yield Row("slow peer, 10 times the batch", partial(slow_peer, 3.0, 6.0), quick=True)


# --- links --------------------------------------------------------------------------------------------------


def link(
    do: Callable[[hosts.Network, list[str]], tuple[str, ...]], seconds: float, course: Course, last: Event
) -> Hurt:
    """Hurt links for a while. `do` gets the seats, the next coordinator first, and says who must be named."""
    net = course.ward.net
    first = course.coordinator(last)
    order = [first, *(seat for seat in course.ward.swarm.seats if seat != first)]
    at = time.monotonic()
    missed = do(net, order)
    _wait(course, seconds)
    net.heal()
    return Hurt(at, "training", missed, time.monotonic())


def _halves(net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.halves(seats[:2], seats[2:])
    return tuple(seats)


def _one_way(net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.one_way(seats[1], [seats[0], *seats[2:]])
    return (seats[1],)


def _one_link(net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.halves([seats[0]], [seats[1]])
    return ()


def _unplug(at: int, net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.unplug(seats[at])
    return (seats[at],)


def _slow(rate: str, net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.slow(seats[1], rate)
    return ()


def _lossy(percent: float, net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.lossy(seats[1], percent)
    return ()


def _far(delay_s: float, net: hosts.Network, seats: list[str]) -> tuple[str, ...]:
    net.far(seats[1], delay_s)
    return ()


def links() -> Iterator[Row]:
    """What happens to links; each needs hosts of their own."""
    row = partial(Row, hosts=True, parts=hosts.PARTS)
    yield row("halves, min_peers 2", partial(link, _halves, SHORT_S), quick=True)
    yield row("halves, min_peers 3", partial(link, _halves, SHORT_S), least=3)
    yield row("one way: a member is not heard", partial(link, _one_way, SHORT_S), quick=True)
    yield row("one link between two", partial(link, _one_link, SHORT_S))
    yield row("host of a member unplugged", partial(link, partial(_unplug, 1), SHORT_S))
    yield row("host of the coordinator unplugged", partial(link, partial(_unplug, 0), SHORT_S))
    yield row("slow link, 40 Mbit/s", partial(link, partial(_slow, "40mbit"), 6.0), quick=True)
    yield row("slow link, 8 Mbit/s", partial(link, partial(_slow, "8mbit"), 20.0), limit=120.0)
    yield row("lossy link, 5 %", partial(link, partial(_lossy, 5.0), 6.0), quick=True)
    yield row("far link, 100 ms each way", partial(link, partial(_far, 0.1), 6.0), quick=True)
    yield row("away for 12 s", partial(link, partial(_unplug, 1), 12.0), quick=True)
    yield row("away for 10 min", partial(link, partial(_unplug, 1), 600.0), long=True)


# --- the machine --------------------------------------------------------------------------------------------


def skew(seconds: float, course: Course, _last: Event) -> Hurt:
    """The wall clock of a node (`faked` before) jumps, and jumps back later."""
    at = time.monotonic()
    course.ward.skew("sl-2", seconds)
    _wait(course, SHORT_S)
    course.ward.skew("sl-2", 0)
    return Hurt(at, "training", (), time.monotonic())


def full_disk(course: Course, _last: Event) -> Hurt:
    """The disk of one node's trainings (`small_disk` before) is full for a while."""
    at = time.monotonic()
    with course.ward.filled():
        _wait(course, SHORT_S)
    return Hurt(at, "training", (), time.monotonic())


def machine() -> Iterator[Row]:
    """What is wrong with a node's machine."""
    for seconds, words in ((40.0, "40 s ahead"), (-40.0, "40 s behind"), (86400.0, "a day ahead")):
        yield Row(f"clock of a node {words}", partial(skew, seconds), parts=("faketime",), before=_faked)
    yield Row("disk of a node full", full_disk, quick=True, parts=("root", "mount"), before=_small)


def all_rows() -> list[Row]:
    """Every row, in the order in which they are done."""
    rows = [*links(), *absences(), *machine(), *deaths()]
    assert len({row.name for row in rows}) == len(rows)
    return rows


def _faked(ward: Ward) -> None:
    ward.faked("sl-2")


def _small(ward: Ward) -> None:
    ward.small_disk("sl-3")


def _named(course: Course, last: Event, who: str) -> str:
    at = {"coordinator": 0, "member": 1}.get(who)
    return who if at is None else course.coordinator(last, attempt=at)


def _missed(ward: Ward, victim: str) -> tuple[str, ...]:
    return (victim,) if victim in ward.swarm.seats else ()


def _wait(course: Course, seconds: float) -> None:
    """Some seconds, in which the rounds that are committed are seen as they come."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        course.poll()
        time.sleep(0.01)

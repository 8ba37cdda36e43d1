"""Operations: done once, remembered, bounded; what fails is told with its code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from swarm_lab.errors import GoneMeanwhile, NoSuchOperation, ServerBusy, SwarmDown
from swarm_lab.jupyter.server.models import Operation
from swarm_lab.jupyter.server.operations import AT_A_TIME, KEPT, Operations, Out, Target

LIMIT_S = 10.0


class Bench:
    """Operations with a gate that they wait at."""

    def __init__(self) -> None:
        self.seen: list[Operation] = []
        self.gate = threading.Event()
        self.operations = Operations(self.seen.append)

    def waits(self, out: Out) -> dict[str, bool]:
        out.say("waiting")
        assert self.gate.wait(LIMIT_S)
        return {"purged": True}

    async def done(self, id: str) -> Operation:
        async with asyncio.timeout(LIMIT_S):
            while (found := self.operations.get(id)).state == "running":
                await asyncio.sleep(0.005)
        return found


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_verb_says_what_it_does_and_what_came_of_it(bench: Bench) -> None:
    begun = bench.operations.start(Target("down", "demo"), bench.waits)
    assert begun.state == "running"
    bench.gate.set()
    found = await bench.done(begun.id)
    assert (found.state, found.answer, found.said) == ("done", {"purged": True}, ["waiting"])
    assert [one.state for one in bench.seen] == ["running", "running", "done"]


async def test_two_tabs_that_stop_the_same_swarm_have_one_operation(bench: Bench) -> None:
    first = bench.operations.start(Target("down", "demo"), bench.waits, "ana")
    second = bench.operations.start(Target("down", "demo"), bench.waits, "ben")
    assert first.id == second.id
    bench.gate.set()
    await bench.done(first.id)
    with pytest.raises(GoneMeanwhile, match=r"demo was already removed, by ana at \d\d:\d\d"):
        bench.operations.check_gone("demo")
    bench.operations.check_gone("other")


async def test_seats_are_added_as_often_as_asked(bench: Bench) -> None:
    bench.gate.set()
    ids = {bench.operations.start(Target("add", "demo"), bench.waits).id for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("fails", "code"),
    [(SwarmDown("it is down"), "SWL-106"), (ZeroDivisionError("x"), "SWL-000"), (OSError(28, "full"), "SWL-000")],
)
async def test_a_failure_is_told(bench: Bench, fails: Exception, code: str) -> None:
    def run(_out: Out) -> None:
        raise fails

    found = await bench.done(bench.operations.start(Target("train", "demo"), run).id)
    assert found.state == "failed" and found.error is not None and found.error.code == code


async def test_so_many_at_a_time_and_so_many_remembered(bench: Bench) -> None:
    started = [bench.operations.start(Target("add", f"s{n}"), bench.waits) for n in range(AT_A_TIME)]
    with pytest.raises(ServerBusy):
        bench.operations.start(Target("add", "more"), bench.waits)
    bench.gate.set()
    for one in started:
        await bench.done(one.id)
    quick: Callable[[Out], None] = lambda _out: None  # noqa: E731
    for number in range(KEPT + 20):
        await bench.done(bench.operations.start(Target("doctor", str(number)), quick).id)
    assert len(bench.operations.all()) <= KEPT + 1
    with pytest.raises(NoSuchOperation):
        bench.operations.get(started[0].id)


async def test_the_server_waits_a_moment_for_what_runs(bench: Bench) -> None:
    begun = bench.operations.start(Target("down", "demo"), bench.waits)
    await bench.operations.finish(0.05)
    assert bench.operations.get(begun.id).state == "running"
    bench.gate.set()
    await bench.operations.finish(LIMIT_S)
    assert bench.operations.get(begun.id).state == "done"

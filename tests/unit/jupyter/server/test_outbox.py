"""A client that does not read costs a bounded queue: states are replaced, streams are dropped and said to be."""

from __future__ import annotations

import asyncio

from swarm_lab.jupyter.server.outbox import LIMIT, Message, Outbox


def state(text: str, swarm: str = "a") -> Message:
    return Message(text, ("status", swarm))


def facts(text: str, swarm: str = "a") -> Message:
    return Message(text, stream=("facts", swarm))


async def drain(outbox: Outbox) -> list[str | tuple[str, str]]:
    found: list[str | tuple[str, str]] = []
    while True:
        try:
            taken = await asyncio.wait_for(outbox.take(), 0.01)
        except TimeoutError:
            return found
        found.append(taken.text if isinstance(taken, Message) else taken)


async def test_only_the_newest_state_of_a_swarm_waits_at_its_place() -> None:
    outbox = Outbox()
    for message in (state("a1"), state("b1", "b"), facts("f"), state("a2")):
        outbox.put(message)
    assert await drain(outbox) == ["a2", "b1", "f"]


async def test_a_full_queue_drops_a_stream_as_a_whole_and_says_which() -> None:
    outbox = Outbox(limit=4)
    for number in range(4):
        outbox.put(facts(f"a{number}"))
    outbox.put(facts("b", "b"))
    outbox.put(facts("a4"))
    assert await drain(outbox) == [("facts", "a"), "b"]
    outbox.put(facts("a5"))  # it was told: what comes now is new
    assert await drain(outbox) == ["a5"]


async def test_states_make_room_for_each_other_without_a_word() -> None:
    outbox = Outbox(limit=2)
    for number in range(5):
        outbox.put(state(str(number), str(number)))
    assert await drain(outbox) == ["3", "4"]


async def test_it_never_grows_beyond_its_limit() -> None:
    outbox = Outbox()
    for number in range(2000):
        outbox.put(facts(str(number), f"s{number % 7}"))
        outbox.put(Message("op", ("operation", number)))
        assert len(outbox) <= LIMIT

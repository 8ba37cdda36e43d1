"""One hop through a third peer: whom a message is from, where it goes on to, and what is not passed on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.relay import Relay
from swarm_lab.nodes.transport import PeerAddress
from swarm_lab.protos import peer_pb2
from swarm_lab.rounds import codec
from swarm_lab.rounds.messages import FetchMessage

A, B, ME = (f"0x{number:040x}" for number in (1, 2, 3))
FETCH = FetchMessage("a" * 64)


class Transport:
    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    async def send(self, peer: PeerAddress, training: str, message: Any, payload: Any, **more: str) -> None:
        self.sent.append((peer.node, training, message, payload, more))


@pytest.fixture
async def relay() -> tuple[Relay, Transport]:
    peers = [PeerAddress(n, f"sl-{n[-1]}", SpiffeId("org.swarm", "sl", f"sl-{n[-1]}"), "127.0.0.1:1") for n in (A, B)]

    async def read() -> list[PeerAddress]:
        return peers

    async def enrolled(node: str) -> str | None:
        return None

    directory, transport = Directory(read, enrolled), Transport()
    await directory.refresh()
    return Relay(ME, directory, transport), transport  # type: ignore[arg-type]


def head(**fields: str) -> peer_pb2.Head:
    return peer_pb2.Head(training="t-1", kind="FETCH", body=codec.encode(FETCH), instance="i", **fields)


async def test_a_message_goes_on_with_the_name_that_its_sender_was_verified_by(relay: Any) -> None:
    passing, transport = relay
    assert (
        passing.is_for_others(head(to=B))
        and not passing.is_for_others(head())
        and not passing.is_for_others(head(to=ME))
    )
    passing.pass_on(A, head(to=B), None)
    await asyncio.sleep(0)
    assert transport.sent == [(B, "t-1", FETCH, None, {"to": B, "origin": A, "instance": "i"})]


async def test_nothing_makes_two_hops_or_goes_to_nobody(relay: Any) -> None:
    passing, transport = relay
    with pytest.raises(codec.BadMessage, match="relayed once"):
        passing.pass_on(A, head(to=B, origin=B), None)
    passing.pass_on(A, head(to=f"0x{9:040x}"), None)
    await asyncio.sleep(0)
    assert transport.sent == []


async def test_who_a_relayed_message_is_from(relay: Any) -> None:
    passing, _ = relay
    assert passing.origin(B, head()) == B
    assert passing.origin(B, head(to=ME, origin=A)) == A
    for wrong in (head(to=B, origin=A), head(to=ME, origin="nobody"), head(origin=A)):
        with pytest.raises(codec.BadMessage, match="from or to nobody"):
            passing.origin(B, wrong)

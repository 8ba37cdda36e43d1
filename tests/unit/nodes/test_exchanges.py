"""Orders of exchanges: where what is merged lies, when another coordinator asks for the same again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm_lab.nodes.exchange_memory import Work
from swarm_lab.nodes.exchanges import Exchanges
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.assignments import contributors
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.exchange import Assignment
from swarm_lab.rounds.exchange_events import ExchangeDone, StartExchange
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.messages import GENESIS, Participant

ME = f"0x{1:040x}"
LAYOUT = Layout.from_arrays({"w": np.zeros(4, np.float32)})


class Streams:
    def expect(self, nodes: frozenset[str]) -> None:
        pass

    def forget(self) -> None:
        pass

    def rates(self) -> Iterator[tuple[str, float, int]]:
        yield from ()


class Blocks:
    """Stands for the exchange itself: as it does, it goes on with what it has for an assignment that it knows."""

    exact = True

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.orders = 0

    def start(self, work: Work) -> None:
        self.orders += 1
        if not self.works or self.works[-1].order.assignment.id != work.order.assignment.id:
            self.works.append(work)

    def end(self) -> None:
        pass


@pytest.fixture
async def vault(tmp_path: Path) -> Vault:
    vault = Vault(Checkpoints(tmp_path))
    vault.layout = LAYOUT
    return vault


async def begun(exchanges: Exchanges, blocks: Blocks, order: StartExchange) -> None:
    orders = blocks.orders
    exchanges.order(order)
    async with asyncio.timeout(10):
        while blocks.orders == orders:
            await asyncio.sleep(0.001)


async def test_what_is_merged_is_held_where_the_exchange_has_put_it(vault: Vault) -> None:
    blocks: Any = Blocks()
    exchanges = Exchanges(ME, vault, blocks, Streams(), pytest.fail)
    mine = (await vault.examine(LAYOUT.pack({"w": np.ones(4, np.float32)}))).root
    member = Participant(ME, 1, 1, mine, False)
    order = StartExchange(1, GENESIS, Assignment("a" * 64, contributors([member]), (), False), "mean", None)
    await begun(exchanges, blocks, order)
    await begun(exchanges, blocks, order)  # another coordinator's plan: the same members, the same shares
    (work,) = blocks.works
    assert exchanges.keep(ExchangeDone(0.0, "a" * 64, "d" * 64, ())) and vault.get("d" * 64) is work.out
    await begun(exchanges, blocks, replace(order, assignment=replace(order.assignment, id="b" * 64)))
    assert not exchanges.keep(ExchangeDone(0.0, "a" * 64, "e" * 64, ()))
    assert exchanges.keep(ExchangeDone(0.0, "b" * 64, "e" * 64, ()))
    assert vault.get("e" * 64) is blocks.works[1].out and blocks.works[1].out is not work.out
    await exchanges.close()

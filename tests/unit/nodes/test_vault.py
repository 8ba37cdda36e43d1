"""Models in memory that is shared with the program: what is still needed is never written over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.layout import Layout, root

LAYOUT = Layout.from_arrays({"w": np.zeros(4, np.float32)})


def model(value: float) -> bytearray:
    return LAYOUT.pack({"w": np.full(4, value, np.float32)})


@dataclass
class Shared:
    contribution: memoryview = field(default_factory=lambda: memoryview(bytearray(16)))
    merged: memoryview = field(default_factory=lambda: memoryview(bytearray(16)))
    holds: list[bool] = field(default_factory=list)

    def hold(self, wanted: bool) -> None:
        self.holds.append(wanted)


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
def vault(tmp_path: Path, shared: Shared) -> Vault:
    vault = Vault(Checkpoints(tmp_path))
    vault.layout = LAYOUT
    vault.share(shared)
    return vault


async def contribute(vault: Vault, shared: Shared, value: float) -> str:
    shared.contribution[:] = model(value)
    return (await vault.examine(shared.contribution)).root


async def test_a_contribution_is_held_as_long_as_somebody_may_ask_for_it(vault: Vault, shared: Shared) -> None:
    mine = await contribute(vault, shared, 1.0)
    vault.keep(frozenset({mine}))
    assert shared.holds == [True]
    vault.pin(mine)
    vault.keep(frozenset())
    assert shared.holds == [True] and mine in vault
    vault.unpin(mine)
    assert shared.holds == [True, False]


async def test_room_is_made_by_a_copy(vault: Vault, shared: Shared) -> None:
    mine = await contribute(vault, shared, 1.0)
    vault.keep(frozenset({mine}))
    await vault.make_room()
    shared.contribution[:] = model(2.0)
    assert vault.get(mine) == model(1.0) and root(LAYOUT, vault.get(mine)) == mine
    assert shared.holds == [True, False]


async def test_the_merged_model_comes_where_the_program_loads_it_from(vault: Vault, shared: Shared) -> None:
    assert vault.room() is shared.merged
    shared.merged[:] = model(3.0)
    first = root(LAYOUT, shared.merged)
    vault.put(first, shared.merged)
    vault.keep(frozenset({first}))
    assert vault.room() is not shared.merged  # it is in use, and on no disk
    await vault.store(1, "a" * 64, first, 10)
    assert vault.room() is shared.merged and first not in vault
    found = await vault.find(first)
    assert found is not None and bytes(found) == model(3.0)  # from the disk


async def test_loading_another_model_keeps_the_one_that_lay_there(vault: Vault, shared: Shared) -> None:
    shared.merged[:] = model(3.0)
    first = root(LAYOUT, shared.merged)
    vault.put(first, shared.merged)
    vault.keep(frozenset({first}))
    vault.pin(first)  # it is being written to disk, say
    loading = asyncio.create_task(vault.load(model(4.0)))
    await asyncio.sleep(0.05)
    assert not loading.done() and shared.merged == model(3.0)
    vault.unpin(first)
    await loading
    assert shared.merged == model(4.0) and vault.get(first) == model(3.0)


async def test_the_memory_of_a_program_that_has_ended_is_not_used(vault: Vault, shared: Shared) -> None:
    shared.merged = memoryview(b"")
    assert memoryview(vault.room()).nbytes == LAYOUT.nbytes


async def test_a_contribution_is_rounded_for_one_base(vault: Vault, shared: Shared) -> None:
    base = root(LAYOUT, model(1.0))
    vault.put(base, model(1.0))
    shared.contribution[:] = model(1.001)
    await vault.round("bf16", shared.contribution, base)
    found = await vault.examine(shared.contribution, base)
    assert found.root != root(LAYOUT, model(1.001))
    assert vault.is_rounded(found.root, base) and not vault.is_rounded(found.root, "c" * 64)
    assert vault.is_rounded("d" * 64, None)  # round 1 travels exactly

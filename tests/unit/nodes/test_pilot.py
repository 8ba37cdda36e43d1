"""The pilot: orders take effect between two batches, and contributions are relative to the machine's base."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from swarm_lab.errors import NotFinite
from swarm_lab.nodes.pilot import Arrival, Pilot
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.events import Finish, Load, Park, ProgramReady, StopProgram, SyncPoint, Train
from swarm_lab.rounds.layout import Layout, root
from swarm_lab.rounds.messages import Result

LAYOUT = Layout.from_arrays({"w": np.zeros(4, np.float32)})


def model(value: float) -> bytearray:
    return LAYOUT.pack({"w": np.full(4, value, np.float32)})


def digest(value: float) -> str:
    return root(LAYOUT, model(value))


@dataclass
class FakePort:
    """Records what the program would see."""

    seen: list[dict] = field(default_factory=list)
    asked: int = 0

    def attention(self) -> None:
        self.asked += 1

    async def release(self, model, **rest) -> None:
        value = None if model is None else float(LAYOUT.views(model)["w"][0])
        self.seen.append({"value": value, **rest})


class Bench:
    def __init__(self, tmp_path) -> None:
        self.vault = Vault(Checkpoints(tmp_path))
        self.vault.layout = LAYOUT
        for value in range(-20, 40):
            self.vault.put(digest(value), model(value))
        self.port = FakePort()
        self.events: list[ProgramReady | SyncPoint] = []
        self.pilot = Pilot(self.port, self.vault, self.events.append)

    async def settle(self) -> None:
        task = asyncio.create_task(self.pilot.run())
        try:
            for _ in range(200):
                await asyncio.sleep(0.001)
                if self.pilot._inbox.empty():
                    await asyncio.sleep(0.02)
                    if self.pilot._inbox.empty():
                        break
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def arrive(self, reason: str, value: float, batches: int) -> None:
        self.pilot.arrived(Arrival(reason, batches, 0.5, 0.9, model(value)))

    async def begin(self) -> None:
        self.arrive("begin", 1, 0)
        self.pilot.order(Load("adopt", digest(2), digest(1)))
        self.pilot.order(Train(8, keep_count=False))
        await self.settle()


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


async def test_a_program_begins_from_the_merged_model(bench: Bench) -> None:
    await bench.begin()
    [ready] = bench.events
    assert isinstance(ready, ProgramReady) and ready.root == digest(1)
    [seen] = bench.port.seen
    assert seen["value"] == 2 and seen["interval"] == 8 and seen["digest"] == digest(2) and not seen["stop"]


async def test_a_sync_point_tells_base_and_steps(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", 5, 8)
    await bench.settle()
    point = bench.events[-1]
    assert isinstance(point, SyncPoint) and not point.done
    assert (point.root, point.base, point.steps, point.batches) == (digest(5), digest(2), 8, 8)
    assert (point.loss, point.metric) == (0.5, 0.9)


async def test_rebase_in_mid_interval_keeps_local_work_and_counts_on(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(Load("rebase", digest(10), digest(2)))
    bench.pilot.order(Train(8, keep_count=True))
    await bench.settle()
    assert bench.port.asked >= 1 and len(bench.port.seen) == 1
    bench.arrive("attention", 5, 3)
    await bench.settle()
    assert bench.port.seen[-1]["value"] == 13 and bench.port.seen[-1]["interval"] is None
    bench.arrive("interval", 14, 8)
    await bench.settle()
    point = bench.events[-1]
    assert (point.root, point.base, point.steps) == (digest(14), digest(10), 8)


async def test_a_rebase_that_meets_the_sync_point_is_applied_before_it_is_reported(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(Load("rebase", digest(10), digest(2)))
    bench.pilot.order(Train(8, keep_count=True))
    bench.arrive("interval", 5, 8)
    await bench.settle()
    point = bench.events[-1]
    assert isinstance(point, SyncPoint) and (point.root, point.base) == (digest(13), digest(10))
    assert len(bench.port.seen) == 1


@pytest.mark.parametrize(("interval", "left"), [(16, 13), (4, 1), (2, 1), (8, None)])
async def test_a_new_interval_counts_what_was_done_before_it(bench: Bench, interval: int, left: int | None) -> None:
    await bench.begin()
    bench.pilot.order(Load("rebase", digest(10), digest(2)))
    bench.pilot.order(Train(interval, keep_count=True))
    await bench.settle()
    bench.arrive("attention", 5, 3)
    await bench.settle()
    assert bench.port.seen[-1]["interval"] == left


async def test_a_longer_interval_that_meets_the_old_sync_point_puts_it_off(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(Load("rebase", digest(10), digest(2)))
    bench.pilot.order(Train(16, keep_count=True))
    bench.arrive("interval", 5, 8)
    await bench.settle()
    assert bench.port.seen[-1]["interval"] == 8 and not any(isinstance(x, SyncPoint) for x in bench.events)
    bench.arrive("interval", 14, 16)
    await bench.settle()
    assert bench.events[-1].batches == 16


async def test_the_local_models_loss_stands_in_the_sync_point(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.arrived(Arrival("interval", 8, 0.5, 0.9, model(5), local_loss=0.4, local_metric=0.95))
    await bench.settle()
    point = bench.events[-1]
    assert (point.loss, point.metric, point.local_loss, point.local_metric) == (0.5, 0.9, 0.4, 0.95)


async def test_reset_drops_local_work(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(Load("reset", digest(7), digest(2)))
    bench.pilot.order(Train(8, keep_count=True))
    await bench.settle()
    bench.arrive("attention", 5, 3)
    bench.arrive("interval", 9, 8)
    await bench.settle()
    assert bench.port.seen[-1]["value"] == 7
    assert (bench.events[-1].base, bench.events[-1].steps) == (digest(7), 5)


async def test_restore_parks_the_program_with_its_old_contribution(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", 5, 8)
    bench.pilot.order(Load("adopt", digest(6), digest(2)))
    bench.pilot.order(Train(8, keep_count=False))
    await bench.settle()
    bench.pilot.order(Load("restore", digest(5), digest(2)))
    await bench.settle()
    count, points = len(bench.port.seen), len(bench.events)
    bench.arrive("attention", 11, 10)
    await bench.settle()
    assert bench.pilot.parked and len(bench.port.seen) == count and len(bench.events) == points
    bench.pilot.order(Load("adopt", digest(4), digest(2)))
    bench.pilot.order(Train(8, keep_count=False))
    await bench.settle()
    assert bench.port.seen[-1]["value"] == 4 and not bench.pilot.parked


async def test_park_holds_a_program_without_a_sync_point(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(Park())
    await bench.settle()
    bench.arrive("interval", 5, 8)
    await bench.settle()
    assert bench.pilot.parked and len(bench.events) == 1


async def test_the_end_is_told_even_while_the_program_is_to_park(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(Park())
    await bench.settle()
    bench.arrive("end", 5, 8)
    await bench.settle()
    assert isinstance(bench.events[-1], SyncPoint) and bench.events[-1].done


async def test_a_base_that_changes_under_a_parked_program_gives_its_sync_point_again(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", 5, 8)
    await bench.settle()
    bench.pilot.order(Load("rebase", digest(10), digest(2)))
    bench.pilot.settled()
    await bench.settle()
    assert (bench.events[-1].root, bench.events[-1].base) == (digest(13), digest(10))
    count = len(bench.events)
    bench.pilot.settled()
    await bench.settle()
    assert len(bench.events) == count


async def test_a_count_that_is_full_goes_on_for_one_batch(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", 5, 8)
    bench.pilot.order(Load("reset", digest(7), digest(2)))
    bench.pilot.order(Train(8, keep_count=True))
    await bench.settle()
    assert bench.port.seen[-1]["interval"] == 1 and bench.port.seen[-1]["value"] == 7


async def test_stop_lets_the_program_come_back_for_good(bench: Bench) -> None:
    await bench.begin()
    bench.pilot.order(StopProgram())
    await bench.settle()
    bench.arrive("attention", 5, 3)
    await bench.settle()
    assert bench.port.seen[-1]["stop"] and not bench.port.seen[-1]["finished"]
    bench.arrive("end", 5, 3)
    await bench.settle()
    assert isinstance(bench.events[-1], SyncPoint) and bench.events[-1].done


async def test_stop_of_a_parked_program_sends_it_to_its_end(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", 5, 8)
    bench.pilot.order(Load("adopt", digest(6), digest(2)))
    bench.pilot.order(StopProgram())
    await bench.settle()
    assert bench.port.seen[-1]["stop"] and bench.port.seen[-1]["value"] == 6 and not bench.pilot.parked


async def test_finish_loads_the_final_model_also_into_a_program_that_still_trains(bench: Bench) -> None:
    await bench.begin()
    final = Result("0" * 64, 3, "0" * 64, (), True, 8, digest(20))
    bench.pilot.order(Finish(final, "f" * 64, ()))
    bench.arrive("attention", 5, 3)
    await bench.settle()
    last = bench.port.seen[-1]
    assert last["value"] == 20 and last["finished"] and last["stop"] and last["round_"] == 3


async def test_a_model_that_is_nowhere_is_an_error(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", 5, 8)
    bench.pilot.order(Load("adopt", "9" * 64, digest(2)))
    with pytest.raises(KeyError):
        async with asyncio.timeout(2):
            await bench.pilot.run()


async def test_a_nan_is_named_before_it_leaves_the_node(bench: Bench) -> None:
    await bench.begin()
    bench.arrive("interval", float("nan"), 8)
    with pytest.raises(NotFinite, match="'w' holds NaN or infinity after batch 8"):
        async with asyncio.timeout(2):
            await bench.pilot.run()

"""The program's side of a training: how it is launched, and the tasks that follow it while rounds go on."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from swarm_lab.callback.messages import STATE, Release, Sync
from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.process import end, read_record
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.launching import ProgramSpec, end_session
from swarm_lab.nodes.pilot import Arrival, Pilot
from swarm_lab.nodes.program import Program
from swarm_lab.nodes.staging import StageRequest
from swarm_lab.nodes.vault import Vault
from swarm_lab.rounds.layout import Buffer

log = logging.getLogger(__name__)

SAMPLE_S = 0.1
HELD_S = 0.03
_LEFTOVER_S = 2.0


def node_seed(seed: int, node: str) -> int:
    """A node's own seed, derived from the training's: 32 bits, as numpy's generators take."""
    return int.from_bytes(blake3(f"{seed}/{node}".encode()).digest()[:4], "big")


def program_spec(config: NodeConfig, request: StageRequest, folder: Path) -> ProgramSpec:
    """What the program of a training is given on this node; `folder` is the training's own."""
    directory = folder / "program"
    data = {"DATA_DIR": request.data_dir} if request.data_dir else {}
    folders = {
        "MODEL_DIR": str(folder / "model"),
        "SCRATCH_DIR": str(folder / "scratch"),
        STATE: str(folder / "state"),  # of every start of the program; it alone writes there
    }
    seats = int(config.options.get("seats", len(request.rules.nodes)))
    return ProgramSpec(
        program=directory / request.program,
        directory=directory,
        link=config.run_dir / f"link-{config.name}.sock",
        output=folder / "output.log",
        record=folder / "process.json",
        framework=config.framework,
        arguments=request.arguments,
        variables={**request.environment, **data, **folders},
        seed=node_seed(request.rules.seed, config.name),
        threads=max(1, (os.cpu_count() or 1) // max(1, seats)),
    )


async def end_leftover(record: Path) -> None:
    """End a program that this node started before it was killed itself: two would write to the same folders."""
    found = read_record(record)
    process = found.process() if found is not None else None
    if process is None:
        return
    log.warning("a program of before this node was started again still runs; it is ended", extra={"pid": process.pid})
    await asyncio.to_thread(end, [process], term_s=_LEFTOVER_S, kill_s=_LEFTOVER_S)
    await asyncio.to_thread(end_session, process.pid)


class ProgramPort:
    """The program as the pilot steers it."""

    def __init__(self, program: Program, vault: Vault) -> None:
        self._program = program
        self._vault = vault

    def attention(self) -> None:
        """See `pilot.Port`."""
        self._program.attention()

    async def release(
        self, model: Buffer | None, *, round_: int, interval: int | None, stop: bool, finished: bool, digest: str
    ) -> None:
        """See `pilot.Port`."""
        with_model = model is not None
        message = Release(with_model, round_, interval, stop, finished, digest)
        if model is not None:
            await self._vault.load(model)
        await self._program.release(message)


async def follow_arrivals(program: Program, pilot: Pilot) -> None:
    """Tell the pilot each time the program parks; waits for cancellation once the program has ended."""
    while True:
        try:
            sync = await program.parked()
        except SwarmLabError:
            await asyncio.Event().wait()  # its exit, which others watch, says more
            return
        pilot.arrived(_arrival(program, sync))


def _arrival(program: Program, sync: Sync) -> Arrival:
    # No copy: what a program writes after it has parked does not fit what was signed, and is refused by all.
    contribution = program.contribution() if sync.fresh else None
    measured = (sync.loss, sync.metric, sync.local_loss, sync.local_metric)
    loss, metric, local_loss, local_metric = (math.nan if value is None else value for value in measured)
    return Arrival(sync.reason, sync.batches, loss, metric, contribution, local_loss, local_metric)


async def follow_waits(program: Program, vault: Vault) -> None:
    """Make room for the program's next contribution where it waits for that; waits for cancellation."""
    while True:
        if program.held:
            await vault.make_room()
        await asyncio.sleep(HELD_S)


class Pace:
    """How fast the program's batches come, from its counters; they are its sign of life."""

    def __init__(self) -> None:
        self.batches = 0
        self.at = 0.0
        self.batch_seconds = 0.0

    async def follow(self, program: Program, tell: Callable[[int, float, float | None], None]) -> None:
        """Sample the counters ten times a second; `tell` gets batches, seconds a batch, training loss."""
        while True:
            seen = program.progress()
            if seen.batches != self.batches:
                if self.at and seen.at > self.at and seen.batches > self.batches:
                    pace = (seen.at - self.at) / (seen.batches - self.batches)
                    weight = 0.3 if self.batch_seconds else 1.0
                    self.batch_seconds += weight * (pace - self.batch_seconds)
                self.batches, self.at = seen.batches, seen.at
            tell(self.batches, self.batch_seconds, seen.loss)
            await asyncio.sleep(SAMPLE_S)

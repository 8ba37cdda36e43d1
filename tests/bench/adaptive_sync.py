"""What adaptive sync saves: digits on four nodes with skewed labels, trained with and without it.

    python tests/bench/adaptive_sync.py [--sync 10] [--batches 600] [--seeds 3] [--early-stopping N] [--plot FILE.png]

Machines, drivers, signatures, merges and training are real; ledger and wire are in memory, so that every byte that a
node sends to a peer can be counted: messages as they are encoded, and models. Prints a table and one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import swarm_in_process as lab

from swarm_lab.experiments.data import Split, prepare
from swarm_lab.nodes.pilot import Arrival
from swarm_lab.rounds.codec import encode
from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.messages import Heartbeat
from swarm_lab.rounds.trend import mean_loss

LIMIT_S = 600.0
ROWS = 32


class Digits(lab.Program):
    """The quickstart's program: a small network, Adam, its own rows drawn at random; it judges on its own rows."""

    def __init__(self, folder: Path, batches: int, seed: int) -> None:
        super().__init__(start=0.0, step=0.0, batches=batches, seconds=0.0)
        own, val = np.load(folder / "train.npz"), np.load(folder / "val.npz")
        self.x, self.y = torch.from_numpy(own["x"]), torch.from_numpy(own["y"])
        self.val = torch.from_numpy(val["x"]), torch.from_numpy(val["y"])
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.model = network(len(own["x"][0]), len(own["classes"]))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.005)
        self.score = (float("nan"), float("nan"))

    def batch(self) -> None:
        rows = torch.randint(len(self.x), (ROWS,), generator=self.generator)
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(self.x[rows]), self.y[rows]).backward()
        self.optimizer.step()

    def judge(self) -> tuple[float, float]:
        return judge(self.model, *self.val)

    async def park(self, reason: str, fresh: bool = True) -> dict[str, Any]:
        local = self.judge() if reason == "interval" else (float("nan"), float("nan"))
        arrays = {name: tensor.numpy() for name, tensor in self.model.state_dict().items()}
        contribution = bytes(lab.LAYOUT.pack(arrays)) if fresh else None
        self.pilot.arrived(Arrival(reason, self.done_batches, *self.score, contribution, *local))
        answer: dict[str, Any] = await self.answer.get()
        if answer["model"] is not None:
            views = lab.LAYOUT.views(answer["model"])
            self.model.load_state_dict({name: torch.from_numpy(np.array(view)) for name, view in views.items()})
            self.score = self.judge()
        return answer

    async def run(self) -> None:
        answer = await self.park("begin")
        left = answer["interval"]
        while self.done_batches < self.batches and not (answer["stop"] or answer["finished"]):
            self.batch()
            self.done_batches += 1
            left -= 1
            # Sites work side by side; this thread does the batch of one, then lets the others go.
            await asyncio.sleep(0.001)
            if left <= 0 or self.wanted:
                reason = "interval" if left <= 0 else "attention"
                answer = await self.park(reason)
                left = answer["interval"] or left
        fresh = True
        while not answer["finished"]:
            answer = await self.park("end", fresh)
            fresh = False


class Counted(lab.Node):
    """Counts what it sends to peers."""

    models = messages = 0

    async def post(self, to: str, message: Any, payload: Any) -> None:
        if not isinstance(message, Heartbeat):  # they go by the clock, and cost the same with and without
            self.messages += len(encode(message))
        self.models += 0 if payload is None else len(payload[1])
        await super().post(to, message, payload)


def network(features: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, classes))


def judge(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Loss and accuracy."""
    with torch.no_grad():
        out = model(x)
        return float(nn.functional.cross_entropy(out, y)), float((out.argmax(1) == y).float().mean())


async def train(split: Split, seed: int, options: argparse.Namespace, adaptive: bool) -> dict[str, Any]:
    """One training; its figures."""
    with tempfile.TemporaryDirectory() as folder:
        nodes = sorted(path for path in split.nodes.iterdir() if path.is_dir())
        programs = [Digits(path, options.batches, 100 * seed + number) for number, path in enumerate(nodes)]
        arrays = {name: tensor.numpy() for name, tensor in programs[0].model.state_dict().items()}
        lab.LAYOUT = Layout.from_arrays(arrays)
        lab.Node = Counted  # type: ignore[misc]
        rules = {"min_peers": 4, "sync": options.sync, "grace": 20.0, "early_stopping": options.early_stopping}
        swarm = lab.Swarm(Path(folder), programs, adaptive=adaptive, **rules)
        began = time.perf_counter()
        await asyncio.gather(*(node.start() for node in swarm.nodes))
        try:
            await swarm.outcomes(LIMIT_S)
        finally:
            await swarm.close()
    results = swarm.ledger.state.results
    loss, accuracy = judge(programs[0].model, torch.from_numpy(split.test_x), torch.from_numpy(split.test_y))
    counted: list[Counted] = swarm.nodes
    return {
        "adaptive": adaptive,
        "seed": seed,
        "rounds": len(results),
        "batches": programs[0].done_batches,
        "model_bytes": lab.LAYOUT.nbytes,
        "sent_bytes_per_node": round(sum(node.models + node.messages for node in counted) / len(counted)),
        "loss": round(loss, 4),
        "accuracy": round(accuracy, 4),
        "seconds": round(time.perf_counter() - began, 1),
        "intervals": [result.next for result in results],
        "means": [None if (mean := mean_loss(r.participants)) is None else round(float(mean), 4) for r in results],
    }


def table(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the runs; returns their means and the ratio."""
    print(
        f"{'seed':>4} {'sync':<10}{'batches':>8}{'rounds':>8}{'KiB sent a node':>17}{'accuracy':>10}{'loss':>8}{'s':>7}"
    )
    for run in runs:
        way = "adaptive" if run["adaptive"] else "fixed"
        print(
            f"{run['seed']:>4} {way:<10}{run['batches']:>8}{run['rounds']:>8}{run['sent_bytes_per_node'] / 1024:>17.1f}"
            f"{run['accuracy']:>10.4f}{run['loss']:>8.4f}{run['seconds']:>7}"
        )
    means = {
        way: {
            key: float(np.mean([run[key] for run in runs if run["adaptive"] is adaptive]))
            for key in ("batches", "rounds", "sent_bytes_per_node", "accuracy", "loss")
        }
        for way, adaptive in (("fixed", False), ("adaptive", True))
    }
    ratio = means["adaptive"]["sent_bytes_per_node"] / means["fixed"]["sent_bytes_per_node"]
    print(f"adaptive sync sends {ratio:.0%} of the bytes: {1 - ratio:.0%} saved")
    return {**means, "ratio": round(ratio, 4)}


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Mean validation loss over the batches, and the intervals."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(7, 5), sharex=True, layout="constrained")
    for run in (run for run in runs if run["seed"] == 0):
        starts = np.cumsum([0, *run["intervals"][:-1]])
        name = f"{'adaptive' if run['adaptive'] else 'fixed'}, {run['rounds']} rounds"
        above.plot(starts, [np.nan if mean is None else mean for mean in run["means"]], marker=".", label=name)
        below.step(starts, run["intervals"], where="post")
    above.set_ylabel("mean validation loss")
    above.set_yscale("log")
    above.legend(frameon=False)
    below.set_ylabel("interval, batches")
    below.set_xlabel("batches")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sync", type=int, default=10)
    parser.add_argument("--batches", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--early-stopping", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            split = prepare("digits", Path(folder) / str(seed), seed=seed)
            for adaptive in (False, True):
                runs.append(asyncio.run(train(split, seed, options, adaptive)))
    figures = table(runs)
    if options.plot is not None:
        plot(runs, options.plot)
    asked = {name: value for name, value in vars(options).items() if name != "plot"}
    print(json.dumps({**asked, **figures, "cpus": os.cpu_count(), "runs": runs}))


if __name__ == "__main__":
    main()

"""What the wire formats cost and save: bytes, accuracy, weights and time; no swarm runs.

    python tests/bench/wire.py [--rounds 60] [--sync 10] [--seeds 10] [--merge mean] [--params 10] [--json]

Four sites train a small network on digits with skewed labels, each on its own rows. Every round goes as in a swarm:
each site's model is quantised with the format at test, `merge` merges, the result is quantised, and all go on from it;
round 1 travels exactly. The last row is float32 once more with other batches: how far apart two runs are that only draw
other rows. Then each codec's time on a large model of float32, one thread, block by block.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from swarm_lab.experiments.data import Split, prepare
from swarm_lab.rounds.layout import Layout, TensorSpec
from swarm_lab.rounds.merge import METHODS, merge
from swarm_lab.rounds.wire import WIRES, Wire
from tests.bench import machine

ROWS = 32
OTHER = "float32, other batches"


class Site:
    """A site: its rows, network and optimizer, which goes on over the rounds as a program's does."""

    def __init__(self, folder: Path, seed: int, draw: int) -> None:
        own = np.load(folder / "train.npz")
        self.x, self.y = torch.from_numpy(own["x"]), torch.from_numpy(own["y"])
        self.generator = torch.Generator().manual_seed(draw)
        torch.manual_seed(seed)
        # With BatchNorm: a model of floats and of an integer, which travels exactly.
        width = self.x.shape[1]
        self.model = nn.Sequential(
            nn.Linear(width, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, len(own["classes"]))
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.005)

    def arrays(self) -> dict[str, np.ndarray]:
        """The model's own memory, by name."""
        return {name: tensor.numpy() for name, tensor in self.model.state_dict().items()}

    def train(self, batches: int) -> None:
        self.model.train()
        for _ in range(batches):
            rows = torch.randint(len(self.x), (ROWS,), generator=self.generator)
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(self.x[rows]), self.y[rows]).backward()
            self.optimizer.step()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one run: accuracy on the common test rows, the model's floats, and the largest rounding on the way."""

    accuracy: float
    weights: np.ndarray
    rounding: float
    share: float
    """Bytes of all models on the wire, as a share of theirs."""


def run(split: Split, wire: Wire, seed: int, draw: int, asked: argparse.Namespace) -> Outcome:
    """One training of all sites."""
    folders = sorted(path for path in split.nodes.iterdir() if path.is_dir())
    sites = [Site(folder, seed, 1000 * draw + number) for number, folder in enumerate(folders)]
    layout = Layout.from_arrays(sites[0].arrays())
    base: memoryview | None = None
    rounding, sent = 0.0, 0
    for _ in range(asked.rounds):
        used = wire.for_round(base)
        sent += used.whole(layout)
        given = []
        for site in sites:
            site.train(asked.sync)
            contribution = layout.pack(site.arrays())
            rounding = max(rounding, quantise(used, layout, contribution, base))
            given.append((1, contribution))
        merged = merge(asked.merge, layout, given, base)
        rounding = max(rounding, quantise(used, layout, merged, base))
        base = merged
        for site in sites:
            views = layout.views(merged)
            for name, array in site.arrays().items():
                array[...] = views[name]
    model = sites[0].model.eval()
    with torch.no_grad():
        right = model(torch.from_numpy(split.test_x)).argmax(1) == torch.from_numpy(split.test_y)
    assert base is not None
    return Outcome(float(right.float().mean()), floats(layout, base), rounding, sent / (asked.rounds * layout.nbytes))


def quantise(wire: Wire, layout: Layout, x: Any, base: memoryview | None) -> float:
    """Quantise a model; the largest change of a float."""
    before = floats(layout, x)
    wire.quantise(layout, x, base)
    return float(np.abs(floats(layout, x) - before).max())


def floats(layout: Layout, buffer: Any) -> np.ndarray:
    """All floats of a model as one array, a copy."""
    return np.concatenate([view.ravel() for view in layout.views(buffer).values() if view.dtype.kind == "f"])


def accuracies(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each format, over all seeds; models are compared with float32's of the same seed."""
    found: dict[str, list[Outcome]] = {name: [] for name in [*WIRES, OTHER]}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.seeds):
            split = prepare("digits", Path(folder) / str(seed), seed=seed)
            for name, outcomes in found.items():
                draw = asked.seeds + seed if name == OTHER else seed
                outcomes.append(run(split, WIRES[name.split(",")[0]], seed, draw, asked))
    exact = found["float32"]
    return [
        {
            "wire": name,
            "share": outcomes[0].share,
            "accuracy": float(np.mean([one.accuracy for one in outcomes])),
            "sd": float(np.std([one.accuracy for one in outcomes], ddof=1)) if len(outcomes) > 1 else 0.0,
            "least": float(np.min([a.accuracy - b.accuracy for a, b in zip(outcomes, exact, strict=True)])),
            "most": float(np.max([a.accuracy - b.accuracy for a, b in zip(outcomes, exact, strict=True)])),
            "rounding": max(one.rounding for one in outcomes),
            "weights": max(float(np.abs(a.weights - b.weights).max()) for a, b in zip(outcomes, exact, strict=True)),
        }
        for name, outcomes in found.items()
    ]


def times(parameters: int, repeat: int = 5) -> list[dict[str, Any]]:
    """Nanoseconds a value of each codec, the best of a few runs, on updates of a thousandth of the weights."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(parameters, dtype=np.float32)
    x = base + np.float32(1e-3) * rng.standard_normal(parameters, dtype=np.float32)
    layout = Layout.of([TensorSpec("w", "F32", (parameters,))])
    mine, before, out = (memoryview(part).cast("B") for part in (x, base, np.empty_like(x)))
    blocks = [block.bytes for block in layout.blocks]
    rows = []
    for name, wire in WIRES.items():

        def encode(wire: Wire = wire) -> list[memoryview]:
            return [wire.encode(layout, block, mine[block], before[block]) for block in blocks]

        sent = encode()

        def decode(wire: Wire = wire, sent: list[memoryview] = sent) -> None:
            for block, data in zip(blocks, sent, strict=True):
                wire.decode(layout, block, data, before[block], out[block])

        seconds = best(encode, repeat), best(decode, repeat)
        rows.append(
            {"wire": name, "encode_ns": seconds[0] / parameters * 1e9, "decode_ns": seconds[1] / parameters * 1e9}
        )
    return rows


def best(work: Callable[[], object], repeat: int) -> float:
    """Seconds of the quickest run."""
    taken = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def show(rows: list[dict[str, Any]], speeds: list[dict[str, Any]]) -> None:
    """Both tables, as Markdown."""
    head = ("Format", "Bytes", "Accuracy, mean +- sd", "Beside float32, points", "Largest rounding", "Weights apart")
    print(f"| {' | '.join(head)} |\n|---{'|--:' * (len(head) - 1)}|")
    for row in rows:
        print(
            f"| {row['wire']} | {row['share']:.1%} | {row['accuracy']:.2%} +- {row['sd']:.2%} "
            f"| {100 * row['least']:+.2f} to {100 * row['most']:+.2f} | {row['rounding']:.1e} | {row['weights']:.1e} |"
        )
    print("\n| Format | Encode, ns a value | Decode, ns a value |\n|---|--:|--:|")
    for row in speeds:
        print(f"| {row['wire']} | {row['encode_ns']:.2f} | {row['decode_ns']:.2f} |")


def main() -> None:
    """Measure, and print the machine and two tables, or with `--json` one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--sync", type=int, default=10, help="batches between two rounds [10]")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--merge", choices=METHODS, default="mean")
    parser.add_argument("--params", type=float, default=10, help="millions of values for the times [10]")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    about = machine.facts()
    speeds = times(int(asked.params * 1e6))
    rows = accuracies(asked)
    if asked.json:
        print(json.dumps({"machine": about, **vars(asked), "accuracy": rows, "times": speeds}))
        return
    print(", ".join(f"{key} {value}" for key, value in about.items()), end="\n\n")
    show(rows, speeds)


if __name__ == "__main__":
    main()

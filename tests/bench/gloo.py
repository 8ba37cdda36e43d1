"""PyTorch's own all-reduce over plain TCP, to compare with: no encryption, no identity, nobody may be missing.

`python -m tests.bench.gloo RANK NODES COUNT ROUNDS INSTANTS FOLDER` is one peer.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from tests.bench import instants

LIMIT_S = 600


def main(rank: int, nodes: int, count: int, rounds: int, told: str, folder: Path) -> None:
    """One peer; they meet through a file."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder / 'meeting'}", timedelta(seconds=LIMIT_S), world_size=nodes, rank=rank
    )
    model = torch.from_numpy(np.concatenate(instants.content(count)))
    for number in range(rounds):
        model += rank + 1
        dist.all_reduce(model)
        model /= nodes
        instants.held(told, rank, number, float(model[-1]))
    if rank == 0:
        cuts = np.cumsum([tensor.size for tensor in instants.content(count)])[:-1]
        instants.checked(told, np.split(model.numpy(), cuts), rounds, (nodes + 1) / 2)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]), sys.argv[5], Path(sys.argv[6]))

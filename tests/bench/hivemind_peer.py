"""One peer of hivemind's DecentralizedAverager; runs in hivemind's own environment, by its path.

`python hivemind_peer.py RANK NODES COUNT ROUNDS INSTANTS FOLDER`. A group has all peers, so that every average is over
all; a full group starts at once. TLS 1.3 is on by default there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import hivemind
import instants
import torch

MATCHMAKING_S = 5.0  # hivemind's default
STEP_S = 60.0
HOST = ["/ip4/127.0.0.1/tcp/0"]


def meet(rank: int, folder: Path) -> hivemind.DHT:
    """The first peer writes its address, the others read it."""
    address = folder / "address"
    if rank == 0:
        dht = hivemind.DHT(start=True, host_maddrs=HOST)
        new = folder / "address.new"
        new.write_text("\n".join(map(str, dht.get_visible_maddrs())))
        new.rename(address)
        return dht
    until = time.monotonic() + STEP_S
    while not address.exists():
        if time.monotonic() > until:
            raise TimeoutError("the first peer did not come")
        time.sleep(0.05)
    return hivemind.DHT(start=True, host_maddrs=HOST, initial_peers=address.read_text().split())


def main(rank: int, nodes: int, count: int, rounds: int, told: str, folder: Path) -> None:
    """Add, average, tell."""
    torch.set_num_threads(1)
    dht = meet(rank, folder)
    averager = hivemind.DecentralizedAverager(
        [torch.from_numpy(tensor) for tensor in instants.content(count)],
        dht,
        prefix="bench",
        target_group_size=nodes,
        min_group_size=nodes,
        min_matchmaking_time=MATCHMAKING_S,
        request_timeout=MATCHMAKING_S / 2,
        start=True,
    )
    for number in range(rounds):
        with averager.get_tensors() as tensors:
            for tensor in tensors:
                tensor.add_(rank + 1)
        while averager.step(weight=1.0, timeout=STEP_S, allow_retries=True) is None:
            instants.put(told, failed=number, who=rank)
        with averager.get_tensors() as tensors:
            instants.held(told, rank, number, float(tensors[-1].flatten()[-1]))
    if rank == 0:
        with averager.get_tensors() as tensors:
            instants.checked(told, [tensor.numpy() for tensor in tensors], rounds, (nodes + 1) / 2)
    time.sleep(2)  # the others still read from this one
    averager.shutdown()
    dht.shutdown()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]), sys.argv[5], Path(sys.argv[6]))

"""`python -m rounds_sim FROM TO [--enemy KIND|all] [--trace]` in tests/: schedules by seed, for those who debug."""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rounds_sim.schedules import KINDS, chaos, limit


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--enemy", choices=[*KINDS, "all"])
    parser.add_argument("--adaptive", action="store_true")
    parser.add_argument("--sharded", action="store_true")
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    figures: collections.Counter[str] = collections.Counter()
    started = time.perf_counter()
    for seed in range(options.first, options.last):
        enemy = sorted(KINDS)[seed % len(KINDS)] if options.enemy == "all" else options.enemy
        world = chaos(seed, enemy, adaptive=options.adaptive, sharded=options.sharded)
        world.trace = [] if options.trace else None
        figures["schedules"] += 1
        try:
            world.run(limit(world))
        except AssertionError as error:
            figures["bad"] += 1
            print(seed, enemy or "", str(error)[:400], flush=True)
        except Exception:  # noqa: BLE001 - a debugging tool: show it and go on with the next seed
            figures["broken"] += 1
            print(seed, enemy or "", traceback.format_exc()[-700:], flush=True)
        figures["rounds"] += len(world.newest.results)
        figures["seconds"] += int(world.now)
        figures["batches"] += next(world._batches)
        figures["lost batches"] += sum(len(p.trainer.lost) for p in world.peers.values() if p.epoch)
        figures["removed"] += len(world.newest.removed)
        for peer in world.peers.values():
            figures["failed"] += peer.failed is not None
        if options.trace:
            print(world.setup, list(world.hostile), *(world.trace or []), sep="\n")
    print(dict(figures), f"{time.perf_counter() - started:.1f} s")


main()

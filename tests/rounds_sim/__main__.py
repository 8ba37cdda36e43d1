"""`python -m rounds_sim [FIRST [LAST]] [--seeds N] ...` in tests/: schedules by seed; what fails prints its command."""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rounds_sim import hostile_blocks
from rounds_sim.crowds import crowd, go
from rounds_sim.network import MANY
from rounds_sim.schedules import KINDS, chaos, limit, various
from rounds_sim.world import World

ENEMIES = [*KINDS, *hostile_blocks.KINDS]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rounds_sim", description=__doc__)
    parser.add_argument("first", type=int, nargs="?", default=0, help="the first seed")
    parser.add_argument("last", type=int, nargs="?", help="where to stop; without it and --seeds: that one seed")
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--nodes", type=int, help=f"so many in each; more than {MANY}: the schedules of large swarms")
    parser.add_argument("--enemy", choices=[*ENEMIES, "all", "blocks"], help="one node is hostile; `all`: in turn")
    parser.add_argument("--adaptive", action="store_true", help="the interval follows the losses")
    parser.add_argument("--sharded", action="store_true", help="models go in shards")
    parser.add_argument("--small", action="store_true", help="models go through the coordinator")
    parser.add_argument("--relay", action="store_true", help="messages take one hop where a link is down")
    parser.add_argument("--slow", action="store_true", help="lines with rates")
    parser.add_argument("--trace", action="store_true")
    return parser.parse_args()


def world_of(seed: int, enemy: str | None, options: argparse.Namespace) -> World:
    """What the seed says; an option fixes what it names, and what is not named is then off."""
    o = options
    if o.nodes and o.nodes > MANY:
        return crowd(seed, o.nodes)
    if not (o.adaptive or o.sharded or o.small or o.relay or o.slow or o.nodes):
        return various(seed, enemy)
    return chaos(seed, enemy, adaptive=o.adaptive, sharded=o.sharded, relay=o.relay, slow=o.slow, nodes=o.nodes)


def command(seed: int, enemy: str | None, options: argparse.Namespace) -> str:
    flags = [f"--{name}" for name in ("adaptive", "sharded", "small", "relay", "slow") if getattr(options, name)]
    flags += [f"--nodes {options.nodes}"] if options.nodes else []
    flags += [f'--enemy "{enemy}"'] if enemy else []
    return " ".join(["python -m rounds_sim", str(seed), *flags, "--trace"])


def main() -> None:
    options = arguments()
    last = options.last or options.first + (options.seeds or 1)
    figures: collections.Counter[str] = collections.Counter()
    started, spent = time.perf_counter(), time.process_time()
    names = {"all": sorted(ENEMIES), "blocks": sorted(hostile_blocks.KINDS)}.get(options.enemy or "")
    for seed in range(options.first, last):
        enemy = names[seed % len(names)] if names else options.enemy
        world = world_of(seed, enemy, options)
        world.trace = [] if options.trace else None
        figures["schedules"] += 1
        try:
            go(world) if world.network.many else world.run(limit(world))
        except AssertionError as error:
            figures["bad"] += 1
            print(str(error)[:400], f"again: {command(seed, enemy, options)}", sep="\n", flush=True)
        except Exception:  # noqa: BLE001 - a debugging tool: show it and go on with the next seed
            figures["broken"] += 1
            print(traceback.format_exc()[-900:], f"again: {command(seed, enemy, options)}", sep="\n", flush=True)
        count(figures, world)
        if options.trace:
            print(world.setup, list(world.hostile), *(world.trace or []), sep="\n")
    cpu = time.process_time() - spent
    print(dict(figures), f"{time.perf_counter() - started:.1f} s, {cpu:.1f} s of CPU")


def count(figures: collections.Counter[str], world: World) -> None:
    figures["rounds"] += len(world.newest.results)
    figures["seconds"] += int(world.now)
    figures["batches"] += next(world._batches)
    figures["lost batches"] += sum(len(p.trainer.lost) for p in world.peers.values() if p.epoch)
    figures["removed"] += len(world.newest.removed)
    for peer in world.peers.values():
        figures["failed"] += peer.failed is not None


main()

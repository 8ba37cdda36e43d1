"""The sharded exchange with real bytes: what comes together is what `merge` gives, whatever happens on the way."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from support.exchanging import Site, Sites, models

from swarm_lab.nodes.frames import Head
from swarm_lab.rounds.layout import Buffer, Layout, TensorSpec, root
from swarm_lab.rounds.merge import merge
from swarm_lab.rounds.slices import SignedSlice
from swarm_lab.rounds.wire import WIRES

LAYOUT = Layout.of(
    [
        TensorSpec("w", "F32", (300, 100)),
        TensorSpec("half", "BF16", (5000,)),
        TensorSpec("steps", "I64", (3,)),
        TensorSpec("mask", "BOOL", (77,)),
    ]
)
MODELS = models(LAYOUT, 5)
BASE = models(LAYOUT, 1, seed=9)[0]

Make = Callable[..., Sites]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Sites] = []

    def build(count: int, given: Sequence[Buffer] = MODELS, **options: object) -> Sites:
        made.append(Sites(LAYOUT, given[:count], **options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for sites in made:
        sites.close()


def expected(sites: Sites, weights: Sequence[int], method: str, members: Sequence[int] | None = None) -> Buffer:
    chosen = [sites.sites[i] for i in members or range(len(weights))]
    return merge(method, LAYOUT, [(w, s.contribution) for w, s in zip(weights, chosen, strict=True)], sites.base)


@pytest.mark.parametrize("method", ["mean", "coordmedian", "geomedian"])
@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 3), (1, 0, 2, 5, 1)])
def test_all_hold_the_merge_of_all(make: Make, method: str, weights: tuple[int, ...]) -> None:
    sites = make(len(weights), base=BASE)
    order = sites.plan(sites.sites, weights, method)
    sites.start(sites.sites, order)
    done = sites.finish(sites.sites, order)
    merged = expected(sites, weights, method)
    assert {one.root for one in done} == {root(LAYOUT, merged)}
    assert all(site.out == merged for site in sites.sites)
    assert len({one.slices for one in done}) == 1
    assert {s.merger for s in done[0].slices} == {share.node for share in order.assignment.shares}


@pytest.mark.parametrize("wire", ["bf16", "fp16"])
def test_rounded_updates_come_together_to_the_same_bits(make: Make, wire: str) -> None:
    rounded = [bytearray(model) for model in MODELS[:3]]
    for model in rounded:
        WIRES[wire].quantise(LAYOUT, model, BASE)
    sites = make(3, rounded, wire=wire, base=BASE)
    sent: dict[tuple[object, ...], int] = {}

    def count(a: str, b: str, head: Head, body: bytes | None) -> list[tuple[Head, bytes | None]]:
        sent[a, b, head.kind, head.block] = len(body or b"")  # once, however often it was asked for
        return [(head, body)]

    sites.bend = count
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    done = sites.finish(sites.sites, order)
    merged = bytearray(expected(sites, (1, 1, 1), "mean"))
    WIRES[wire].quantise(LAYOUT, merged, BASE)
    assert {one.root for one in done} == {root(LAYOUT, merged)}
    assert (
        sum(sent.values()) < 0.6 * 4 * LAYOUT.nbytes
    )  # as float32 all six shares travel to three nodes, four models in all


def test_frames_that_are_lost_or_come_twice_change_nothing(make: Make) -> None:
    sites, rng = make(4), random.Random(5)

    def weather(a: str, b: str, head: Head, body: bytes | None) -> list[tuple[Head, bytes | None]]:
        return [(head, body)] * rng.choice([0, 1, 1, 1, 2])

    sites.bend = weather
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    done = sites.finish(sites.sites, order)
    assert {one.root for one in done} == {root(LAYOUT, expected(sites, (1, 1, 1, 1), "mean"))}
    assert not any(site.spoiled or site.refused for site in sites.sites)


@pytest.mark.parametrize("method", ["mean", "geomedian"])
def test_a_member_dies_in_the_midst_and_only_what_is_lost_moves_again(make: Make, method: str) -> None:
    sites = make(4, base=BASE)
    victim = sites.sites[1]
    first = sites.plan(sites.sites, method=method)
    # It has given its contribution, and nothing that it merged ever comes.
    lost = ("MERGED", "TABLES")
    sites.bend = lambda a, b, head, body: [] if a == victim.node and head.kind in lost else [(head, body)]
    sites.start(sites.sites, first)
    rest = [site for site in sites.sites if site is not victim]
    until(lambda: all(lacking(site) == ((), (victim.node,)) for site in rest))
    raw: list[tuple[str, str, int]] = []

    def count(a: str, b: str, head: Head, body: bytes | None) -> list[tuple[Head, bytes | None]]:
        if head.kind == "BLOCK":
            raw.append((a, b, head.block))
        return [(head, body)]

    sites.bend = count
    second = sites.plan(rest, method=method, before=first.assignment.shares)
    sites.start(rest, second)
    done = sites.finish(rest, second)
    assert {one.root for one in done} == {root(LAYOUT, expected(sites, (1, 1, 1), method, (0, 2, 3)))}
    kept = {share.node: share for share in first.assignment.shares}
    if method != "mean":  # nothing was merged, so nothing had been dropped: only the dead one's share moves
        assert all(not kept[b].first <= block < kept[b].stop for _, b, block in raw)


def test_the_memory_of_a_frame_is_used_again_when_the_last_of_its_blocks_goes_and_not_before(make: Make) -> None:
    sites = make(3, base=BASE)
    first = sites.plan(sites.sites)
    sites.bend = lambda a, b, head, body: [] if head.kind == "MERGED" else [(head, body)]
    sites.start(sites.sites, first)
    memory = sites.sites[0].exchange._memory
    assert memory is not None
    frame = np.zeros(3 * 64, np.uint8)
    # What a plan before this one has left: blocks of one frame, two of them of one contribution.
    for block, part in enumerate(np.split(frame, 3)):
        memory.raw[sites.sites[1].root, 1000 + block] = part
    for block, given in ((1000, False), (1002, False), (1001, True)):
        memory.forget(block)
        assert any(free is frame for free in memory.pool._free) is given


def bent(kind: str, change: Callable[[Head, bytes], tuple[Head, bytes]], by: str, to: str | None = None) -> object:
    def bend(a: str, b: str, head: Head, body: bytes | None) -> list[tuple[Head, bytes | None]]:
        if a == by and head.kind == kind and (to is None or b == to):
            return [change(head, body or b"")]
        return [(head, body)]

    return bend


def flipped(head: Head, body: bytes) -> tuple[Head, bytes]:
    return head, bytes([body[0] ^ 1]) + body[1:]


def test_blocks_that_do_not_fit_the_root_are_not_used_and_their_giver_is_named(make: Make) -> None:
    sites = make(3)
    liar, victim = sites.sites[0], sites.sites[2]
    sites.bend = bent("BLOCK", flipped, liar.node, victim.node)  # type: ignore[assignment]
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    until_told(victim)
    assert {(s.node, s.reason) for s in victim.spoiled} == {
        (liar.node, "its blocks do not fit the root that it signed")
    }
    assert not sites.sites[1].spoiled
    until(lambda: set().union(*lacking(victim)) == {liar.node})
    victim.exchange.tick(10.0, 0.0)
    assert victim.told[-1].lacks == (liar.node,)  # type: ignore[union-attr]


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20.0
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.002)


def until_told(site: Site) -> None:
    until(lambda: bool(site.spoiled))


def lacking(site: Site) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whose contributions are not here, and whose merged blocks or tables."""
    exchange = site.exchange._exchange
    return ((), ()) if exchange is None else exchange.overdue(float("inf"), 0.0)


def test_not_a_number_is_refused_by_the_tensors_name(make: Make) -> None:
    poisoned = [bytearray(model) for model in MODELS[:3]]
    LAYOUT.views(poisoned[0])["w"][...] = np.nan
    sites = make(3, poisoned)
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    honest = next(site for site in sites.sites[1:] if any(s.node == site.node for s in order.assignment.shares))
    until_told(honest)
    assert any("tensor 'w' holds NaN" in s.reason and s.node == sites.sites[0].node for s in honest.spoiled)


def test_merged_blocks_that_differ_between_peers_do_not_fit_what_was_signed(make: Make) -> None:
    sites = make(3)
    liar, victim = sites.sites[1], sites.sites[0]
    sites.bend = bent("MERGED", flipped, liar.node, victim.node)  # type: ignore[assignment]
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    until_told(victim)
    assert {s.node for s in victim.spoiled} == {liar.node}
    # The others vote without it; it fetches the model with their certificate.
    done = sites.finish([liar, sites.sites[2]], order)
    assert {one.root for one in done} == {root(LAYOUT, expected(sites, (1, 1, 1), "mean"))}
    assert victim.done(order.assignment.id) is None
    victim.exchange.tick(10.0, 10.0)
    assert victim.told[-1].unmerged == (liar.node,)  # type: ignore[union-attr]


def test_a_forged_slice_is_not_taken(make: Make) -> None:
    sites = make(3)
    liar = sites.sites[1]

    def forge(head: Head, body: bytes) -> tuple[Head, bytes]:
        said = SignedSlice(**json.loads(body))
        return head, json.dumps({"merger": said.merger, "digest": "0" * 64, "signature": said.signature}).encode()

    sites.bend = bent("SLICE", forge, liar.node)  # type: ignore[assignment]
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    until_told(sites.sites[0])
    assert sites.sites[0].spoiled[0].reason == "it sent a slice with a forged signature"
    assert sites.sites[0].done(order.assignment.id) is None


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("LIST", lambda h, b: (h, b[32:]), "do not make the root"),
        ("LIST", lambda h, b: (h, b"\0" * len(b)), "do not make the root"),
        ("BLOCK", lambda h, b: (h, b[:-1]), "another model"),
        ("SLICE", lambda h, b: (h, b"{}"), "cannot be read"),
        ("SLICE", lambda h, b: (replace(h, kind="MESSAGE"), b), "a frame MESSAGE"),
    ],
)
def test_what_no_honest_node_sends_is_refused(
    make: Make, kind: str, change: Callable[[Head, bytes], tuple[Head, bytes]], reason: str
) -> None:
    sites = make(2)
    liar, victim = sites.sites
    sites.bend = bent(kind, change, liar.node)  # type: ignore[assignment]
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    until(lambda: bool(victim.refused))
    assert reason in victim.refused[0]


def test_numbers_of_blocks_that_there_are_not_are_dropped(make: Make) -> None:
    sites = make(2)
    liar = sites.sites[0]
    sites.bend = lambda a, b, head, body: (
        [(replace(head, block=4000), body), (replace(head, key="", root="f" * 64), body), (head, body)]
        if a == liar.node
        else [(head, body)]
    )
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    done = sites.finish(sites.sites, order)
    assert {one.root for one in done} == {root(LAYOUT, expected(sites, (1, 1), "mean"))}


def test_a_contribution_that_the_program_changed_is_not_merged_and_this_node_is_named(make: Make) -> None:
    sites = make(2)
    mine = sites.sites[0]
    mine.contribution[:] = b"\1" * len(mine.contribution)
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    until_told(mine)
    assert "changed after it was signed" in mine.spoiled[0].reason
    assert mine.spoiled[0].node == mine.node


def test_frames_of_an_exchange_that_is_over_are_dropped(make: Make) -> None:
    sites = make(2)
    order = sites.plan(sites.sites)
    sites.start(sites.sites, order)
    sites.finish(sites.sites, order)
    site = sites.sites[0]
    site.exchange.end()
    head = Head("t-123456", "MERGED", key=order.assignment.id, block=0)
    assert site.exchange.place(sites.sites[1].node, head, LAYOUT.blocks[0].nbytes) is None
    site.exchange.arrived(sites.sites[1].node, head, memoryview(b""))

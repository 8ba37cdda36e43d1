"""The bookkeeping of a sharded exchange, order by order: what is given, asked, combined, signed, spoilt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rounds_sim.registry import SIGNATURE, node_id

from swarm_lab.rounds import exchange as x
from swarm_lab.rounds import merge
from swarm_lab.rounds.assignments import contributors
from swarm_lab.rounds.merge_names import GLOBAL
from swarm_lab.rounds.messages import Participant
from swarm_lab.rounds.slices import Share, Shares, SignedSlice, bad_shares, deal, digest_of

A, B, C, D = NODES = tuple(node_id(k) for k in (1, 2, 3, 4))
BLOCKS = 8


def root(node: str) -> str:
    return node[-1] * 64


def assignment(name: str, nodes: tuple[str, ...] = NODES, shares: Shares = (), **changes: object) -> x.Assignment:
    members = tuple(x.Contributor(n, root(n)) for n in nodes)
    return x.Assignment(name, members, shares or deal(BLOCKS, dict.fromkeys(nodes, 1)), **changes)  # type: ignore[arg-type]


def of(orders: list[x.Order], kind: type) -> list[x.Order]:
    return [o for o in orders if isinstance(o, kind)]


def digest(block: int) -> bytes:
    return bytes([block]) * 32


def signed(node: str, blocks: range, bend: int = 0) -> SignedSlice:
    return SignedSlice(node, digest_of([(b, digest(b + bend)) for b in blocks]), SIGNATURE)


def started(**changes: object) -> tuple[x.Exchange, list[x.Order]]:
    made = x.Exchange(A, BLOCKS)
    return made, made.begin(assignment("1", **changes), 0.0)  # type: ignore[arg-type]


def fill(made: x.Exchange, *givers: str, block: int = 0) -> list[x.Order]:
    return [o for g in givers for o in made.raw(root(g), block)]


# --- shares -------------------------------------------------------------------------------------------------

names = st.lists(st.sampled_from([node_id(k) for k in range(1, 30)]), min_size=1, max_size=12, unique=True)


@given(names, st.integers(1, 300), st.data())
def test_shares_cover_all_blocks_and_follow_the_weights(nodes: list[str], blocks: int, data: st.DataObject) -> None:
    weights = {n: data.draw(st.sampled_from([0, 1, 2, 4, 8, 16])) for n in nodes}
    shares = deal(blocks, weights)
    assert bad_shares(shares, nodes, blocks) is None
    total = sum(weights.values())
    for node in nodes if total else ():
        mine = sum(s.stop - s.first for s in shares if s.node == node)
        assert abs(mine - blocks * weights[node] / total) <= 1


@given(names, st.integers(1, 300), st.data())
def test_owners_keep_their_blocks_when_some_die(nodes: list[str], blocks: int, data: st.DataObject) -> None:
    before = deal(blocks, dict.fromkeys(nodes, 1))
    left = data.draw(st.lists(st.sampled_from(nodes), min_size=1, unique=True))
    after = deal(blocks, dict.fromkeys(left, 1), before)
    assert bad_shares(after, left, blocks) is None
    owner = {b: s.node for s in after for b in range(s.first, s.stop)}
    for share in before:
        if share.node in left:
            assert all(owner[b] == share.node for b in range(share.first, share.stop))


@given(names, st.integers(1, 60), st.data())
def test_a_share_that_is_missing_doubled_or_a_strangers_is_seen(
    nodes: list[str], blocks: int, data: st.DataObject
) -> None:
    shares = list(deal(blocks, dict.fromkeys(nodes, 1)))
    at = data.draw(st.integers(0, len(shares) - 1))
    one = shares[at]
    bent = data.draw(
        st.sampled_from(
            [
                [],
                [one, one],
                [Share(node_id(99), one.first, one.stop)],
                [Share(one.node, one.first, one.stop + 1)],
                [Share(one.node, one.first + 1, one.stop)],
                [Share(one.node, one.first, one.first)],
            ]
        )
    )
    assert bad_shares([*shares[:at], *bent, *shares[at + 1 :]], nodes, blocks)


# --- give, combine, spread, sign ----------------------------------------------------------------------------


def test_a_member_gives_each_merger_its_blocks_and_takes_part() -> None:
    made, orders = started()
    assert orders == [x.Give(B, (2, 3)), x.Give(C, (4, 5)), x.Give(D, (6, 7))]
    assert fill(made, B, C) == []
    assert fill(made, B) == [], "a block that came twice"
    assert fill(made, D) == [x.Combine(0)]
    assert made.combined(0, digest(0)) == [x.Spread(0)]
    assert fill(made, B, C, D, block=1) == [x.Combine(1)]
    assert made.combined(1, digest(1)) == [x.Spread(1), x.Sign()]
    assert made.slice_digest() == signed(A, range(2)).digest


def whole(made: x.Exchange, name: str = "1", nodes: tuple[str, ...] = NODES) -> list[x.Order]:
    """All merged blocks and slices of the others; my own share as well."""
    assert made.assignment
    orders: list[x.Order] = []
    for share in made.assignment.shares:
        for block in range(share.first, share.stop):
            if share.node == A:
                fill(made, *(n for n in nodes if n != A), block=block)
                orders += made.combined(block, digest(block))
            elif made.wants_merged(name, block) == share.node:
                orders += made.merged(share.node, block, digest(block))
    for share in made.assignment.shares:
        mine = [b for s in made.assignment.shares if s.node == share.node for b in range(s.first, s.stop)]
        if made.wants_slice(name, share.node):
            text = digest_of([(b, digest(b)) for b in mine])
            orders += made.signed(SignedSlice(share.node, text, SIGNATURE))
    return orders


def test_it_is_over_when_all_blocks_and_slices_are_here() -> None:
    made, _ = started()
    assert of(whole(made), x.Complete) == [x.Complete()]
    assert made.digests() == [digest(b) for b in range(BLOCKS)]
    assert [s.merger for s in made.slices()] == list(NODES)
    assert made.lacking() == []


def test_the_same_assignment_again_changes_nothing() -> None:
    made, _ = started()
    fill(made, B, C)
    assert made.begin(assignment("1"), 5.0) == []
    assert fill(made, D) == [x.Combine(0)]


def test_weight_0_gives_nothing_and_is_not_waited_for() -> None:
    members = (x.Contributor(A, root(A), 0, False), x.Contributor(B, root(B)), x.Contributor(C, root(C)))
    made = x.Exchange(A, 3)
    orders = made.begin(x.Assignment("1", members, deal(3, {A: 1, B: 1, C: 1})), 0.0)
    assert orders == []
    assert fill(made, B) == []
    assert fill(made, C) == [x.Combine(0)]


def test_two_members_with_the_same_root_give_one_block_for_both() -> None:
    members = (x.Contributor(A, root(A)), x.Contributor(B, root(B)), x.Contributor(C, root(B)))
    made = x.Exchange(A, 3)
    made.begin(x.Assignment("1", members, deal(3, {A: 1, B: 1, C: 1})), 0.0)
    assert made.raw(root(B), 0) == [x.Combine(0)]


def test_nobody_with_a_weight_makes_all_alike() -> None:
    made = contributors([Participant(n, 1, 0, root(n), False) for n in NODES])
    assert [(m.weight, m.gives) for m in made] == [(1, True)] * 4


# --- a death in mid-exchange --------------------------------------------------------------------------------


def test_blocks_that_are_here_are_used_again_and_dropped_ones_asked_for() -> None:
    made, _ = started()
    fill(made, B, C, D)
    made.combined(0, digest(0))  # its contributions are dropped
    fill(made, B, C, block=1)
    before = assignment("1").shares
    orders = made.begin(assignment("2", (A, B, C), deal(BLOCKS, dict.fromkeys((A, B, C), 1), before)), 1.0)
    gives = {g.to: g.blocks for g in of(orders, x.Give)}  # type: ignore[attr-defined]
    dead = {6, 7}
    assert all(set(blocks) <= dead for blocks in gives.values()), "only blocks of the dead merger move again"
    assert of(orders, x.Ask) == [x.Ask(B, "raw", B, (0,)), x.Ask(C, "raw", C, (0,))]
    assert x.Combine(1) in orders
    assert made.wants_merged("1", 2) is None, "of the plan before"


def test_what_is_missing_is_asked_of_its_owner_and_then_of_anybody() -> None:
    made, _ = started()
    assert made.ask_again(0.4, 0.5) == []
    first = made.ask_again(0.5, 0.5)
    assert x.Ask(B, "raw", B, (0, 1)) in first
    assert x.Ask(B, "merged", B, (2, 3)) in first
    assert made.ask_again(0.7, 0.5) == [], "not more often"
    second = [o for o in made.ask_again(1.1, 0.5) if isinstance(o, x.Ask) and o.what == "merged"]
    assert {o.to for o in second} == {C}
    assert made.overdue(1.2, 0.6) == ((B, C, D), (B, C, D))


def test_a_peer_that_was_not_asked_gives_only_its_own_blocks() -> None:
    made, _ = started()
    assert made.wants_merged("1", 2, C) is None
    assert made.wants_merged("1", 2, B) == B
    made.ask_again(1.0, 0.5), made.ask_again(2.0, 0.5)
    assert made.wants_merged("1", 2, C) == B


# --- what is not what was signed ----------------------------------------------------------------------------


def test_blocks_that_do_not_fit_the_slice_spoil_their_owner_for_good() -> None:
    made, _ = started()
    made.signed(signed(B, range(2, 4), bend=1))
    made.merged(B, 2, digest(2))
    assert made.merged(B, 3, digest(3)) == [x.Spoil(B)]
    assert made.wants_merged("1", 2, B) is None and not made.wants_slice("1", B)
    made.heard(10.0)
    assert made.overdue(10.0, 0.6) == ((), (B,)), "at once, whatever else moves"
    assert all(ask.owner != B or ask.what == "raw" for ask in of(made.lacking(), x.Ask))  # type: ignore[attr-defined]


def test_wrong_blocks_of_a_third_peer_blame_nobody() -> None:
    made, _ = started()
    made.ask_again(1.0, 0.5), made.ask_again(2.0, 0.5)
    made.signed(signed(B, range(2, 4)))
    made.merged(B, 2, digest(2))
    assert made.wants_merged("1", 3, C) == B
    assert made.merged(B, 3, digest(66)) == [x.Ask(B, "merged", B, (2, 3))]
    assert made.wants_merged("1", 3, C) is None, "once is enough"
    for block in (2, 3):
        assert made.wants_merged("1", block, B) == B
        assert of(made.merged(B, block, digest(block)), x.Spoil) == []


# --- answers, tables ----------------------------------------------------------------------------------------


def test_it_answers_with_what_it_has_and_with_nothing_else() -> None:
    made, _ = started()
    made.merged(B, 2, digest(2))
    assert made.answer("raw", A, range(-2, 99)) == tuple(range(BLOCKS))
    assert made.answer("raw", B, range(9)) == ()
    assert made.answer("merged", B, [2, 3, 7, 10**9, -1]) == (2,)
    assert made.answer("merged", node_id(99), [2]) == ()


def test_methods_with_global_quantities_exchange_tables_first() -> None:
    made, _ = started(tables=True)
    assert fill(made, B, C, D) == [x.Tabulate(0)]
    assert made.tabulated(0) == []
    assert fill(made, B, C, D, block=1) == [x.Tabulate(1)]
    assert made.tabulated(1) == [x.SpreadTables()]
    assert made.tables(B) == made.tables(C) == []
    assert made.tables(D) == [x.Combine(0), x.Combine(1)]


def test_the_methods_with_global_quantities_are_those_that_weigh() -> None:
    weighing = {name for name, method in merge.METHODS.items() if getattr(method, "weigh", None) is not None}
    assert weighing == GLOBAL

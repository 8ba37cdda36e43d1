"""Hostile nodes in a sharded exchange: they bend frames, plans, votes or heartbeats, signed with their own key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rounds_sim.blocks import Frame, Merged, Need, Raw, Signed, digest
from rounds_sim.hostile import odd, signed_plan
from rounds_sim.peer import Peer
from rounds_sim.registry import FORGED, Key
from rounds_sim.world import World

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.messages import NodeId
from swarm_lab.rounds.slices import Share, Slice, digest_of

BlockTwist = Callable[[World, Peer, NodeId, Frame], list[Frame]]


def other(digest_: str) -> str:
    return f"{int(digest_[:8], 16) ^ 1:08x}{digest_[8:]}"


# --- frames -------------------------------------------------------------------------------------------------


def spoilt_raw(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Blocks that differ from the signed root."""
    return [replace(frame, value=frame.value + 1)] if isinstance(frame, Raw) else [frame]


def spoilt_raw_to_some(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    return spoilt_raw(world, peer, to, frame) if odd(to) else [frame]


def no_raw(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Keeps its contribution to itself."""
    return [] if isinstance(frame, Raw) else [frame]


def no_raw_to_some(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    return no_raw(world, peer, to, frame) if odd(to) else [frame]


def no_merged(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Merges and keeps it to itself."""
    return [] if isinstance(frame, Merged | Signed) else [frame]


def no_merged_to_some(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    return no_merged(world, peer, to, frame) if odd(to) else [frame]


def two_merges(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Another merged model to some, properly signed."""
    if not odd(to):
        return [frame]
    if isinstance(frame, Merged):
        return [replace(frame, value=frame.value + 1)]
    if isinstance(frame, Signed) and frame.slice.merger == peer.me and peer.blocks.order is not None:
        shares = peer.blocks.order.assignment.shares
        mine = [b for s in shares if s.node == peer.me for b in range(s.first, s.stop)]
        lie = digest_of([(b, digest(peer.blocks.merged[b] + 1)) for b in mine])
        return [Signed(frame.assignment, _sign(world, peer, lie))]
    return [frame]


def _sign(world: World, peer: Peer, lie: str) -> m.SignedSlice:
    part: Slice = peer.blocks.slice_(peer.me, lie)
    return m.SignedSlice(peer.me, lie, Key(world.registry, peer.me).sign_slice(part))


def forged_slice(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """A signature that does not verify."""
    if isinstance(frame, Signed):
        return [replace(frame, slice=replace(frame.slice, signature=FORGED))]
    return [frame]


def other_digest(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Signs what its blocks are not."""
    if isinstance(frame, Signed) and frame.slice.merger == peer.me and peer.blocks.order is not None:
        return [Signed(frame.assignment, _sign(world, peer, other(frame.slice.digest)))]
    return [frame]


def nonsense_needs(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Asks for what nobody has, for what it has, and for everything, with each frame."""
    order = peer.blocks.order
    if order is None:
        return [frame]
    stranger = f"0x{2**150:040x}"
    blocks = tuple(range(-3, world.setup.width + 3))
    asks = [
        Need(order.assignment.id, "raw", to, blocks),
        Need(order.assignment.id, "merged", world.rng.choice(world.names), (10**12, *blocks)),
        Need("f" * 64, "tables", stranger, ()),
        Need("f" * 64, "slice", stranger, blocks),
    ]
    return [frame, *asks]


def garbage(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Block numbers and assignments that do not exist, contributions of others, slices of strangers."""
    order = peer.blocks.order
    if order is None:
        return [frame]
    stranger = f"0x{2**150:040x}"
    number = world.rng.choice([-1, world.setup.width, 10**9])
    victim = world.rng.choice(order.assignment.members)
    return [
        frame,
        Raw(victim.root, number, 0),
        Raw(victim.root, world.rng.randrange(world.setup.width), 1),
        Raw("f" * 64, 0, 0),
        Merged(order.assignment.id, number, 0),
        Merged("f" * 64, 0, 0),
        Signed(order.assignment.id, m.SignedSlice(stranger, "0" * 64, FORGED)),
        Signed(order.assignment.id, m.SignedSlice(to, "0" * 64, FORGED)),
    ]


def spoilt_answers(world: World, peer: Peer, to: NodeId, frame: Frame) -> list[Frame]:
    """Gives other members' merged blocks as they are not, to whoever will take them: before their owner does."""
    order = peer.blocks.order
    if order is None or not isinstance(frame, Raw):
        return [frame]
    return [frame, *(Merged(order.assignment.id, b, 666) for b in range(world.setup.width))]


FRAMES: dict[str, BlockTwist] = {
    "spoilt blocks": spoilt_raw,
    "spoilt blocks to some": spoilt_raw_to_some,
    "gives no blocks": no_raw,
    "gives no blocks to some": no_raw_to_some,
    "gives no merge": no_merged,
    "gives no merge to some": no_merged_to_some,
    "two merges": two_merges,
    "forged slice": forged_slice,
    "another digest": other_digest,
    "asks for nonsense": nonsense_needs,
    "garbage frames": garbage,
    "others' blocks": spoilt_answers,
}


# --- plans and votes ----------------------------------------------------------------------------------------


def bad_owners(world: World, peer: Peer, send: e.Send) -> e.Send:
    """Shares that lack blocks, overlap, or name a stranger."""
    plan = send.message
    assert isinstance(plan, m.PlanMessage)
    first, last = plan.owners[0], plan.owners[-1]
    stranger = f"0x{2**150:040x}"
    bent = [
        plan.owners[1:] or (replace(last, stop=last.stop + 1),),
        (first, *plan.owners),
        (*plan.owners[:-1], replace(last, stop=last.stop + 1)),
        (Share(stranger, first.first, first.stop), *plan.owners[1:]),
    ][plan.plan.number % 4]
    return replace(send, message=signed_plan(world, peer, plan, owners=bent))


def junk_right_slices(world: World, peer: Peer, send: e.Send) -> e.Send:
    """Votes for a model that nobody merged, with the slices of the one that all have."""
    vote = send.message
    assert isinstance(vote, m.VoteMessage)
    g = peer.machine.member.plan
    if not vote.model or g is None:
        return send
    result = g.result(other(vote.model))
    signature = Key(world.registry, peer.me).sign_result(result)
    result_id = world.registry.result_id(result)
    return replace(send, message=replace(vote, model=result.model, result_id=result_id, signature=signature))


def junk_wrong_slices(world: World, peer: Peer, send: e.Send) -> e.Send:
    """The same with forged slices."""
    bent = junk_right_slices(world, peer, send)
    vote = bent.message
    assert isinstance(vote, m.VoteMessage)
    return replace(bent, message=replace(vote, slices=tuple(replace(s, signature=FORGED) for s in vote.slices)))


def no_slices(world: World, peer: Peer, send: e.Send) -> e.Send:
    """Right, but without the slices that show it."""
    assert isinstance(send.message, m.VoteMessage)
    return replace(send, message=replace(send.message, slices=()))


def bends(kind: type, twist: Callable[[World, Peer, e.Send], e.Send]) -> Callable[..., list[e.Action]]:
    def bend(world: World, peer: Peer, actions: list[e.Action]) -> list[e.Action]:
        def one(a: e.Action) -> e.Action:
            sharded = isinstance(a, e.Send) and isinstance(a.message, kind) and getattr(a.message, "owners", True)
            return twist(world, peer, a) if sharded and isinstance(a, e.Send) else a

        return [one(a) for a in actions]

    return bend


SENDS = {
    "bad owners": bends(m.PlanMessage, bad_owners),
    "junk with right slices": bends(m.VoteMessage, junk_right_slices),
    "junk with wrong slices": bends(m.VoteMessage, junk_wrong_slices),
    "vote without slices": bends(m.VoteMessage, no_slices),
}


# --- heartbeats ---------------------------------------------------------------------------------------------


def lies_in_lacks(world: World, peer: Peer, beat: m.Heartbeat) -> m.Heartbeat:
    """Says that an honest peer gives it nothing."""
    victim = next(n for n in world.names if n not in (peer.me, beat.coordinator))
    return replace(beat, lacks=(victim,), phase=m.Phase.EXCHANGING if peer.machine.desk.state.at_sync() else beat.phase)


def lies_in_unmerged(world: World, peer: Peer, beat: m.Heartbeat) -> m.Heartbeat:
    return replace(lies_in_lacks(world, peer, beat), lacks=(), unmerged=tuple(n for n in world.names if n != peer.me))


def lies_of_all(world: World, peer: Peer, beat: m.Heartbeat) -> m.Heartbeat:
    every = tuple(n for n in world.names if n != peer.me)
    return replace(lies_in_lacks(world, peer, beat), lacks=every, unmerged=every)


BEATS = {
    "lies in lacks": lies_in_lacks,
    "lies in unmerged": lies_in_unmerged,
    "lies of all": lies_of_all,
}

WRONG_MERGE = "wrong merge to all"
"""Without a witness nobody finds it; the round closes, and all honest nodes hold the same bits."""
KINDS = (*FRAMES, *SENDS, *BEATS, WRONG_MERGE)


def turn(world: World, node: NodeId, kind: str) -> None:
    """This node is hostile from now on."""
    world.hostile[node] = SENDS.get(kind, lambda _world, _peer, actions: actions)
    if kind in FRAMES:
        world.twists[node] = FRAMES[kind]
    if kind in BEATS:
        world.beat_twists[node] = BEATS[kind]
    if kind == WRONG_MERGE:
        world.wrong_merges.add(node)

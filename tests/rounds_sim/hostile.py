"""Hostile nodes: each bends the actions of an honest machine. They sign with their own key only."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from rounds_sim.peer import Peer
from rounds_sim.registry import FORGED, SIGNATURE, Key, Vector, root
from rounds_sim.world import Bend, World

from swarm_lab.rounds import events as e
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.checks import content_of

Twist = Callable[[World, Peer, e.Send], list[e.Action]]


def digest(rng: random.Random) -> str:
    return f"{rng.getrandbits(256):064x}"


def odd(node: str) -> bool:
    return int(node, 16) % 2 == 1


def signed_plan(world: World, peer: Peer, message: m.PlanMessage, **changes: object) -> m.PlanMessage:
    """The plan with changes, signed properly by its coordinator."""
    bent = replace(message, **changes)  # type: ignore[arg-type]
    content = content_of(bent)
    plan = replace(bent.plan, content=content)
    return replace(bent, plan=plan, signature=Key(world.registry, peer.me).sign_plan(plan))


def forged_check_in(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """In the name of another node."""
    if not isinstance(send.message, m.CheckInMessage):
        return [send]
    victim = world.rng.choice([n for n in world.names if n != peer.me])
    bent = replace(send.message, check_in=replace(send.message.check_in, node=victim))
    return [send, replace(send, message=bent)]


def two_check_ins(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Another update to another coordinator."""
    if not isinstance(send.message, m.CheckInMessage) or send.payload_root is None:
        return [send]
    other: Vector = tuple(world.rng.randint(-9, 9) for _ in range(world.setup.width))
    world.tensors[root(other)] = peer.tensors[root(other)] = other
    world.invariants.forged[peer.me, root(other)] = other
    second = replace(send.message.check_in, root=root(other))
    Key(world.registry, peer.me).sign_check_in(second)
    to = world.rng.choice([n for n in world.names if n not in (peer.me, send.to)])
    return [send, e.Send(to, replace(send.message, check_in=second), root(other))]


def silent(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Coordinates and never plans."""
    return [] if isinstance(send.message, m.PlanMessage) and send.to != peer.me else [send]


def no_certificate(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Hands the certificate to half of them."""
    keep = not isinstance(send.message, m.CertificateMessage) or send.to == peer.me or odd(send.to)
    return [send] if keep else []


def conspire(world: World, peer: Peer, message: m.PlanMessage, entries: list[m.Entry]) -> m.PlanMessage:
    """The plan with these entries, and a machine that takes the votes for it as if it were its own."""
    ordered = tuple(sorted(entries, key=lambda x: x.participant.node))
    bent = signed_plan(world, peer, message, entries=ordered)
    gathering = peer.machine.coordinator.rounds.get((message.plan.round, message.plan.prev))
    if gathering and gathering.plan and gathering.plan.plan.number == message.plan.number:
        gathering.plan = bent
    return bent


def tired(peer: Peer, plan: m.Plan) -> bool:
    """Whether it has lied in enough plans of this round: its own machine would plan again and again."""
    lies: dict[tuple[int, str], set[int]] = peer.__dict__.setdefault("lies", {})
    numbers = lies.setdefault((plan.round, plan.prev), set())
    if len(numbers) < 3:
        numbers.add(plan.number)
    return plan.number not in numbers


def liar(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Says that an absent node checked in, or that one that did is not there."""
    message = send.message
    if not isinstance(message, m.PlanMessage) or message.plan.round == 1 or tired(peer, message.plan):
        return [send]
    nodes = [x.participant.node for x in message.entries]
    absent = [n for n in world.names if n not in nodes]
    if absent:
        fake = m.Participant(absent[0], 1, 1, root((message.plan.round,)), False)
        entries = [*message.entries, m.Entry(fake, SIGNATURE)]
    else:
        drop = next(n for n in nodes if n != peer.me)
        entries = [x for x in message.entries if x.participant.node != drop]
    return [replace(send, message=conspire(world, peer, message, entries))]


def stale_plan(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Lists a check-in of an earlier round."""
    message = send.message
    if not isinstance(message, m.PlanMessage):
        return [send]
    memory: dict[int, tuple[m.Entry, ...]] = peer.__dict__.setdefault("old_entries", {})
    memory.setdefault(message.plan.round, message.entries)
    old = [x for x in memory[min(memory)] if x.participant.node != peer.me]
    if message.plan.round == min(memory) or not old or tired(peer, message.plan):
        return [send]
    entries = [x for x in message.entries if x.participant.node != old[-1].participant.node]
    return [replace(send, message=conspire(world, peer, message, [*entries, old[-1]]))]


def two_plans(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """One set to some, a smaller one to others, under one number."""
    message = send.message
    if not isinstance(message, m.PlanMessage) or send.to == peer.me or not odd(send.to):
        return [send]
    drop = [x.participant.node for x in message.entries if x.participant.node not in (peer.me, send.to)]
    if not drop or len(message.entries) - 1 < world.setup.min_peers:
        return [send]
    entries = tuple(x for x in message.entries if x.participant.node != drop[-1])
    left_out = (*message.left_out, m.LeftOut(drop[-1], "lie"))
    return [replace(send, message=signed_plan(world, peer, message, entries=entries, left_out=left_out))]


def two_models(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """One merged model to some, another to others."""
    message = send.message
    if not isinstance(message, m.PlanMessage) or send.payload_root is None or not odd(send.to) or send.to == peer.me:
        return [send]
    other = tuple(v + 1 for v in peer.find(message.model))
    world.tensors[root(other)] = peer.tensors[root(other)] = other
    return [e.Send(send.to, signed_plan(world, peer, message, model=root(other)), root(other))]


def forged_certificate(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """With the votes of another model."""
    if not isinstance(send.message, m.CertificateMessage) or send.to == peer.me:
        return [send]
    certificate = send.message.certificate
    bent = replace(certificate, result=replace(certificate.result, model=digest(world.rng)))
    return [replace(send, message=m.CertificateMessage(bent))]


def junk_vote(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """For a model of its own."""
    if not isinstance(send.message, m.VoteMessage):
        return [send]
    junk = digest(world.rng)
    world.registry.signed.add((peer.me, junk))
    return [replace(send, message=replace(send.message, result_id=junk))]


def forged_vote(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Whose signature does not verify."""
    if not isinstance(send.message, m.VoteMessage):
        return [send]
    return [replace(send, message=replace(send.message, signature=FORGED))]


def replay(world: World, peer: Peer, send: e.Send) -> list[e.Action]:
    """Old messages of its own, to anybody, at any time."""
    memory: list[e.Send] = peer.__dict__.setdefault("old_sends", [])
    memory.append(send)
    if world.rng.random() < 0.3:
        old = world.rng.choice(memory)
        to = world.rng.choice([n for n in world.names if n != peer.me])
        in_hand = old.payload_root is None or old.payload_root in peer.tensors
        return [send, replace(old, to=to)] if in_hand else [send]
    return [send]


KINDS: dict[str, Twist] = {
    "forged check-in": forged_check_in,
    "two check-ins": two_check_ins,
    "silent coordinator": silent,
    "no certificate": no_certificate,
    "liar": liar,
    "stale plan": stale_plan,
    "two plans": two_plans,
    "two models": two_models,
    "forged certificate": forged_certificate,
    "junk vote": junk_vote,
    "forged vote": forged_vote,
    "replay": replay,
}


def hostile(kind: str) -> Bend:
    """Bends what a node sends."""
    twist = KINDS[kind]

    def bend(world: World, peer: Peer, actions: list[e.Action]) -> list[e.Action]:
        return [x for a in actions for x in (twist(world, peer, a) if isinstance(a, e.Send) else [a])]

    return bend

"""Who coordinates: an order of the members that all agree on, because it follows from the ledger."""

from __future__ import annotations

from swarm_lab.rounds.events import LedgerView, Rules
from swarm_lab.rounds.messages import NodeId, Result


def present(view: LedgerView) -> tuple[NodeId, ...]:
    """Members that have neither left nor been removed, ascending."""
    return tuple(n for n in sorted(view.members) if n not in view.removed and n not in view.left)


def expected(rules: Rules, view: LedgerView) -> tuple[NodeId, ...]:
    """All that can still come: assigned or announced, not left, not removed; ascending."""
    nodes = set(rules.assigned) | set(view.members)
    return tuple(sorted(n for n in nodes if n not in view.removed and n not in view.left))


def coordinators(rules: Rules, view: LedgerView, last: Result | None) -> tuple[NodeId, ...]:
    """order(r): attempt a of the round after `last` belongs to number a of it, modulo its length.

    Participants of the last commit come first, turned by the round's number: the ledger names them, so all agree, and
    a dead node costs the round in which it dies and none after. In round 1 the assigned nodes stand for them, so that
    the order does not move while nodes announce themselves one by one.
    """
    nodes = expected(rules, view) if last is None else present(view)
    known = set(nodes)
    first = tuple(n for n in last.nodes() if n in known) if last else nodes
    known.difference_update(first)
    rest = tuple(n for n in nodes if n in known)
    number = last.round + 1 if last else 1
    turn = number % len(first) if first else 0
    order = first[turn:] + first[:turn] + rest
    return tuple(n for n in order if n not in rules.no_coordinators) or order

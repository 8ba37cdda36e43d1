"""From a plan to the assignment that its members work by: every one of them makes the same of it."""

from __future__ import annotations

from collections.abc import Sequence

from swarm_lab.rounds.events import Rules
from swarm_lab.rounds.exchange import Assignment, Contributor
from swarm_lab.rounds.merge_names import GLOBAL
from swarm_lab.rounds.messages import NodeId, Participant, PlanMessage
from swarm_lab.rounds.slices import Slice, assignment_id


def contributors(participants: Sequence[Participant]) -> tuple[Contributor, ...]:
    """The set with the weights that count: where nobody has one (round 1 of nodes that do not train), all have 1."""
    weightless = not any(p.weight for p in participants)
    weights = [1 if weightless else p.weight for p in participants]
    return tuple(Contributor(p.node, p.root, w, w > 0) for p, w in zip(participants, weights, strict=True))


def assignment_of(rules: Rules, message: PlanMessage) -> Assignment:
    """Of a plan with owners."""
    members = contributors(message.participants())
    plan = message.plan
    roots = [(m.node, m.weight, m.root) for m in members]
    name = assignment_id(plan.training, plan.round, plan.prev, roots, message.owners)
    return Assignment(name, members, message.owners, rules.merge in GLOBAL)


def slice_of(message: PlanMessage, assignment: str, merger: NodeId, digest: str) -> Slice:
    """What a merger signs for its part in a plan."""
    plan = message.plan
    return Slice(plan.training, plan.round, plan.prev, assignment, merger, digest)

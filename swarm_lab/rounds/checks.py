"""What every node checks of a certificate and of a plan before it believes it. Pure functions; None = good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

from swarm_lab.rounds.events import LedgerView, Rules
from swarm_lab.rounds.messages import Certificate, CheckIn, Digest, Entry, LeftOut, Participant, PlanMessage, Result
from swarm_lab.rounds.signatures import Verifier
from swarm_lab.rounds.slices import Shares, bad_shares
from swarm_lab.rounds.trend import Trend


def quorum(min_peers: int, members: int) -> int:
    """Votes that certify a result of so many members."""
    return max(min_peers, members // 2 + 1)


def may_end(rules: Rules, participants: Sequence[Participant]) -> bool:
    """Whether a round with this set may be the last one."""
    done = sum(p.done for p in participants)
    return done == len(participants) if rules.end_rule == "all" else done >= rules.min_peers


def next_interval(rules: Rules, history: Sequence[Result], participants: Sequence[Participant]) -> int:
    """Batches of the interval after a round of these participants; `history` are the committed results before it.

    Everyone computes it, so that no coordinator can choose it. The rule of adaptive sync is in `trend`.
    """
    return Trend(rules.sync).next_interval(history, participants) if rules.adaptive else rules.sync


def contributes(check_in: CheckIn | None, result: Result) -> bool:
    """Whether exactly this check-in is in the result."""
    return (
        check_in is not None
        and (check_in.round, check_in.prev) == (result.round, result.prev)
        and check_in.participant() in result.participants
    )


def bad_set(rules: Rules, participants: Sequence[Participant], end: bool) -> str | None:
    """What is wrong with a set by itself, in a plan or in a result."""
    nodes = [p.node for p in participants]
    if len(nodes) < rules.min_peers:
        return f"{len(nodes)} members, {rules.min_peers} needed"
    if any(a >= b for a, b in pairwise(nodes)):
        return "members not in ascending order"
    if end and not may_end(rules, participants):
        return "not the end: members are not done"
    if not end and rules.end_rule == "min_peers" and may_end(rules, participants):
        return "the end is due: enough members are done"
    if not end and not any(p.weight for p in participants):
        return "no member has a weight"
    return None


def bad_certificate(rules: Rules, verifier: Verifier, certificate: Certificate, next_: int) -> str | None:
    """What is wrong with a certificate, but for the head of the chain; `next_` is the interval that must follow it."""
    result = certificate.result
    if result.training != rules.training:
        return "of another training"
    wrong = bad_set(rules, result.participants, result.end)
    if wrong or result.next != next_:
        return wrong or f"its next interval is {result.next}, not {next_}"
    nodes, voters = set(result.nodes()), set(certificate.voters())
    if not voters <= nodes or len(voters) < len(certificate.votes):
        return "voters are not distinct members"
    if len(voters) < quorum(rules.min_peers, len(nodes)):
        return "too few votes"
    for vote in certificate.votes:
        if not verifier.vote(result, vote.voter, vote.signature):
            return f"forged vote of {vote.voter}"
    return None


def plan_content(
    entries: tuple[Entry, ...],
    left_out: tuple[LeftOut, ...],
    end: bool,
    next_interval: int,
    model: str,
    owners: Shares = (),
) -> Digest:
    """Digest of what a plan says: SHA-256 over a compact JSON list. Two plans with one number differ in it."""
    signed = [
        [p.node, p.incarnation, p.weight, p.root, p.done, *measured, p.steps, e.signature]
        for e in entries
        for p in (e.participant,)
        for measured in ((p.loss, p.metric, p.local_loss, p.local_metric),)
    ]
    shares = [[s.node, s.first, s.stop] for s in owners]
    body = [signed, [[x.node, x.reason] for x in left_out], end, next_interval, model, shares]
    return hashlib.sha256(json.dumps(body, separators=(",", ":")).encode()).hexdigest()


def content_of(message: PlanMessage) -> Digest:
    """`plan_content` of a message."""
    return plan_content(message.entries, message.left_out, message.end, message.next, message.model, message.owners)


def bad_plan(
    rules: Rules, verifier: Verifier, view: LedgerView, coordinator: str, message: PlanMessage, next_: int, blocks: int
) -> str | None:
    """What is wrong with a plan for a round that fits this node's base.

    `next_` is the interval that must follow it, `blocks` how many this node's model has.
    """
    plan = message.plan
    if plan.training != rules.training:
        return "of another training"
    if plan.content != content_of(message):
        return "its content is not what was signed"
    if not verifier.plan(plan, coordinator, message.signature):
        return "forged signature"
    if bool(message.model) == bool(message.owners):
        return "it has neither a model nor owners of blocks, or both"
    if message.owners and (wrong := bad_shares(message.owners, [p.node for p in message.participants()], blocks)):
        return wrong
    wrong = bad_set(rules, message.participants(), message.end)
    if wrong or message.next != next_:
        return wrong or f"its next interval is {message.next}, not {next_}"
    for entry in message.entries:
        node = entry.participant.node
        if node not in view.members or node in view.removed:
            return f"{node} is not a member"
        if not verifier.check_in(message.check_in(entry), entry.signature):
            return f"forged or stale check-in of {node}"
    return unexplained(view, message)


def unexplained(view: LedgerView, message: PlanMessage) -> str | None:
    """A node of the round's roster that is neither in the plan nor left out with a reason."""
    number = message.plan.round
    if len(view.rosters) < number:
        return None
    named = {e.participant.node for e in message.entries} | {x.node for x in message.left_out}
    for node in sorted(view.rosters[number - 1] - named):
        if node not in view.removed and node not in view.left:
            return f"no reason given for {node}"
    return None

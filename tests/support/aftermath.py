"""What must hold after anything that was done to a training: the list of what does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from support.course import Course

Event = dict[str, Any]


def complaints(course: Course, last: Event, missed: Collection[str], since: int) -> list[str]:
    """What is wrong with a training that is over; `last` is its last event.

    `missed` are nodes that others must have named in an event after number `since`.
    """
    events = [e for e in course.ward.swarm.events() if e.get("training") == course.training.id]
    found = [*_outcome(course, last), *_rounds(course), *_waits(events)]
    found += [
        f"no event names {node}" for node in missed if not any(_names(e, node) for e in events if e["seq"] > since)
    ]
    return found


def _outcome(course: Course, last: Event) -> Iterator[str]:
    view = course.training.view
    if last.get("state") != "finished" or last.get("failed"):
        yield f"it ended as {last.get('state')}: {last.get('failed')}"
    if missing := course.everybody - set(view.finished):
        yield f"not finished: {sorted(missing)}"
    digests = {node: end.get("digest") for node, end in view.finished.items()}
    if len(set(digests.values())) != 1 or last.get("digest") not in digests.values():
        yield f"several models: {digests}, {last.get('digest')}"
    outside = course.everybody - set(view.rounds[-1].nodes) if view.rounds else set()
    if outside != set(last.get("without") or {}) or not all((last.get("without") or {}).values()):
        yield f"a silent subset: the last round is without {sorted(outside)}, said is {last.get('without')}"


def _rounds(course: Course) -> Iterator[str]:
    view = course.training.view
    numbers = [done.round for done in view.rounds]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"rounds are missing: {numbers}"
    now = {done.round: done.digest for done in view.rounds}
    if lost := [done["round"] for done in course.rounds if now.get(done["round"]) != done["digest"]]:
        yield f"committed rounds were lost or changed: {lost}"
    known: set[str] = set()  # who has not yet come to the training is in no roster
    for done in view.rounds:
        unsaid = [node for node in known - set(done.nodes) if not done.left_out.get(node)]
        known |= set(done.nodes)
        if unsaid:
            yield f"round {done.round} is without {unsaid} and does not say why"
    verdict = course.ward.swarm.verify(course.training.id)
    if not verdict.ok:
        yield f"verify: {[one for one in verdict.evidence if not one.ok]}"


def _waits(events: list[Event]) -> Iterator[str]:
    for event in events:
        if event["event"] == "waiting" and not event.get("reason"):
            yield f"a wait without a reason: {event}"


def _names(event: Event, node: str) -> bool:
    """Whether the event tells people of the node's absence."""
    said = event["event"]
    return (
        (said in ("node_lost", "program_restarted") and event["node"] == node)
        or (said == "waiting" and node in event.get("nodes", []) and event["node"] != node)
        or (said == "round" and node in (event.get("left_out") or {}))
        or (said == "coordinator" and node in (event.get("after"), event.get("node")))
    )

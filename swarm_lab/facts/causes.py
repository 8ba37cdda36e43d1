"""Why a training failed: of all that its nodes said, the cause; what only followed from it comes after."""

from __future__ import annotations

from dataclasses import dataclass

from swarm_lab.errors import ModelOutOfReach, TooFewPeers
from swarm_lab.facts.views import TrainingView

_CONSEQUENCES = frozenset({TooFewPeers.code, ModelOutOfReach.code})
"""What a node says that others have left alone."""
_RESUME = "bring the node back (`swarm-lab restart {node}`), then `swarm-lab train --resume {training}`"
_TRAIN = "train again; `swarm-lab logs NODE` of each node says what it merged last"


@dataclass(frozen=True, slots=True)
class Cause:
    """`node` is where it happened, empty if nowhere in particular; `after` names those that failed because of it."""

    training: str
    node: str
    code: str
    message: str
    next: str
    after: tuple[str, ...] = ()


def cause_of(view: TrainingView) -> Cause | None:
    """The cause of a training's failure; None for one that has not failed.

    It is the first failure of a node that is not the consequence of another one. Where all are consequences, the
    first node that the others did not hear any more is the cause.
    """
    if view.state != "failed":
        return None
    failures = sorted(view.failed.items(), key=lambda item: int(item[1].get("seq") or 0))
    causes = [item for item in failures if item[1].get("code") not in _CONSEQUENCES]
    lost = [node for node in view.lost if node not in view.finished]
    if not causes and lost:
        node, said = lost[0], view.lost[lost[0]]
        message = f"the others did not hear {node} any more: {said.get('reason')}"
        followed = tuple(name for name, _ in failures)
        return Cause(view.id, node, "", message, _RESUME.format(node=node, training=view.id), followed)
    if not failures:
        return Cause(view.id, "", "", "the nodes finished with different models", _TRAIN)
    node, said = (causes or failures)[0]
    followed = tuple(name for name, _ in failures if name != node)
    code, next_step = str(said.get("code") or ""), str(said.get("next") or "")
    return Cause(view.id, node, code, str(said.get("message") or ""), next_step, followed)

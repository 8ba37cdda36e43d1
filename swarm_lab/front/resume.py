"""Going on with a training that had failed: same program, same terms, from the last round on the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarm_lab.errors import NothingToResume, OtherThanBefore, Refused, StillTraining, SwarmLabError
from swarm_lab.facts.events import EventLog, conclude, read
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.data import assign
from swarm_lab.front.launch import Say
from swarm_lab.front.operator import Operator
from swarm_lab.front.program import gather
from swarm_lab.front.training import Training
from swarm_lab.nodes.staging import Stage, StageRequest, program_digest

_CELL = re.compile(r"cell-\d+\.py")
# What an option of `train` is called in the rules that stand on the ledger, where it is called something else.
_RULES = {"sync": "sync_frequency", "adaptive": "adaptive_sync"}
_REQUEST = {"env": "environment", "args": "arguments", "checkpoints": "checkpoints"}
_ELSEWHERE = frozenset({"program", "files", "requirements", "data"})


def resume_training(training: Training, given: Mapping[str, Any], say: Say) -> Training:
    """Let a training that failed, wholly or on some seats, go on; returns its handle.

    `given` are the options of `train` that were given, which must be those of before. Raises `NothingToResume`,
    `StillTraining`, `OtherThanBefore`, and `Refused` when too few seats can go on.
    """
    paths = training.paths
    check_same(training, given)
    with Operator(paths, training.facts) as operator:
        view = training.view  # as it is now that nobody else can resume it
        info, rounds, _ = operator.training(training.id)
        if info.state == "finished" or (rounds and rounds[-1].certificate.result.end) or view.state == "stopped":
            raise NothingToResume(_ended(view))
        if not view.over and not view.failed:
            if not _came_back(training):
                raise StillTraining(f"{training.id} is {view.state}, after round {len(rounds)}")
            say(f"{training.id} goes on by itself since the swarm came up; following it")
            return training
        nodes = _willing(training, operator, say)
        since = _go_on(training, operator, nodes, len(rounds))
    say(f"training {training.id} goes on after round {len(rounds)} on {', '.join(nodes)}")
    return Training(paths, training.facts, training.id, since)


def _willing(training: Training, operator: Operator, say: Say) -> list[str]:
    """The seats that go on; raises `Refused`, naming the others, when they are too few."""
    view = training.view
    wanted = [node for node in view.nodes if node in view.failed]
    why = {node: "it is no seat of the swarm any more" for node in wanted if node not in training.facts.seats}
    answers = operator.resume_at(training.id, [node for node in wanted if node not in why])
    why |= {node: reason for node, reason in answers.items() if reason}
    able = [node for node in wanted if node not in why]
    least = view.min_peers if view.over else 1
    said = "; ".join(f"{node}: {reason}" for node, reason in why.items())
    if len(able) < least:
        raise Refused(f"{training.id} needs {least} seats to go on, and {len(able)} can: {said}")
    if said:
        say(f"without {said}")
    return able


def _go_on(training: Training, operator: Operator, nodes: Sequence[str], round_: int) -> int:
    """The fact first: a node that starts at once writes its own after it. Returns the number of the event before it."""
    log = EventLog(training.paths.root)
    fact = log.append("training_resumed", training=training.id, nodes=list(nodes), round=round_)
    try:
        operator.resume(training.id)
    except SwarmLabError as error:
        for node in nodes:
            message = f"not resumed: {error.message}"
            log.append("node_failed", training=training.id, node=node, code=error.code, message=message)
        conclude(training.paths.root, training.id)
        raise
    return (fact or 1) - 1


def _came_back(training: Training) -> bool:
    """Whether the swarm was down while the training ran: it goes on by itself then."""
    since = False
    for event in read(training.paths.root):
        if event.get("training") == training.id and event["event"] in ("training_created", "training_resumed"):
            since = False
        elif event["event"] == "swarm_up":
            since = True
    return since


def _ended(view: TrainingView) -> str:
    text = f"{view.id} was stopped" if view.stop_asked else f"{view.id} has finished"
    text += f" with round {view.round}" if view.round else " before its first round"
    model = next((end.get("model") for end in view.finished.values() if end.get("model")), None)
    text += f"; its model is {model}" if model else ""
    return text + "".join(f"; {node} had failed: {end.get('message')}" for node, end in view.failed.items())


# --- the same as before --------------------------------------------------------------------------------------


def check_same(training: Training, given: Mapping[str, Any]) -> None:
    """Raise `OtherThanBefore` for the first option that is not what the training was started with."""
    found = {node: Stage(training.paths.node(node) / "trainings").request(training.id) for node in training.view.nodes}
    requests = {node: request for node, request in found.items() if request is not None}
    if not requests or not given:
        return
    first = next(iter(requests.values()))
    if given.get("program") is not None:
        _same_program(training, Path(given["program"]), given.get("files") or (), first)
    for name, value in given.items():
        if name in _ELSEWHERE:
            continue
        before = getattr(first if name in _REQUEST else first.rules, _REQUEST.get(name) or _RULES.get(name, name))
        same = set(value) == set(before) if name == "nodes" and value else value in (before, None)
        if not same:
            raise OtherThanBefore(f"--{name.replace('_', '-')} {value} is given, and {training.id} has {before}")
    if given.get("data") is not None:
        for node, path in assign(Path(given["data"]), list(first.rules.nodes)).items():
            request = requests.get(node)
            if request is not None and request.data_dir != str(path):
                raise OtherThanBefore(f"--data gives {node} {path}, and {training.id} has {request.data_dir}")


def _same_program(training: Training, program: Path, files: Sequence[Path], before: StageRequest) -> None:
    bundle = gather(program, files)
    content = dict(bundle.files)
    if _CELL.fullmatch(bundle.main) and _CELL.fullmatch(before.program):
        content[before.program] = content.pop(bundle.main)  # a cell that is run again has another number
    digest = program_digest(content.items())
    if digest != before.rules.program:
        raise OtherThanBefore(
            f"{program} has the digest {digest[:16]}, and the program of {training.id} is {training.view.program} "
            f"with {before.rules.program[:16]}"
        )

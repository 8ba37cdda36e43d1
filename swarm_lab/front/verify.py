"""The chain of evidence of a training, recomputed: model files, the ledger's head and what the voters signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

from swarm_lab.errors import SwarmLabError
from swarm_lab.facts.views import TrainingView
from swarm_lab.front.operator import Operator
from swarm_lab.front.options import Evidence, Verdict
from swarm_lab.front.training import Training
from swarm_lab.ledger.records import CommittedRound, TrainingInfo
from swarm_lab.ledger.signing import Domain, KeyVerifier, result_id
from swarm_lab.nodes.staging import Stage, program_digest
from swarm_lab.rounds.layout import root
from swarm_lab.rounds.messages import GENESIS
from swarm_lab.rounds.messages import number as float_of
from swarm_lab.rounds.model_file import read_model
from swarm_lab.rounds.trend import Trend


def verify(training: Training) -> Verdict:
    """Recompute from files, ledger and signatures; of the events only the names of the nodes are believed."""
    view = training.view
    with Operator(training.paths, training.facts) as operator:
        info, rounds, names = operator.training(training.id)
        domain = operator.domain
    found = [_chain(rounds), *_votes(rounds, info, names, domain)]
    if rounds:
        found += [_intervals(rounds, info), _measures(rounds, view, names)]
    digest = rounds[-1].certificate.result.model if rounds else ""
    for node in view.nodes:
        found.append(_program(training, node, info))
        if node in view.finished:
            found.append(_model(training.paths.model(node, training.id), node, digest))
    found.append(_ended(view.finished.keys() | view.failed.keys(), view.nodes))
    return Verdict(
        swarm=training.facts.name,
        training=training.id,
        ok=all(link.ok for link in found),
        round=len(rounds),
        digest=digest,
        evidence=found,
    )


def _chain(rounds: Sequence[CommittedRound]) -> Evidence:
    """Each round names the result before it, from the beginning."""
    prev = GENESIS
    for number, committed in enumerate(rounds, 1):
        result = committed.certificate.result
        if result.round != number or result.prev != prev or result_id(result) != committed.result_id:
            return Evidence(what="ledger", ok=False, message=f"round {number} does not follow from the one before")
        prev = committed.result_id
    text = f"{len(rounds)} rounds, each on the one before" if rounds else "no round was committed"
    return Evidence(what="ledger", ok=bool(rounds), message=text)


def _votes(
    rounds: Sequence[CommittedRound], info: TrainingInfo, names: Mapping[str, str], domain: Domain
) -> list[Evidence]:
    """The last round was signed by a majority of its participants, enrolled accounts all; and so was each before."""
    verifier = KeyVerifier(domain)
    least = info.terms.min_peers if info.terms is not None else 1
    bad = []
    for committed in rounds:
        result, votes = committed.certificate.result, committed.certificate.votes
        members = {participant.node for participant in result.participants}
        good = {
            v.voter for v in votes if v.voter in members & names.keys() and verifier.vote(result, v.voter, v.signature)
        }
        if len(good) != len(votes) or len(good) < max(least, len(members) // 2 + 1):
            bad.append(result.round)
    if not rounds:
        return []
    voters = sorted(names.get(vote.voter, vote.voter) for vote in rounds[-1].certificate.votes)
    text = f"votes of round {bad[0]} do not cover it" if bad else f"the last round is signed by {', '.join(voters)}"
    return [Evidence(what="signatures", ok=not bad, message=text)]


def _intervals(rounds: Sequence[CommittedRound], info: TrainingInfo) -> Evidence:
    """Each interval is the one that the terms and the signed losses give."""
    terms = info.terms or info.asked
    trend, results = Trend(terms.sync_frequency), [committed.certificate.result for committed in rounds]
    for index, result in enumerate(results, 1):
        due = trend.after(results[:index]).interval if terms.adaptive else terms.sync_frequency
        if result.next != due:
            text = f"round {result.round} says {result.next} batches, and {due} are due"
            return Evidence(what="intervals", ok=False, message=text)
    told = (
        f"{min(r.next for r in results)} to {max(r.next for r in results)}" if terms.adaptive else str(results[0].next)
    )
    text = f"{told} batches, as the signed losses give" if terms.adaptive else f"{told} batches throughout"
    return Evidence(what="intervals", ok=True, message=text)


def _measures(rounds: Sequence[CommittedRound], view: TrainingView, names: Mapping[str, str]) -> Evidence:
    """What the events tell of losses and metrics stands on the ledger, signed by who measured it."""
    told, count = {done.round: done.metrics for done in view.rounds}, 0
    for result in (committed.certificate.result for committed in rounds):
        for p in result.participants if result.round in told else ():
            node = names.get(p.node, p.node)
            values = {name: float_of(getattr(p, name)) for name in ("loss", "metric", "local_loss", "local_metric")}
            known = {name: value for name, value in values.items() if isfinite(value)}
            said = told[result.round].get(node) or {}
            count += len(known)
            wrong = [name for name in values if said.get(name) != known.get(name)]
            if wrong:
                text = f"{wrong[0]} of {node} in round {result.round} is not the one on the ledger"
                return Evidence(what="measures", ok=False, message=text)
    return Evidence(what="measures", ok=True, message=f"{count} losses and metrics as on the ledger")


def _program(training: Training, node: str, info: TrainingInfo) -> Evidence:
    """What the node was given is what stands on the ledger."""
    folder = training.paths.node(node) / "trainings"
    request = Stage(folder).request(training.id)
    if request is None:
        return Evidence(what=f"program of {node}", ok=False, message="the node has no such training on its disk")
    base = folder / training.id / "program"
    try:
        files = [(file.path, (base / file.path).read_bytes()) for file in request.files]
    except OSError as error:
        return Evidence(what=f"program of {node}", ok=False, message=f"cannot be read: {error}")
    digest = program_digest(files)
    ok = digest == info.program and request.rules.digest() == info.spec
    text = f"digest {digest[:16]}, rules {request.rules.digest()[:16]}"
    return Evidence(
        what=f"program of {node}", ok=ok, message=text + (" as on the ledger" if ok else ": not the ledger's")
    )


def _model(path: Path, node: str, digest: str) -> Evidence:
    try:
        layout, buffer = read_model(path)
    except (OSError, SwarmLabError) as error:
        return Evidence(what=f"model of {node}", ok=False, message=f"{path} cannot be read: {error}")
    found = root(layout, buffer)
    same = found == digest
    return Evidence(
        what=f"model of {node}",
        ok=same,
        message=f"digest {found[:16]} " + ("as on the ledger" if same else f"but {digest[:16]} on the ledger"),
    )


def _ended(ended: set[str], nodes: Sequence[str]) -> Evidence:
    missing = [node for node in nodes if node not in ended]
    text = f"{', '.join(missing)} not at the end yet" if missing else "every node has ended"
    return Evidence(what="end", ok=not missing, message=text)

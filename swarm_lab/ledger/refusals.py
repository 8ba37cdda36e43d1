"""What a contract's custom error says to a user."""

from __future__ import annotations

from swarm_lab.errors import LedgerRefused, PlatformMixed, TermsDiffer
from swarm_lab.ledger.abi import Failure

# Names of arguments in curly braces; what is not here is shown with its name and arguments.
_SENTENCES = {
    "PlatformMixed": "{node} comes with {offered}, but {fixedBy} registered first, with {fixedPlatform}",
    "TermsDiffer": "{term} is {offered} on {node} and {fixedValue} on {fixedBy}, which registered first",
    "BadTerms": "these terms cannot be: {why}",
    "AlreadyCreated": "there is a training {name} already",
    "UnknownTraining": "the ledger has no training {training}",
    "NotAssigned": "{node} is not among the training's nodes",
    "NotRegistered": "{node} has not registered for this training",
    "NotEnrolled": "{node} is not enrolled",
    "NotALearner": "{account} is not enrolled as an SL node",
    "NotAllowed": "{account} may not do this: it takes an operator or an SN",
    "TrainingOver": "the training is over",
    "TrainingNotRunning": "the training is not running",
    "StillRunning": "the training is still running",
    "NothingToResume": "round {round} was the last of this training: there is nothing to resume",
    "NodeRemoved": "{node} was removed from this training",
    "NotAMember": "{node} has not announced itself to this training",
    "TrainingEnded": "round {round} was the last of this training",
    "RoundTaken": "round {round} is committed with the result {id}",
    "NotTheNextRound": "round {round} does not follow round {head}",
    "OtherHistory": "the result follows {prev}, the ledger's head is {head}",
    "TooFewParticipants": "{participants} participants are fewer than min_peers {minPeers}",
    "TooFewVotes": "{votes} votes are fewer than {quorum}",
    "ForgedVote": "the vote of {voter} is signed by {signer}",
    "VoteNotCounted": "{voter} votes twice, out of order, or is no participant",
    "UnknownIncarnation": "{node} has started {present} times; the result lists start {incarnation}",
    "NoWeight": "all participants have weight 0",
    "EndNotDue": "{done} of {participants} participants are done: too few for the last round",
    "EndIsDue": "{done} participants are done, which ends the training: the result must say so",
    "NoContradiction": "the two check-ins do not contradict one another",
    "NotSignedBy": "the check-in of {node} is signed by {signer}",
    "ProofNotByAccount": "the proof of {account} is signed by {signer}",
    "AccountOfAnother": "{account} is enrolled as {spiffeId}",
    "NotAKind": "there is no kind of node {kind!r}",
    "AccessControlUnauthorizedAccount": "{account} may not enrol nodes",
}
_CLASSES: dict[str, type[LedgerRefused]] = {"PlatformMixed": PlatformMixed, "TermsDiffer": TermsDiffer}


def refusal(failure: Failure | None, message: str, names: dict[str, str] | None = None) -> LedgerRefused:
    """The error to raise. `names` gives node names for accounts; without a custom error `message` is all there is."""
    if failure is None:
        return LedgerRefused(message)
    shown = {key: _show(value, names or {}) for key, value in failure.arguments.items()}
    sentence = _SENTENCES.get(failure.name)
    text = sentence.format(**shown) if sentence else f"{failure.name}({', '.join(map(str, shown.values()))})"
    return _CLASSES.get(failure.name, LedgerRefused)(text, failure.name, failure.arguments)


def _show(value: object, names: dict[str, str]) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return names.get(value, value) if isinstance(value, str) else value

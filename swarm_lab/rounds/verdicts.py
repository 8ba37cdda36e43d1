"""Who is guilty when the votes of a sharded round differ: their slice signatures tell. Remembered for the training."""

from __future__ import annotations

from collections.abc import Mapping

from swarm_lab.rounds.assignments import assignment_of, slice_of
from swarm_lab.rounds.gathering import Exclusion
from swarm_lab.rounds.messages import Digest, NodeId, PlanMessage, VoteMessage
from swarm_lab.rounds.state import Desk

TWO_SLICES = "it gave different merged blocks to different peers"


class Verdicts:
    """One coordinator's; `proofs` are mergers that signed two digests for one assignment."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.proofs: dict[NodeId, str] = {}

    def known(self) -> dict[NodeId, Exclusion]:
        """What every new round begins with."""
        return {node: Exclusion(reason, proven=True) for node, reason in self.proofs.items()}

    def of_votes(self, plan: PlanMessage, votes: Mapping[NodeId, VoteMessage]) -> dict[NodeId, str]:
        """Node -> what it is guilty of; empty while all votes are for one model."""
        if len({vote.model for vote in votes.values()}) < 2:
            return {}
        assignment = assignment_of(self.desk.rules, plan).id
        guilty: dict[NodeId, str] = {}
        seen: dict[NodeId, set[Digest]] = {}
        for voter, vote in sorted(votes.items()):
            wrong = self._bad_slices(plan, assignment, vote)
            if wrong:
                guilty[voter] = wrong
                continue
            for one in vote.slices:
                seen.setdefault(one.merger, set()).add(one.digest)
        for merger, digests in sorted(seen.items()):
            if len(digests) > 1:
                guilty[merger] = self.proofs[merger] = TWO_SLICES
        return guilty or self._junk(votes)

    def _bad_slices(self, plan: PlanMessage, assignment: Digest, vote: VoteMessage) -> str | None:
        mergers = sorted({share.node for share in plan.owners})
        if [one.merger for one in vote.slices] != mergers:
            return "it voted for a model without slice signatures for it"
        for one in vote.slices:
            part = slice_of(plan, assignment, one.merger, one.digest)
            if not self.desk.verifier.slice(part, one.signature):
                return f"it voted with a forged slice signature of {one.merger}"
        return None

    def _junk(self, votes: Mapping[NodeId, VoteMessage]) -> dict[NodeId, str]:
        """All have the same slices, and so the same model: who says another one has made it up."""
        own = votes.get(self.desk.me)
        if own is not None:
            right = own.model
        else:
            models = [vote.model for vote in votes.values()]
            right = max(sorted(set(models)), key=models.count)
        return {node: "it voted for junk" for node, vote in votes.items() if vote.model != right}

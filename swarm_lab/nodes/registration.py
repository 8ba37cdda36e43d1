"""A node's place in a training: its program's terms are those of the ledger, or it is told who differs, and in what."""

from __future__ import annotations

import contextlib

from swarm_lab.callback.messages import Hello
from swarm_lab.errors import LedgerRefused, SwarmLabError, TermsDiffer, TrainingLost
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.records import Terms
from swarm_lab.nodes.agreement import asked_terms
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.program import Program
from swarm_lab.nodes.staging import StageRequest
from swarm_lab.nodes.transport import Transport
from swarm_lab.rounds.layout import Layout


class Registration:
    """Registers one node's program in one training; nothing of it is merged before that."""

    def __init__(self, name: str, ledger: Ledger, directory: Directory, transport: Transport) -> None:
        self._name = name
        self._ledger = ledger
        self._directory = directory
        self._transport = transport

    async def agree(self, request: StageRequest, program: Program, hello: Hello) -> Terms:
        """Register the program's terms; the node whose terms differ from the first one's is refused, as its program is.

        Raises `TermsDiffer`, which names the term or the tensor and both nodes, `TrainingLost` and `PlatformMixed`.
        """
        try:
            terms = asked_terms(request, hello, program.layout)
            await self._register(request.training, terms)
        except SwarmLabError as error:
            clear = error
            if isinstance(error, TermsDiffer):
                clear = await self._other_model(request.training, error, program.layout)
            await program.refuse(clear)
            raise clear from None
        return terms

    async def _register(self, training: str, terms: Terms) -> None:
        """Take part; a training that has ended takes nobody any more, but those who took part get its last model."""
        try:
            await self._ledger.register(training, terms)
        except LedgerRefused as error:
            if error.error != "TrainingOver":
                raise
            info = await self._ledger.info(training)
            if info.state != "finished" or self._ledger.account not in info.registered:
                raise TrainingLost(f"the training was {info.state} before this node's program began") from error

    async def _other_model(self, training: str, error: TermsDiffer, mine: Layout) -> TermsDiffer:
        """Where models differ, the digests of the contract's error say nothing: name the tensor and both nodes."""
        if error.arguments.get("term") != "model":
            return error
        account = str(error.arguments.get("fixedBy"))
        first = self._directory.find(account)
        if first is None:  # it came up after this node last read the roster
            with contextlib.suppress(SwarmLabError):
                await self._directory.refresh()
            first = self._directory.find(account)
        theirs = await self._transport.describe(first, training) if first is not None else None
        difference = theirs.difference(mine) if theirs is not None else None
        other = self._directory.name(account)
        if difference is None:
            return TermsDiffer(
                f"the model of {self._name} has other tensors than that of {other}, which registered first and does "
                "not answer now"
            )
        return TermsDiffer(f"the model of {self._name} differs from that of {other}: {difference} on {other}")

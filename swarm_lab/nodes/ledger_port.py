"""The ledger of one training, as the round driver uses it."""

from __future__ import annotations

from swarm_lab.facts import metrics
from swarm_lab.ledger.client import Ledger
from swarm_lab.rounds.events import LedgerView
from swarm_lab.rounds.messages import Certificate, SignedCheckIn


class LedgerPort:
    """`round_ports.TrainingLedger` over the node's client."""

    def __init__(self, ledger: Ledger, training: str) -> None:
        self._ledger = ledger
        self._training = training

    async def view(self, wait_s: float = 0.0) -> LedgerView:
        """See `round_ports.TrainingLedger`."""
        view = await self._ledger.view(self._training, wait_s)
        metrics.ledger_read_time.set_to_current_time()
        return view

    async def announce(self, nonce: str) -> None:
        """See `round_ports.TrainingLedger`."""
        await self._ledger.announce(self._training, nonce)

    async def commit(self, certificate: Certificate) -> None:
        """See `round_ports.TrainingLedger`."""
        with metrics.commit_seconds.time():
            await self._ledger.commit(certificate)

    async def depart(self, code: str) -> None:
        """See `round_ports.TrainingLedger`."""
        await self._ledger.leave(self._training, code)

    async def report(self, first: SignedCheckIn, second: SignedCheckIn) -> None:
        """See `round_ports.TrainingLedger`."""
        await self._ledger.report(first, second)

    def tx(self, round_: int) -> str | None:
        """The transaction that committed a round of the last view."""
        return self._ledger.tx(self._training, round_)

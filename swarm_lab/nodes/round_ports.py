"""What the round driver needs of the world: the ledger, the way to peers, and whom to tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from swarm_lab.rounds import events as e
from swarm_lab.rounds.layout import Buffer
from swarm_lab.rounds.messages import Certificate, Digest, Message, NodeId, PlanMessage, SignedCheckIn

SendTo = Callable[[NodeId, Message, "tuple[Digest, Buffer] | None"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A checked message of a peer.

    `instance` tells the peer's process from the one before it; `payload` is the root and bytes of a model; `direct` is
    whether no other peer has passed it on.
    """

    sender: NodeId
    instance: str
    message: Message
    payload: tuple[Digest, Buffer] | None = None
    direct: bool = True


class TrainingLedger(Protocol):
    """The ledger of one training as the machine uses it; each call returns once the transaction is included."""

    async def view(self, wait_s: float = 0.0) -> e.LedgerView:
        """The newest final state, after waiting for a new block, `wait_s` seconds at most."""
        ...

    async def announce(self, nonce: str) -> None:
        """This node has started."""
        ...

    async def commit(self, certificate: Certificate) -> None:
        """Commit a round."""
        ...

    async def depart(self, code: str) -> None:
        """This node takes part no longer."""
        ...

    async def report(self, first: SignedCheckIn, second: SignedCheckIn) -> None:
        """Two check-ins that contradict each other."""
        ...


class Listener(Protocol):
    """Who is told what happens in the training."""

    def notice(self, notice: e.Notice) -> None:
        """A fact of the machine."""
        ...

    def view(self, view: e.LedgerView) -> None:
        """The ledger has moved."""
        ...

    def plan(self, coordinator: NodeId, plan: PlanMessage) -> None:
        """A plan of a coordinator: who is left out, and why."""
        ...

    def finished(self, action: e.Finish) -> None:
        """The training is over."""
        ...

    def failed(self, action: e.Fail) -> None:
        """This node gives it up."""
        ...

"""The ledger as a node uses it: contract calls by name, and an incremental, checked view of each training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from swarm_lab.errors import LedgerRefused, LedgerUnreachable, OtherContracts
from swarm_lab.ledger.abi import Failure, failure_of, load
from swarm_lab.ledger.records import (
    STATES,
    ZERO_ADDRESS,
    CommittedRound,
    Contracts,
    Perf,
    Receipt,
    Terms,
    TrainingInfo,
    TrainingState,
    certificate_call,
    numbers,
    signature_bytes,
)
from swarm_lab.ledger.refusals import refusal
from swarm_lab.ledger.sender import Sender
from swarm_lab.ledger.signing import Domain, KeySigner, KeyVerifier, LedgerKey, training_key
from swarm_lab.ledger.transport import RpcError, Transport
from swarm_lab.ledger.watch import Watch
from swarm_lab.rounds.events import LedgerView
from swarm_lab.rounds.messages import Certificate, SignedCheckIn

# A commit checks one signature a vote and reads two slots a participant; measured far below this.
_COMMIT_GAS, _COMMIT_GAS_EACH = 2_000_000, 60_000


class Ledger:
    """The swarm's contracts for one account. Trainings are named by their id as users see it (`t-3f9a2c`).

    All calls raise `LedgerUnreachable` when nobody answers in time. Those that send a transaction return its receipt
    once it is mined, and raise `LedgerRefused` (or a subclass) with the contract's own error, `TransactionNotMined`
    when no block took it in time. `depth`: a block is final when so many, itself included, end the chain.
    """

    def __init__(
        self,
        transport: Transport,
        contracts: Contracts,
        key: LedgerKey,
        *,
        depth: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.contracts = contracts
        self.domain = Domain(contracts.chain_id, contracts.rounds)
        self.signer = KeySigner(key, self.domain)
        self.verifier = KeyVerifier(self.domain)
        self._addresses = {
            "Enrolment": contracts.enrolment,
            "Trainings": contracts.trainings,
            "Rounds": contracts.rounds,
        }
        self._transport = transport
        self._sender = Sender(transport, key, contracts.chain_id)
        self._depth = depth
        self._clock = clock
        self._watches: dict[str, Watch] = {}

    @property
    def account(self) -> str:
        """This node's account and `NodeId`."""
        return self._sender.account

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    # --- enrolment ------------------------------------------------------------------------------------------

    async def enrol(self, spiffe_id: str, account: str, kind: str, proof: bytes) -> Receipt | None:
        """Bind a SPIFFE ID to an account (SNs only; kind sn, sl or swci); None when it is so already.

        `proof` is `signing.sign_enrolment` in the domain of the contract `enrolment`.
        """
        if await self.account_of(spiffe_id) == account and await self.kind_of(account) == kind:
            return None
        return await self._send("Enrolment", "enrol", spiffe_id, account, kind, proof)

    async def account_of(self, spiffe_id: str) -> str | None:
        """The account that is enrolled for a SPIFFE ID."""
        (found,) = await self._call("Enrolment", "accountOf", spiffe_id)
        return None if found == ZERO_ADDRESS else str(found)

    async def spiffe_id_of(self, account: str) -> str | None:
        """The SPIFFE ID that an account is enrolled for."""
        (found,) = await self._call("Enrolment", "spiffeIdOf", account)
        return found or None

    async def kind_of(self, account: str) -> str | None:
        """`sn`, `sl` or `swci`; None for an account that is not enrolled."""
        (found,) = await self._call("Enrolment", "kindOf", account)
        return (None, "sn", "sl", "swci")[found]

    # --- trainings ------------------------------------------------------------------------------------------

    async def create_training(
        self, training: str, program: str, spec: str, asked: Terms, nodes: tuple[str, ...]
    ) -> Receipt:
        """Create a training for these accounts (operator or SN). Digests are 64 hex characters."""
        digests = bytes.fromhex(program), bytes.fromhex(spec)
        return await self._send("Trainings", "create", training, *digests, asked.encoded(), nodes)

    async def assign(self, training: str, node: str) -> Receipt:
        """Let one more account take part (operator or SN)."""
        return await self._send("Trainings", "assign", _key(training), node)

    async def register(self, training: str, terms: Terms) -> Receipt:
        """Take part under these terms; the first to register fixes them.

        Raises `PlatformMixed` and `TermsDiffer`, which name both nodes.
        """
        return await self._send("Trainings", "register", _key(training), terms.encoded())

    async def perf(self, training: str, perf: Perf) -> Receipt:
        """Report this node's latest performance."""
        return await self._send("Trainings", "report", _key(training), perf.encoded())

    async def perfs(self, training: str) -> dict[str, Perf]:
        """Latest performance of each account that registered."""
        nodes, found = await self._call("Trainings", "perfOf", _key(training))
        return {node: Perf.decoded(perf) for node, perf in zip(nodes, found, strict=True)}

    async def close_training(self, training: str, state: TrainingState, reason: str) -> Receipt:
        """End a training as `stopped` or `failed` (operator or SN), so that queues move on."""
        return await self._send("Trainings", "close", _key(training), STATES.index(state) + 1, reason)

    async def reset(self, training: str) -> Receipt:
        """Back to the state after its creation (operator or SN); only when it is over or nobody has registered."""
        return await self._send("Rounds", "reset", _key(training))

    async def resume(self, training: str) -> Receipt:
        """Let a training that failed, was left or was closed go on after its last round (operator or SN).

        Nodes that had left may announce themselves again; it comes to the end of the queue. One that still runs is
        left as it is. Raises `LedgerRefused` (`NothingToResume`) when its last round was the closing one.
        """
        return await self._send("Rounds", "resume", _key(training))

    async def info(self, training: str) -> TrainingInfo:
        """A training contract; raises `LedgerRefused` (`UnknownTraining`)."""
        (found,) = await self._call("Trainings", "info", _key(training))
        return TrainingInfo.decoded(found)

    async def queue(self, node: str | None = None) -> list[TrainingInfo]:
        """The trainings that are not over, first come first: of one account, or of all."""
        (found,) = await self._call("Trainings", "queue", node or ZERO_ADDRESS)
        return [TrainingInfo.decoded(one) for one in found]

    async def training_ids(self) -> list[str]:
        """All trainings ever created, oldest first."""
        (count,) = await self._call("Trainings", "count")
        return [(await self._call("Trainings", "nameAt", i))[0] for i in range(count)]

    async def platform(self) -> str | None:
        """The ML platform of the network, None before the first registration of a training."""
        (found,) = await self._call("Trainings", "platform")
        return found or None

    # --- rounds ---------------------------------------------------------------------------------------------

    async def announce(self, training: str, nonce: str) -> Receipt:
        """This node has started (again): its incarnation counts up, once for each nonce."""
        return await self._send("Rounds", "announce", _key(training), nonce)

    async def leave(self, training: str, reason: str = "") -> Receipt:
        """This node takes part no longer; a reason (an error's code) says that it failed."""
        return await self._send("Rounds", "depart", _key(training), reason)

    async def remove(self, training: str, node: str, reason: str) -> Receipt:
        """Take an account out of a training, at once and for good (operator or SN)."""
        return await self._send("Rounds", "remove", _key(training), node, reason)

    async def commit(self, certificate: Certificate) -> Receipt:
        """Commit a round; what is committed already is no error. Raises `LedgerRefused`, `RoundTaken` among them."""
        gas = _COMMIT_GAS + _COMMIT_GAS_EACH * len(certificate.result.participants)
        return await self._send("Rounds", "commit", *certificate_call(certificate), gas=gas)

    async def report(self, first: SignedCheckIn, second: SignedCheckIn) -> Receipt:
        """Prove that a node signed two check-ins for one round: it is removed."""
        arguments: list[object] = []
        for signed in (first, second):
            c = signed.check_in
            digests = bytes.fromhex(c.training), bytes.fromhex(c.prev), bytes.fromhex(c.root)
            head = (digests[0], c.round, digests[1], c.node, c.incarnation, c.weight, digests[2])
            arguments += [(*head, c.done, *numbers(c)), signature_bytes(signed.signature)]
        return await self._send("Rounds", "report", *arguments)

    async def view(self, training: str, wait_s: float = 0.0) -> LedgerView:
        """The training as the ledger shows it now; reads what is new since the last call.

        With `wait_s` it waits so long for a block that it has not seen; whatever that holds, it then returns.

        It never goes back: from an SN that lags, the view known before is given again with its old `read_at`. Raises
        `LedgerForked` when a round that was final is another one, or is not covered by its votes.
        """
        return await self._watch(training).view(self._sender.confirm_s, wait_s)

    async def committed(self, training: str) -> list[CommittedRound]:
        """All committed rounds with certificate and transaction, oldest first."""
        watch = self._watch(training)
        await watch.view(self._sender.confirm_s)
        return watch.rounds

    def tx(self, training: str, round_: int) -> str | None:
        """The transaction that committed a round, as of the last `view`; None if it shows no such round."""
        rounds = self._watch(training).rounds
        return rounds[round_ - 1].tx if 1 <= round_ <= len(rounds) else None

    async def certificate(self, training: str, round_: int) -> Certificate | None:
        """The certificate of a round, None if it is not committed."""
        watch = self._watch(training)
        if not 1 <= round_ <= len(watch.rounds):
            await watch.view(self._sender.confirm_s)
        return watch.rounds[round_ - 1].certificate if 1 <= round_ <= len(watch.rounds) else None

    async def receipt(self, tx: str) -> Receipt | None:
        """Block and gas of a transaction, None if it is in no block."""
        (found,) = await self._transport.batch([("eth_getTransactionReceipt", [tx])])
        if not isinstance(found, dict):
            return None
        return Receipt(tx, int(found["blockNumber"], 16), int(found["gasUsed"], 16))

    # --- plumbing -------------------------------------------------------------------------------------------

    def _watch(self, training: str) -> Watch:
        if training not in self._watches:
            key = training_key(training)
            self._watches[training] = Watch(self._transport, self.domain, key, self._depth, self._clock)
        return self._watches[training]

    async def _call(self, contract: str, function: str, *arguments: object) -> tuple[Any, ...]:
        call = {
            "to": self._addresses[contract],
            "from": self.account,
            "data": load(contract).call(function, *arguments),
        }
        (found,) = await self._transport.batch([("eth_call", [call, "latest"])])
        if isinstance(found, RpcError):
            raise await self._named(refusal(failure_of(found.data), found.message))
        try:
            return load(contract).answer(function, found)
        except ValueError as error:
            raise OtherContracts(f"{contract} at {self._addresses[contract]}: {error}") from error

    async def _send(self, contract: str, function: str, *arguments: object, gas: int | None = None) -> Receipt:
        data = load(contract).call(function, *arguments)
        try:
            if gas is None:
                return await self._sender.send(self._addresses[contract], data)
            return await self._sender.send(self._addresses[contract], data, gas)
        except LedgerRefused as error:
            raise await self._named(error) from None

    async def _named(self, error: LedgerRefused) -> LedgerRefused:
        """The same refusal with nodes' names for their accounts, as far as they are enrolled."""
        accounts = {v for v in error.arguments.values() if isinstance(v, str) and len(v) == 42 and v.startswith("0x")}
        calls = [
            ("eth_call", [{"to": self.contracts.enrolment, "data": load("Enrolment").call("spiffeIdOf", a)}, "latest"])
            for a in sorted(accounts)
        ]
        if not error.error or not calls:
            return error
        try:
            answers = await self._transport.batch(calls)
        except LedgerUnreachable:
            return error  # the names are a courtesy
        names = {
            account: spiffe_id.rpartition("/")[2]
            for account, answer in zip(sorted(accounts), answers, strict=True)
            if isinstance(answer, str) and (spiffe_id := load("Enrolment").answer("spiffeIdOf", answer)[0])
        }
        return refusal(Failure(error.error, dict(error.arguments)), error.message, names)


def _key(training: str) -> bytes:
    return bytes.fromhex(training_key(training))

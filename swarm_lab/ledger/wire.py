"""What both sides of the SN API share: its version, and errors as they travel."""

from __future__ import annotations

import json

import grpc
import grpc.aio

from swarm_lab import __version__, errors
from swarm_lab.errors import LedgerRefused, LedgerUnreachable, OtherProtocol, SwarmLabError
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.ledger.roster import RosterNode
from swarm_lab.protos import network_pb2

PROTOCOL = 2

_CLASSES: dict[str, type[SwarmLabError]] = {
    kind.code: kind
    for kind in (
        errors.LedgerRefused,
        errors.PlatformMixed,
        errors.OtherProtocol,
        errors.EnrolmentRefused,
        errors.OtherContracts,
    )
}
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


def check_version(protocol: int, package: str, who: str) -> None:
    """Raise `OtherProtocol`, naming both versions, unless the two can work together (the same minor version)."""
    if protocol != PROTOCOL or package.split(".")[:2] != __version__.split(".")[:2]:
        raise OtherProtocol(
            f"{who} speaks version {protocol} of the network protocol (swarm-lab {package or 'unknown'}), "
            f"this node version {PROTOCOL} (swarm-lab {__version__})"
        )


def details(error: SwarmLabError) -> str:
    """An error as the details of FAILED_PRECONDITION."""
    return json.dumps(error.to_dict())


def error_of(error: grpc.aio.AioRpcError, who: str) -> SwarmLabError:
    """The error that a failed call to an SN means."""
    text = error.details() or error.code().name
    if error.code() in _AWAY:
        return LedgerUnreachable(f"{who}: {text}")
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
        try:
            found = json.loads(text)
            kind = _CLASSES.get(found["code"], LedgerRefused)
            made = kind(str(found["message"]))
            made.next_step = str(found["next"])
            return made
        except (ValueError, KeyError, TypeError):
            return LedgerRefused(f"{who}: {text}")
    return errors.EnrolmentRefused(f"{who}: {text}")


def roster_to_wire(nodes: list[RosterNode]) -> network_pb2.RosterReply:
    """The roster as a reply."""
    return network_pb2.RosterReply(
        nodes=[
            network_pb2.RosterNode(
                spiffe_id=str(n.spiffe_id), account=n.account, address=n.address, platform=n.platform, age_s=n.age_s
            )
            for n in nodes
        ]
    )


def roster_from_wire(reply: network_pb2.RosterReply) -> list[RosterNode]:
    """The roster in a reply; raises `ValueError` for an ID of another form."""
    return [RosterNode(SpiffeId.parse(n.spiffe_id), n.account, n.address, n.platform, n.age_s) for n in reply.nodes]

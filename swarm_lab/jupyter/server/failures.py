"""Failures as the panel gets them: the one place where an error becomes a status, a code, a next step and an action."""

from __future__ import annotations

from pydantic import ValidationError

from swarm_lab import errors as e
from swarm_lab.errors import SwarmLabError, UsageError
from swarm_lab.jupyter.server.models import ErrorAction, Failed, SwarmError
from swarm_lab.jupyter.server.words import say

# The first that fits counts; what fits none is 500.
_STATUS: tuple[tuple[int, tuple[type[SwarmLabError], ...]], ...] = (
    (404, (e.NoSuchSwarm, e.NoSuchNode, e.NoSuchTraining, e.NoSuchOperation)),
    (403, (e.NotAllowed,)),
    (400, (e.UsageError, e.StagingError, e.NoFramework, e.BadRequirements)),
    (
        409,
        (
            e.GoneMeanwhile,
            e.ServerBusy,
            e.SwarmRuns,
            e.SwarmDown,
            e.SeatsBusy,
            e.PortTaken,
            e.NothingToResume,
            e.NothingToJoin,
            e.StillTraining,
            e.NoSeat,
            e.LicenseExpired,
        ),
    ),
    (504, (e.NotReady, e.NotStopped, e.TransactionNotMined)),
    (
        502,
        (
            e.Refused,
            e.LedgerUnreachable,
            e.IssuerUnreachable,
            e.LicenseServerLost,
            e.SeatsUnavailable,
            e.SupervisorFailed,
        ),
    ),
)
_RESTART: dict[type[SwarmLabError], str] = {
    e.IssuerUnreachable: "identity",
    e.LicenseServerLost: "license",
    e.SeatsUnavailable: "seats",
}


def status_of_error(error: SwarmLabError) -> int:
    """The HTTP status of a failure."""
    return next((status for status, kinds in _STATUS if isinstance(error, kinds)), 500)


def told(error: SwarmLabError, swarm: str | None = None) -> SwarmError:
    """A failure with the call that does its next step, where there is one."""
    return SwarmError(
        code=error.code, message=error.message, next=error.next_step, action=_action(error, swarm or _named(error))
    )


def failure(error: SwarmLabError, swarm: str | None = None) -> Failed:
    """The body of the answer."""
    return Failed(message=error.message, error=told(error, swarm))


def of_validation(error: ValidationError) -> UsageError:
    """A body that does not fit its model, in words: the first field that is wrong."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = say(first)
    more = len(error.errors()) - 1
    words = f"{field}: {message}" if field else message
    return UsageError(words + (f" (and {more} more)" if more else ""), next_step="correct the named field")


def _named(error: SwarmLabError) -> str | None:
    return getattr(error, "swarm", None)


def _action(error: SwarmLabError, swarm: str | None) -> ErrorAction | None:
    if isinstance(error, e.NoSuchSwarm):
        return ErrorAction(label="Start a demo swarm", method="POST", path="demo", body={})
    if swarm is None:
        return None
    if isinstance(error, e.SwarmDown):
        return ErrorAction(label=f"Start {swarm}", method="POST", path="swarms", body={"name": swarm})
    node = _RESTART.get(type(error))
    if node is not None:
        return ErrorAction(label=f"Restart {node}", method="POST", path=f"swarms/{swarm}/nodes/{node}/restart")
    if status_of_error(error) >= 500 and not isinstance(error, e.SwarmUnreadable):
        return ErrorAction(label=f"Check {swarm}", method="POST", path=f"swarms/{swarm}/doctor")
    return None

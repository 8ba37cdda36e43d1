"""Each failure has a status, and the ones that a call mends have that call."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from swarm_lab import errors as e
from swarm_lab.jupyter.server.failures import of_validation, status_of_error, told
from swarm_lab.jupyter.server.models import FaultBody


def every_error() -> list[type[e.SwarmLabError]]:
    found, look = [], [e.SwarmLabError]
    while look:
        kind = look.pop()
        look += kind.__subclasses__()
        found.append(kind)
    return found


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (e.NoSuchSwarm, 404),
        (e.NoSuchNode, 404),
        (e.NoSuchTraining, 404),
        (e.NoSuchOperation, 404),
        (e.NotAllowed, 403),
        (e.BadSpec, 400),
        (e.BadName, 400),
        (e.BadProgram, 400),
        (e.SwarmRuns, 409),
        (e.GoneMeanwhile, 409),
        (e.SwarmDown, 409),
        (e.Refused, 502),
        (e.NotReady, 504),
        (e.SwarmUnreadable, 500),
    ],
)
def test_status(kind: type[e.SwarmLabError], status: int) -> None:
    assert status_of_error(kind("x")) == status


def test_each_error_can_be_told() -> None:
    for kind in every_error():
        said = told(kind("what happened"), "demo")
        assert said.message == "what happened" and said.next
        assert 400 <= status_of_error(kind("x")) < 600


def test_a_call_that_mends_comes_along() -> None:
    action = told(e.SwarmDown("it is down"), "demo").action
    assert action is not None and (action.method, action.path, action.body) == ("POST", "swarms", {"name": "demo"})
    action = told(e.IssuerUnreachable("gone"), "demo").action
    assert action is not None and action.path == "swarms/demo/nodes/identity/restart"
    assert told(e.BadSpec("no"), "demo").action is None


def test_a_body_that_does_not_fit_names_its_field() -> None:
    with pytest.raises(ValidationError) as found:
        FaultBody.model_validate({"kind": "pause", "seconds": -1, "more": 1})
    said = of_validation(found.value)
    assert said.message == "seconds: Must be more than 0. (and 1 more)"
    assert status_of_error(said) == 400

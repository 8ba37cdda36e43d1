"""Who may call: a stranger nothing, a user what the site's authorizer says, each verb of each handler asked by name."""

from __future__ import annotations

import re

import pytest
from support.lab_server import LabServer
from support.paper import Paper
from websocket import WebSocketBadStatusException

from swarm_lab.jupyter.server.routes import ROUTES

CALLS = [(method, re.sub(r"\{\w+\}", "demo", route.path)) for route in ROUTES for method in route.calls]


@pytest.mark.parametrize(("method", "path"), CALLS, ids=[f"{method} {path}" for method, path in CALLS])
def test_a_denying_authorizer_is_asked_by_each_verb(server: LabServer, method: str, path: str) -> None:
    with server.policy("none"):
        status, said = server.call(method, path, {} if method == "POST" else None)
    assert (status, said["error"]["code"]) == (403, "SWL-137")


@pytest.mark.parametrize(("method", "path"), CALLS, ids=[f"{method} {path}" for method, path in CALLS])
def test_a_stranger_gets_nothing(server: LabServer, method: str, path: str) -> None:
    for token in ("", "an-old-one"):
        status, said = server.call(method, path, {} if method == "POST" else None, token=token)
        assert status == 403 and "error" not in said


def test_the_socket_is_authorized_before_it_opens(server: LabServer) -> None:
    for token in ("", "for-tests"):
        with server.policy("none"), pytest.raises(WebSocketBadStatusException) as refused:
            server.live(token)
        assert refused.value.status_code == 403


def test_who_may_look_may_not_touch(server: LabServer) -> None:
    Paper("demo")
    with server.policy("read"):
        assert server.get("snapshot")[0] == 200
        assert server.call("POST", "specs/check", {"yaml": "sl: 1"})[0] == 200
        assert server.call("DELETE", "swarms/demo?purge=true")[0] == 403
        assert server.call("POST", "swarms/demo/nodes/sl-1/faults", {"kind": "kill"})[0] == 403
        live = server.live()
        assert live.next("hello")["seqs"] == {"demo": 1}
        live.close()

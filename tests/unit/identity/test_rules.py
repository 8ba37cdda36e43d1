"""Which roles may call which methods."""

from __future__ import annotations

import pytest

from swarm_lab.errors import RoleRefused
from swarm_lab.identity.authorizer import Rules, current_peer
from swarm_lab.identity.ids import SpiffeId

RULES = Rules({"/n.Network/": {"sl", "sn"}, "/n.Network/Register": {"sl"}, "/n.Control/": ["swci"]})


@pytest.mark.parametrize(
    ("method", "role", "allowed"),
    [
        ("/n.Network/Roster", "sn", True),
        ("/n.Network/Register", "sl", True),
        ("/n.Network/Register", "sn", False),
        ("/n.Control/Stop", "swci", True),
        ("/n.Control/Stop", "sl", False),
        ("/other.Service/Any", "sl", False),
        ("", "sl", False),
    ],
)
def test_the_longest_prefix_decides_and_the_default_is_no(method: str, role: str, allowed: bool) -> None:
    peer = SpiffeId("a.swarm", role, "x")
    if allowed:
        RULES.check(method, peer)
    else:
        with pytest.raises(RoleRefused, match=role):
            RULES.check(method, peer)


def test_there_is_no_caller_outside_a_call() -> None:
    with pytest.raises(LookupError):
        current_peer()

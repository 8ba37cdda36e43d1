"""Who is in the swarm, as two SNs agree on it."""

from __future__ import annotations

from swarm_lab.identity.ids import SpiffeId
from swarm_lab.ledger.roster import Roster, RosterNode
from swarm_lab.ledger.wire import roster_from_wire, roster_to_wire


def node(name: str, address: str = "127.0.0.1:1") -> RosterNode:
    return RosterNode(SpiffeId("demo.swarm", "sl", name), "0x" + "11" * 20, address, "torch")


def test_the_later_word_wins() -> None:
    now = [0.0]
    here, there = Roster(lambda: now[0]), Roster(lambda: now[0])
    here.put(node("sl-1", "old:1"))
    now[0] = 10.0
    there.put(node("sl-1", "new:1"))
    here.merge(there.nodes())
    there.merge(here.nodes())
    assert [n.address for n in here.nodes()] == [n.address for n in there.nodes()] == ["new:1"]
    now[0] = 15.0
    assert here.nodes()[0].age_s == 5.0


def test_two_sns_do_not_keep_a_dead_node_young() -> None:
    now = [0.0]
    here, there = Roster(lambda: now[0]), Roster(lambda: now[0])
    here.put(node("sl-1"))
    for _ in range(100):
        told = here.nodes()
        now[0] += 0.25  # on its way
        there.merge(told)
        back = there.nodes()
        now[0] += 0.25
        here.merge(back)
    assert here.nodes()[0].age_s == 50.0
    assert there.nodes()[0].age_s >= 49.0


def test_over_the_wire() -> None:
    roster = Roster(lambda: 1.0)
    roster.put(node("sl-2"))
    roster.put(node("sl-1"))
    assert roster_from_wire(roster_to_wire(roster.nodes())) == [node("sl-1"), node("sl-2")]

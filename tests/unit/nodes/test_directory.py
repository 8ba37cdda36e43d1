"""Who the other nodes are: what an SN tells, what stays when it starts anew, what only the ledger knows."""

from __future__ import annotations

from swarm_lab.identity.ids import SpiffeId
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.transport import PeerAddress


def spiffe(name: str) -> SpiffeId:
    return SpiffeId("org.swarm", "sl", name)


def peer(account: str, name: str, port: int = 1) -> PeerAddress:
    return PeerAddress(account, name, spiffe(name), f"127.0.0.1:{port}")


class Sources:
    """An SN's roster and the ledger's enrolments, both as they are at the moment."""

    def __init__(self) -> None:
        self.roster: list[PeerAddress] = []
        self.enrolments: dict[str, str] = {}
        self.asked: list[str] = []
        self.directory = Directory(self.read, self.enrolled)

    async def read(self) -> list[PeerAddress]:
        return self.roster

    async def enrolled(self, account: str) -> str | None:
        self.asked.append(account)
        return self.enrolments.get(account)


async def test_who_was_known_stays_known_when_an_sn_starts_anew() -> None:
    at = Sources()
    at.roster = [peer("0xa", "sl-1"), peer("0xb", "sl-2")]
    await at.directory.refresh()
    at.roster = [peer("0xb", "sl-2", port=2)]  # the other has not registered again yet
    await at.directory.refresh()
    assert at.directory.find("0xa") == peer("0xa", "sl-1") and at.directory.node(spiffe("sl-1")) == "0xa"
    assert at.directory.find("0xb") == peer("0xb", "sl-2", port=2)
    assert at.directory.words("0xa waits for 0xb and 0xc") == "sl-1 waits for sl-2 and 0xc"


async def test_a_node_that_enrolled_anew_is_reached_under_its_new_account_only() -> None:
    at = Sources()
    for account in ("0xa", "0xc"):
        at.roster = [peer(account, "sl-1")]
        await at.directory.refresh()
    assert at.directory.find("0xa") is None and at.directory.find("0xc") == peer("0xc", "sl-1")
    assert at.directory.node(spiffe("sl-1")) == "0xc" and at.directory.name("0xa") == "sl-1"


async def test_members_that_no_sn_has_told_of_are_named_by_the_ledger() -> None:
    at = Sources()
    at.roster = [peer("0xa", "sl-1")]
    await at.directory.refresh()
    at.enrolments = {"0xb": str(spiffe("sl-2")), "0xd": "no identity"}
    await at.directory.identify(["0xa", "0xb", "0xc", "0xd"])
    assert at.asked == ["0xb", "0xc", "0xd"]
    assert [at.directory.name(account) for account in ("0xa", "0xb", "0xc", "0xd")] == ["sl-1", "sl-2", "0xc", "0xd"]
    assert at.directory.node(spiffe("sl-2")) == "0xb" and at.directory.knows(spiffe("sl-2"))
    assert at.directory.find("0xb") is None  # where it listens only an SN can tell

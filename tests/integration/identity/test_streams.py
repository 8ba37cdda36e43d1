"""Tensor streams on real sockets with real SVIDs: who gets in, and what rotation and expiry do to a connection."""

from __future__ import annotations

import functools
import os
import ssl
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from support.streaming import (
    HOUR,
    PEER,
    SERVER,
    WAIT_S,
    Bare,
    Kept,
    below_an_intermediate,
    lines,
    sending,
    serving,
    source,
)

from swarm_lab import __version__
from swarm_lab.errors import IdentityExpired, PeerNotVerified, UnknownTrustDomain
from swarm_lab.identity import streams
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource
from swarm_lab.nodes import frames, stream_client, stream_server
from swarm_lab.nodes.frames import Hello, Refusal


@pytest.fixture(scope="module")
def a() -> Authority:
    return Authority.create("a.swarm")


@pytest.fixture(scope="module")
def b() -> Authority:
    return Authority.create("b.swarm")


def test_a_peer_of_either_domain_gets_in_and_is_named(a: Authority, b: Authority) -> None:
    other, sink = SpiffeId("b.swarm", "sl", "sl-9"), Kept()
    with serving(source(a, SERVER, b), sink) as server:
        for ours, who in ((source(a, PEER), PEER), (source(b, other, a), other)):
            with sending(ours, server.port) as out:
                assert out.goes(body=b"x")
            assert sink.came.get(timeout=WAIT_S)[:2] == (who, "client")


def test_it_is_tls_1_3_and_nothing_older(a: Authority) -> None:
    with serving(source(a, SERVER), Kept()) as server:
        with Bare(source(a, PEER), server.port) as bare:
            assert bare.sock.version() == "TLSv1.3"
            assert isinstance(bare.greet(), Hello)
        context = streams.client_context(source(a, PEER), SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError), Bare(source(a, PEER), server.port, context=context):
            pass


def test_the_role_decides(a: Authority) -> None:
    with (
        serving(source(a, SERVER), Kept()) as server,
        sending(source(a, SpiffeId("a.swarm", "sn", "sn-2")), server.port) as out,
    ):
        assert not out.goes(body=b"x")
        assert "has role sn" in out.client.trouble


def test_who_is_not_admitted_does_not_get_in(a: Authority) -> None:
    asked: list[SpiffeId] = []
    with (
        serving(source(a, SERVER), Kept(), admit=lambda peer: bool(asked.append(peer))) as server,
        sending(source(a, PEER), server.port) as out,
    ):
        assert not out.goes(body=b"x")
        assert "is not admitted" in out.client.trouble
    assert asked == [PEER]  # a refusal with a code is not tried twice


def test_a_server_takes_no_svid_of_another_domains_authority(a: Authority, b: Authority) -> None:
    """TLS alone lets it through: b's authority is one of the server's roots."""
    forged = FixedSource(b.issue(PEER, HOUR), {"a.swarm": a.bundle})
    asked: list[SpiffeId] = []
    with serving(source(a, SERVER, b), Kept(), admit=lambda peer: bool(asked.append(peer))) as server:
        with sending(forged, server.port) as out:
            assert not out.goes(body=b"x")
            assert "not of the authority of a.swarm" in out.client.trouble
        with Bare(forged, server.port) as bare:
            answer = bare.greet(frames.greeting("bare", b.bundle))
            assert isinstance(answer, Refusal)
            assert answer.code == PeerNotVerified.code
    assert asked == []


def test_a_client_takes_no_svid_of_another_domains_authority(a: Authority, b: Authority) -> None:
    forged = FixedSource(b.issue(SERVER, HOUR), {"a.swarm": a.bundle, "b.swarm": b.bundle})
    with serving(forged, Kept()) as server, sending(source(a, PEER, b), server.port) as out:
        assert not out.goes(body=b"x")
        assert "certificate verify failed" in out.client.trouble


def test_a_client_takes_no_other_node_nor_the_same_name_in_another_role(a: Authority) -> None:
    for who, words in (
        (SpiffeId("a.swarm", "sl", "sl-3"), "mismatch"),
        (SpiffeId("a.swarm", "sn", "sl-1"), "in place"),
    ):
        with serving(source(a, who), Kept()) as server, sending(source(a, PEER), server.port) as out:
            assert not out.goes(body=b"x")
            assert words in out.client.trouble


def test_no_certificate_or_one_of_strangers_does_not_connect(a: Authority, b: Authority) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(cadata=a.bundle.decode())
    stranger = FixedSource(b.issue(PEER, HOUR), {"a.swarm": a.bundle})
    sink = Kept()
    with serving(source(a, SERVER), sink) as server, lines() as seen:
        with Bare(source(a, PEER), server.port, context=bare) as opened:
            assert opened.ended()
        assert "PEER_DID_NOT_RETURN" in seen.reason(bool)
        with sending(stranger, server.port) as out:
            assert not out.goes(body=b"x")
        assert "CERTIFICATE_VERIFY_FAILED" in seen.reason(bool)
    assert sink.placed.empty()


def test_a_domain_without_a_bundle_is_not_dialled(a: Authority) -> None:
    with (
        serving(source(a, SERVER), Kept()) as server,
        sending(source(a, PEER), server.port, SpiffeId("c.swarm", "sl", "sl-1")) as out,
    ):
        assert not out.goes(body=b"x")
        assert "c.swarm" in out.client.trouble


def test_an_expired_svid_does_not_connect(a: Authority) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with serving(source(a, SERVER), Kept()) as server, sending(source(a, PEER, now=yesterday), server.port) as out:
        assert not out.goes(body=b"x")


def test_intermediates_travel_in_the_hellos(a: Authority) -> None:
    ours, theirs = below_an_intermediate(SERVER, PEER)
    sink = Kept()
    with serving(ours, sink) as server:
        with sending(theirs, server.port) as out:
            assert out.goes(body=b"whole")
        assert sink.body() == b"whole"
        with Bare(theirs, server.port) as bare:  # its chain is in the handshake, and missing in its hello
            answer = bare.greet()
            assert isinstance(answer, Refusal)
            assert answer.code == PeerNotVerified.code


def test_another_version_is_refused_and_both_are_named(a: Authority) -> None:
    with serving(source(a, SERVER), Kept()) as server, lines() as seen, Bare(source(a, PEER), server.port) as bare:
        answer = bare.greet(Hello(99, "7.7.7", "bare"))
        assert isinstance(answer, Refusal)
        for text in (answer.refused, seen.reason(bool)):
            assert "protocol 99" in text and "7.7.7" in text and __version__ in text
        assert bare.ended()


# --- rotation and expiry ----------------------------------------------------------------------------------


def test_a_rotation_leaves_the_open_connection_and_new_ones_show_the_new_svid(a: Authority) -> None:
    renamed, sink = SpiffeId("a.swarm", "sl", "sl-7"), Kept()
    ours, theirs = source(a, SERVER), source(a, PEER)
    with serving(ours, sink) as server, sending(theirs, server.port) as out:
        assert out.goes(body=b"1")
        ours.replace(a.issue(renamed, HOUR))
        theirs.replace(a.issue(SpiffeId("a.swarm", "sl", "sl-8"), HOUR))
        assert out.goes(body=b"2")
        with sending(theirs, server.port, renamed) as second:
            assert second.goes(body=b"3")
        # Threads of two connections hand over at their own pace.
        assert sorted(sink.came.get(timeout=WAIT_S)[0].node for _ in range(3)) == ["sl-2", "sl-2", "sl-8"]


class Clock:
    """The clock of one end's connections; the handshakes have the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, end: ModuleType) -> None:
        self.ahead = 0.0
        clocked = functools.partial(streams.Standing, clock=lambda: time.time() + self.ahead)
        monkeypatch.setattr(end, "Standing", clocked)


def test_a_connection_is_renewed_at_half_its_svids_life(a: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, clock, theirs = Kept(), Clock(monkeypatch, stream_client), source(a, PEER)
    with serving(source(a, SERVER), sink) as server, sending(theirs, server.port) as out:
        assert out.goes(body=b"1")
        theirs.replace(a.issue(SpiffeId("a.swarm", "sl", "sl-8"), HOUR))
        clock.ahead = 1700
        assert out.goes(body=b"2")
        assert [sink.came.get(timeout=WAIT_S)[0].node for _ in range(2)] == ["sl-2", "sl-2"]
        clock.ahead = 1801
        assert out.goes(body=b"3")
        assert sink.came.get(timeout=WAIT_S)[0].node == "sl-8"


def test_an_svid_that_expires_on_an_open_connection_lets_no_frame_through(
    a: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own check: this peer goes on as if nothing was."""
    sink, clock = Kept(), Clock(monkeypatch, stream_server)
    with (
        serving(source(a, SERVER, life=2 * HOUR), sink) as server,
        Bare(source(a, PEER), server.port) as bare,
    ):
        assert isinstance(bare.greet(), Hello)
        clock.ahead = 3601
        bare.sock.sendall(frames.encode(frames.Head("t", "NEED")))
        answer = bare.answer()
        assert isinstance(answer, Refusal)
        assert answer.code == IdentityExpired.code
        assert str(PEER) in answer.refused
    assert sink.came.empty()


def test_an_idle_connection_ends_with_its_svid(a: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, stream_server)
    with (
        serving(source(a, SERVER), Kept(), stall_s=lambda: 0.1) as server,
        Bare(source(a, PEER, life=2 * HOUR), server.port) as bare,
    ):
        assert isinstance(bare.greet(), Hello)
        clock.ahead = 3601
        answer = bare.answer()
        assert isinstance(answer, Refusal)
        assert str(SERVER) in answer.refused


def test_a_peer_whose_authority_is_no_longer_trusted_sends_nothing_more(a: Authority, b: Authority) -> None:
    ours, sink = source(a, SERVER, b), Kept()
    with serving(ours, sink) as server, sending(source(b, SpiffeId("b.swarm", "sl", "sl-9"), a), server.port) as out:
        assert out.goes(body=b"1")
        assert sink.body() == b"1"
        ours.replace(ours.svid(), {"a.swarm": a.bundle})
        out.goes(body=b"2")  # may be sent before the server's word is there
        while out.goes(body=b"3"):
            pass
    assert sink.came.empty()


def test_standing_follows_clock_and_bundles(a: Authority, b: Authority) -> None:
    ours, now = source(a, PEER, b), [time.time()]
    with serving(source(a, SERVER), Kept()) as server, Bare(ours, server.port) as bare:
        shown = streams.Credentials.for_client(ours, SERVER)
        standing = streams.Standing(bare.sock, ours, shown, clock=lambda: now[0])
        assert standing.peer == streams.verified_peer(bare.sock, ours) == SERVER
        standing.check()
        assert not standing.is_old
        now[0] += 1801
        standing.check()
        assert standing.is_old
        ours.replace(ours.svid(), {"b.swarm": b.bundle})
        with pytest.raises(UnknownTrustDomain):
            standing.check()
        now[0] += 1801
        with pytest.raises(IdentityExpired):
            standing.check()


# --- the key ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memfd", [True, False])
def test_no_key_stays_on_disk_and_no_descriptor_open(
    a: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memfd: bool
) -> None:
    if not memfd:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[int] = []
    real = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", lambda **more: made.append(1) or real(**more))
    before = len(os.listdir("/proc/self/fd"))
    streams.server_context(source(a, SERVER))
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before
    assert bool(made) == (not memfd)


def test_a_server_makes_its_context_anew_for_a_new_generation_only(a: Authority) -> None:
    ours = source(a, SERVER)
    contexts = streams.ServerContexts(ours)
    first = contexts.current()
    assert contexts.current() is first
    ours.replace(a.issue(SERVER, HOUR))
    assert contexts.current().svid == ours.svid()
    assert contexts.current() is not first

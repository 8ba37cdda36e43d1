"""Tensor streams on real sockets: bytes where they belong, and what broken or hostile peers do to a node: nothing."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support.streaming import BLOCK, PEER, SERVER, WAIT_S, Bare, Kept, lines, sending, serving, source

from swarm_lab.identity.authority import Authority
from swarm_lab.nodes import frames, stream_server, stream_wire
from swarm_lab.nodes.frames import Head, Hello, Refusal
from swarm_lab.nodes.streams import StreamServer

MB = 1 << 20


@pytest.fixture(scope="module")
def a() -> Authority:
    return Authority.create("a.swarm")


@pytest.fixture
def sink() -> Kept:
    return Kept()


@pytest.fixture
def server(a: Authority, sink: Kept) -> Iterator[StreamServer]:
    with serving(source(a, SERVER), sink) as one:
        yield one


def pattern(size: int, step: int = 1) -> bytes:
    return (bytes(range(0, 256, step)) * (size // (256 // step) + 1))[:size]


# --- what goes well ---------------------------------------------------------------------------------------


def test_64_mb_both_ways_into_memory_that_is_there(a: Authority) -> None:
    size, one, two = 64 * MB, Kept(), Kept()
    one.memory, two.memory = bytearray(size), bytearray(size)
    first, second = pattern(size), pattern(size, 2)
    with (
        serving(source(a, SERVER), one) as at_one,
        serving(source(a, PEER), two) as at_two,
        sending(source(a, PEER), at_one.port) as to_one,
        sending(source(a, SERVER), at_two.port, PEER) as to_two,
    ):
        assert to_one.send(BLOCK, first)
        assert to_two.send(BLOCK, second)
        for sink in (one, two):
            body = sink.body()
            assert isinstance(body, memoryview) and body.obj is sink.memory
        ok, seconds, nbytes = to_one.ends.get(timeout=WAIT_S)
        assert ok and seconds > 0 and nbytes > size
        assert to_two.ended()
    assert one.memory == first
    assert two.memory == second


@pytest.mark.parametrize("size", [1, 16 * 1024 - 400, 16 * 1024, 16 * 1024 + 1, MB - 1, MB + 1])
def test_every_size_comes_whole_and_in_order(a: Authority, server: StreamServer, sink: Kept, size: int) -> None:
    full = Head("t", "LIST", "n" * 64, "a" * 64, "b" * 64, 1, tuple(range(256)), text="\0" * 1024)
    with sending(source(a, PEER), server.port) as out:
        for number in range(20):
            assert out.send(Head("t", "BLOCK", block=number) if number % 2 else full, pattern(size + number))
        for number in range(20):
            _, instance, head, body = sink.came.get(timeout=WAIT_S)
            assert instance == "client"
            assert body == pattern(size + number)
            assert head.block == number if number % 2 else head == full


def test_frames_without_a_body_and_dropped_ones(a: Authority, server: StreamServer, sink: Kept) -> None:
    with sending(source(a, PEER), server.port) as out:
        assert out.goes(Head("t", "NEED"))
        assert out.goes(Head("t", "BLOCK", "drop"), pattern(3 * MB))
        assert out.goes(Head("t", "MESSAGE"), b"after")
        assert sink.body() == b""
        assert sink.body() is None
        assert sink.body() == b"after"
    assert sink.placed.qsize() == 2


def test_an_array_of_any_type_can_be_sent(a: Authority, server: StreamServer, sink: Kept) -> None:
    numbers = memoryview(bytearray(pattern(80))).cast("d")
    with sending(source(a, PEER), server.port) as out:
        assert out.goes(BLOCK, numbers)
    assert sink.body() == pattern(80)


# --- what a peer breaks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (Head("t", "BLOCK", "bad place"), "not wanted"),
        (Head("t", "BLOCK", "bad body"), "not believed"),
        (Head("t", "BLOCK", "large"), "at most 1000"),
    ],
)
def test_a_broken_rule_is_reported_and_ends_the_connection(
    a: Authority, server: StreamServer, sink: Kept, head: Head, words: str
) -> None:
    sink.most = 1000
    with Bare(source(a, PEER), server.port) as bare:
        assert isinstance(bare.greet(), Hello)
        bare.sock.sendall(frames.encode(head, 1001 if head.name == "large" else 5) + b"12345")
        peer, reported, reason = sink.refusals.get(timeout=WAIT_S)
        assert (peer, reported) == (PEER, head)
        assert words in reason
        answer = bare.answer()
        assert isinstance(answer, Refusal) and words in answer.refused
        assert bare.ended()
    assert sink.placed.empty() == (head.name == "large")
    assert sink.came.empty()


def test_the_sender_hears_why(a: Authority, server: StreamServer, sink: Kept) -> None:
    with sending(source(a, PEER), server.port) as out, lines("stream_client") as seen:
        assert out.goes(Head("t", "BLOCK", "bad body"), b"x")
        sink.refusals.get(timeout=WAIT_S)
        while seen.lines.empty():
            assert out.goes(Head("t", "NEED"))  # on a new connection once the refusal is there
        assert "not believed" in seen.reason(bool)
        assert out.client.trouble == ""
        assert out.goes(body=b"again")


def test_who_is_cut_off_in_the_midst_of_a_frame_hears_why(a: Authority, server: StreamServer, sink: Kept) -> None:
    with sending(source(a, PEER), server.port) as out:
        sink.most = MB
        assert not out.goes(body=pattern(40 * MB))
        assert "at most" in out.client.trouble or "reset" in out.client.trouble


@pytest.mark.parametrize("data", [b"\0" * 4000, b"\xff" * 4000, frames.PREFIX.pack(5, 0) + b"12345", b"G" * 20])
def test_garbage_after_the_hello_ends_the_connection(
    a: Authority, server: StreamServer, sink: Kept, data: bytes
) -> None:
    with Bare(source(a, PEER), server.port) as bare:
        assert isinstance(bare.greet(), Hello)
        bare.sock.sendall(data)
        assert sink.refusals.get(timeout=WAIT_S)[1] is None
        assert bare.ended()


@pytest.mark.parametrize("data", [b"\0" * 4000, frames.encode(BLOCK), b"GET / HTTP/1.1"])
def test_garbage_in_place_of_the_hello_ends_the_connection(a: Authority, server: StreamServer, data: bytes) -> None:
    with Bare(source(a, PEER), server.port) as bare:
        bare.sock.sendall(data.ljust(2000, b"\0"))
        assert bare.ended()


def test_garbage_in_place_of_tls_and_plain_clients_end_at_once(server: StreamServer) -> None:
    with lines() as seen:
        for data in (
            b"GET / HTTP/1.1\r\n\r\n",
            frames.encode(frames.greeting("i", b"")),
            b"\x16\x03\x01" + b"\0" * 500,
        ):
            with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as plain:
                plain.sendall(data)
                while _read(plain):
                    pass
            assert seen.reason(bool)


def test_a_peer_that_dies_in_mid_body(a: Authority, server: StreamServer, sink: Kept) -> None:
    with lines() as seen:
        with Bare(source(a, PEER), server.port) as bare:
            assert isinstance(bare.greet(), Hello)
            bare.sock.sendall(frames.encode(BLOCK, MB) + b"x" * 100_000)
            sink.placed.get(timeout=WAIT_S)
        assert sink.gone.get(timeout=WAIT_S) == BLOCK
        assert f"after 100000 of a body's {MB} bytes" in seen.reason(bool)
    assert sink.came.empty() and sink.refusals.empty()


@pytest.mark.parametrize("data", [b"\0\0", frames.encode(BLOCK)[:20], frames.encode(BLOCK, MB) + b"x" * 50_000])
def test_a_frame_that_stands_still_ends(a: Authority, sink: Kept, data: bytes) -> None:
    with serving(source(a, SERVER), sink, stall_s=lambda: 0.2) as server, lines() as seen:
        with Bare(source(a, PEER), server.port) as bare:
            assert isinstance(bare.greet(), Hello)
            time.sleep(0.5)  # between frames there is no limit
            bare.sock.sendall(data)
            began = time.monotonic()
            assert bare.ended()
            assert 0.15 < time.monotonic() - began < 5
        assert "stood still for 0.2 s" in seen.reason(bool)


def test_a_peer_that_never_finishes_its_handshake(
    a: Authority, server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_wire, "HANDSHAKE_S", 0.3)
    with lines() as seen, socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as mute:
        assert not _read(mute)
        assert "no handshake within" in seen.reason(bool)
        with Bare(source(a, PEER), server.port) as bare, pytest.raises(OSError):
            for byte in frames.encode(frames.greeting("i", b"")):  # its hello comes a byte at a time
                bare.sock.sendall(bytes([byte]))
                time.sleep(0.02)
        assert "no handshake within" in seen.reason(bool)


def test_a_fifth_connection_of_a_peer_ends_its_first(a: Authority, server: StreamServer) -> None:
    bares = [Bare(source(a, PEER), server.port) for _ in range(5)]
    try:
        for bare in bares:
            assert isinstance(bare.greet(), Hello)
        assert bares[0].ended()
        bares[1].sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            bares[1].sock.recv(1)
    finally:
        for bare in bares:
            bare.sock.close()


def test_there_is_a_limit_for_all(a: Authority, sink: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_server, "IN_ALL", 2)
    with serving(source(a, SERVER), sink) as server:
        with Bare(source(a, PEER), server.port) as one, Bare(source(a, PEER), server.port) as two:
            assert isinstance(one.greet(), Hello) and isinstance(two.greet(), Hello)
            with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as third:
                assert not _read(third)
        with sending(source(a, PEER), server.port) as out:
            while not out.goes():  # until the threads of the first two have ended
                time.sleep(0.02)


def test_a_fault_of_the_sink_ends_one_connection_and_gives_its_memory_back(
    a: Authority, server: StreamServer, sink: Kept
) -> None:
    head = Head("t", "BLOCK", "wrong size")
    with Bare(source(a, PEER), server.port) as bare:
        assert isinstance(bare.greet(), Hello)
        bare.sock.sendall(frames.encode(head, 5) + b"12345")
        assert bare.ended()
    assert sink.gone.get(timeout=WAIT_S) == head
    with sending(source(a, PEER), server.port) as out:
        assert out.goes(body=b"x")


# --- the sending end --------------------------------------------------------------------------------------


def test_a_server_that_was_started_again_is_dialled_again(a: Authority, sink: Kept) -> None:
    with serving(source(a, SERVER), sink) as first:
        out_of = sending(source(a, PEER), first.port)
        out = out_of.__enter__()
        assert out.goes(body=b"1")
    try:
        assert not out.goes(body=b"2")
        with serving(source(a, SERVER), sink, port=first.port):
            assert out.goes(body=b"3")
            assert [sink.body(), sink.body()] == [b"1", b"3"]
        with serving(source(a, SERVER), sink) as elsewhere:
            out.client.redirect("127.0.0.1", elsewhere.port)
            assert out.goes(body=b"4")
            assert sink.body() == b"4"
    finally:
        out_of.__exit__(None, None, None)


def test_a_redirected_client_leaves_a_connection_that_stands(a: Authority, server: StreamServer, sink: Kept) -> None:
    other = Kept()
    with serving(source(a, SERVER), other) as second, sending(source(a, PEER), server.port) as out:
        assert out.goes(body=b"1")
        out.client.redirect("127.0.0.1", second.port)
        assert out.goes(body=b"2")
        assert (sink.body(), other.body()) == (b"1", b"2")


class Slow(Kept):
    """Takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def place(self, *args: object) -> memoryview | None:
        self.go.wait(WAIT_S)
        return super().place(*args)  # type: ignore[arg-type]


def test_the_queue_is_bounded_by_items_and_by_bytes_and_urgent_frames_go_first(a: Authority) -> None:
    sink, body = Slow(), pattern(40 * MB)
    with serving(source(a, SERVER), sink) as server, sending(source(a, PEER), server.port, max_items=3) as out:
        assert out.send(Head("t", "BLOCK", block=1), body)
        while out.client._queues[1]:  # until the thread has it: it stands in the midst of it then
            time.sleep(0.01)
        out.client._max_bytes = 50
        assert out.send(Head("t", "BLOCK", block=2), body)  # fits into an empty queue, whatever its size
        assert not out.send(Head("t", "BLOCK", block=3))
        out.client._max_bytes = 1 << 30
        assert out.send(Head("t", "BLOCK", block=4)) and out.send(Head("t", "BLOCK", block=5))
        assert not out.send(Head("t", "BLOCK", block=6))
        assert all(out.send(Head("t", "MESSAGE", block=7 + i), urgent=True) for i in range(3))
        assert not out.send(Head("t", "MESSAGE", block=10), urgent=True)
        sink.go.set()
        assert [sink.came.get(timeout=WAIT_S)[2].block for _ in range(7)] == [1, 7, 8, 9, 2, 4, 5]
        assert all(out.ended() for _ in range(7))
        assert out.client._bytes == 0


def test_a_peer_that_takes_nothing_fails_all_that_waits(a: Authority) -> None:
    sink = Slow()
    with (
        serving(source(a, SERVER), sink) as server,
        sending(source(a, PEER), server.port, stall_s=lambda: 0.2) as out,
    ):
        assert all(out.send(BLOCK, pattern(64 * MB)) for _ in range(2))
        assert out.send(BLOCK)
        assert not any(out.ended() for _ in range(3))
        assert "timed out" in out.client.trouble
        sink.go.set()


def test_a_listener_that_fails_stops_nothing(a: Authority, server: StreamServer, sink: Kept) -> None:
    def fails(ok: bool, seconds: float, nbytes: int) -> None:
        raise RuntimeError

    with sending(source(a, PEER), server.port) as out:
        assert out.client.send(BLOCK, b"1", fails)
        assert out.goes(body=b"2")
    assert [sink.body(), sink.body()] == [b"1", b"2"]


def test_closing_ends_both_sides_in_the_midst_of_a_frame(a: Authority) -> None:
    before = set(threading.enumerate())
    sink = Kept()
    with serving(source(a, SERVER), sink) as server, Bare(source(a, PEER), server.port) as bare:
        assert isinstance(bare.greet(), Hello)
        bare.sock.sendall(frames.encode(BLOCK, MB))
        sink.placed.get(timeout=WAIT_S)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < stream_wire.HANDSHAKE_S
        assert sink.gone.get(timeout=WAIT_S) == BLOCK
    slow = Slow()
    with serving(source(a, SERVER), slow) as server, sending(source(a, PEER), server.port) as out:
        assert out.send(BLOCK, pattern(64 * MB)) and out.send(BLOCK)
        while not out.client._open:
            time.sleep(0.01)
        began = time.monotonic()
        out.client.close()
        assert time.monotonic() - began < stream_wire.HANDSHAKE_S
        assert not out.ended() and not out.ended()
        assert not out.send()
        slow.go.set()
    with pytest.raises(queue.Empty):
        out.ends.get_nowait()
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_S)
        assert not thread.is_alive(), thread.name


def _read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(4096)
    except ConnectionError:
        return b""

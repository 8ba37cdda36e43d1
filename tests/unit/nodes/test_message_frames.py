"""Frames by hand are protobuf's own, in both directions."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from swarm_lab.nodes import message_frames as frames
from swarm_lab.nodes.message_frames import Chunk, frames_of, parse
from swarm_lab.protos import peer_pb2

HEAD = peer_pb2.Head(protocol=2, training="t-1", kind="MODEL", payload_bytes=300)


@pytest.mark.parametrize("size", [1, 127, 128, 300, 20_000])
def test_what_is_written_is_what_protobuf_writes(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHUNK", 16_384)
    payload = bytes(range(256)) * 80
    written = list(frames_of(HEAD, payload[:size]))
    assert written[0] == peer_pb2.Frame(head=HEAD).SerializeToString()
    parts = [payload[:size][start : start + 16_384] for start in range(0, size, 16_384)]
    assert written[1:] == [peer_pb2.Frame(chunk=part).SerializeToString() for part in parts]
    read = [parse(one) for one in written]
    assert read[0] == HEAD
    assert b"".join(one.data for one in read[1:] if isinstance(one, Chunk)) == payload[:size]


def test_a_frame_of_another_form_is_protobufs_to_read() -> None:
    assert parse(b"") is None
    twice = peer_pb2.Frame(chunk=b"a").SerializeToString() + peer_pb2.Frame(chunk=b"bc").SerializeToString()
    read = parse(twice)
    assert isinstance(read, Chunk) and bytes(read.data) == b"bc"
    assert parse(peer_pb2.Frame(chunk=b"a").SerializeToString() + peer_pb2.Frame(head=HEAD).SerializeToString()) == HEAD
    for broken in (b"\x12", b"\x12\x05ab", b"\x12\xff\xff\xff\xff\xff\xff", b"\x0a\xff"):
        with pytest.raises(DecodeError):
            parse(broken)

"""The format of the tensor streams' frames: what is written is read, and what no honest node sends is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_lab import __version__
from swarm_lab.errors import OtherProtocol
from swarm_lab.nodes import frames
from swarm_lab.nodes.frames import Head, Hello, Refusal
from swarm_lab.rounds.codec import BadMessage

NODE = "0x" + "1" * 40
FULL = Head(
    "training", "SLICE", "name", "a" * 64, "b" * 64, 7, tuple(range(2**32 - 256, 2**32)), NODE, NODE, "\0" * 1024
)


def parts(frame: bytes) -> tuple[int, bytes]:
    size, nbytes = frames.lengths(frame)
    assert len(frame) == frames.PREFIX.size + size
    return nbytes, frame[frames.PREFIX.size :]


@pytest.mark.parametrize("head", [Head("t", "BLOCK"), FULL])
def test_what_is_written_is_read(head: Head) -> None:
    nbytes, data = parts(frames.encode(head, 2**40))
    assert nbytes == 2**40
    assert frames.decode(data) == head


@pytest.mark.parametrize(
    "field",
    [
        {"training": ""},
        {"training": "t" * 65},
        {"kind": "OTHER"},
        {"name": "n" * 65},
        {"key": "a" * 63},
        {"key": "A" * 64},
        {"root": "a" * 64 + "\n"},
        {"block": -1},
        {"block": 2**32},
        {"block": "1"},
        {"block": 1.0},
        {"block": True},
        {"blocks": list(range(257))},
        {"blocks": [-1]},
        {"origin": "node"},
        {"to": NODE[:-1]},
        {"text": "t" * 1025},
        {"more": 1},
    ],
    ids=str,
)
def test_fields_keep_their_bounds(field: dict[str, Any]) -> None:
    data = json.dumps({"training": "t", "kind": "BLOCK", **field}).encode()
    with pytest.raises(BadMessage, match=f"head: {next(iter(field))}"):
        frames.decode(data)


def test_nobody_sends_what_nobody_would_take() -> None:
    with pytest.raises(BadMessage, match="head: block:"):
        frames.encode(Head("t", "BLOCK", block=2**32))


@pytest.mark.parametrize("size", [0, frames.MAX_HEAD + 1, 2**32 - 1])
def test_a_prefix_with_an_impossible_head_is_refused(size: int) -> None:
    with pytest.raises(BadMessage, match=f"has {size} bytes"):
        frames.lengths(frames.PREFIX.pack(size, 0))


def test_more_than_a_head_is_not_even_parsed() -> None:
    with pytest.raises(BadMessage, match="at most"):
        frames.decode(b"[" * (frames.MAX_HEAD + 1))


@given(st.binary(max_size=200))
def test_garbage_is_a_bad_message(data: bytes) -> None:
    for decode in (frames.decode, frames.decode_hello, frames.decode_answer):
        with pytest.raises(BadMessage):
            decode(data)


def test_a_hello_of_another_version_can_be_read_and_names_both() -> None:
    data = json.dumps({"protocol": 9, "package": "9.9", "instance": "i", "chain": "", "later": [1]}).encode()
    hello = frames.decode_hello(data)
    with pytest.raises(OtherProtocol) as caught:
        frames.check_version(hello, "sl-2")
    for part in ("sl-2", "protocol 9", "'9.9'", f"side {frames.PROTOCOL} ", repr(__version__)):
        assert part in caught.value.message


def test_an_answer_is_a_hello_or_a_refusal() -> None:
    hello, refusal = frames.greeting("i", b"chain"), Refusal("no", "SWL-207")
    for answer in (hello, refusal):
        assert frames.decode_answer(parts(frames.encode(answer))[1]) == answer
    frames.check_version(hello, "sl-2")
    assert isinstance(hello, Hello)
    with pytest.raises(BadMessage):
        frames.decode_answer(b'{"refused": ""}')


def test_a_hello_with_a_long_chain_fits_into_a_head() -> None:
    hello = frames.greeting("i" * 64, b"\n" * 24 * 1024)
    assert frames.decode_hello(parts(frames.encode(hello))[1]) == hello

"""Messages and their bytes: what is sent arrives the same, and what no honest node sends is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_lab.rounds import checks
from swarm_lab.rounds import messages as m
from swarm_lab.rounds.codec import MAX_BYTES, BadMessage, decode, encode

DIGEST, NODE, SIGNATURE = "a1" * 32, "0x" + "2b" * 20, "3c" * 65

digests = st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}")
nodes = st.integers(0, 2**160 - 1).map(lambda n: f"0x{n:040x}")
signatures = st.integers(0, 2**520 - 1).map(lambda n: f"{n:0130x}")
u64, u32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
seconds = st.floats(0, 1e9)
numbers, weights = [u64] * 5, st.integers(0, 100)
participants = st.builds(m.Participant, nodes, u64, weights, digests, st.booleans(), *numbers)
check_ins = st.builds(m.CheckIn, digests, u64, digests, nodes, u64, weights, digests, st.booleans(), *numbers)
results = st.builds(
    m.Result, digests, u64, digests, st.lists(participants, min_size=1).map(tuple), st.booleans(), u32, digests
)
votes = st.lists(st.builds(m.Vote, nodes, signatures)).map(tuple)
entries = st.lists(st.builds(m.Entry, participants, signatures), min_size=1).map(tuple)
left_out = st.lists(st.builds(m.LeftOut, nodes, st.text(min_size=1, max_size=200))).map(tuple)
plans = st.builds(m.Plan, digests, u64, digests, u32, u32, digests)
MESSAGES = st.one_of(
    st.builds(m.Heartbeat, digests, st.sampled_from(m.Phase), u64, digests, u32, nodes, u64, seconds, digests),
    st.builds(m.CheckInMessage, check_ins, signatures, u32, seconds),
    st.builds(m.PlanMessage, plans, signatures, entries, left_out, st.booleans(), u32, digests),
    st.builds(m.VoteMessage, u64, digests, digests, digests, signatures),
    st.builds(m.CertificateMessage, st.builds(m.Certificate, results, votes)),
    st.builds(m.StoredMessage, digests),
    st.builds(m.FetchMessage, digests),
    st.builds(m.ModelMessage, digests),
)


@given(MESSAGES)
@settings(max_examples=150)
def test_what_is_sent_arrives_the_same(message: m.Message) -> None:
    assert decode(message.KIND, encode(message)) == message


def vote(**changes: object) -> bytes:
    good = {"round": 1, "prev": DIGEST, "content": DIGEST, "result_id": DIGEST, "signature": SIGNATURE}
    return json.dumps({**good, **changes}).encode()


def test_the_good_one_is_good() -> None:
    assert decode("VOTE", vote()) == m.VoteMessage(1, DIGEST, DIGEST, DIGEST, SIGNATURE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{" * 10_000,
        vote(round=-1),
        vote(round=2**64),
        vote(round="1"),
        vote(round=1.0),
        vote(round=True),
        vote(prev=DIGEST.upper()),
        vote(prev=DIGEST + "\n"),
        vote(prev=DIGEST[1:]),
        vote(signature=SIGNATURE + "00"),
        vote(extra=1),
        b'{"round": 1}',
    ],
)
def test_what_no_honest_node_sends_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode("VOTE", data)


@given(st.sampled_from(["HEARTBEAT", "CHECKIN", "PLAN", "VOTE", "CERT", "STORED", "FETCH", "MODEL"]), st.binary())
def test_any_bytes_are_a_message_or_refused(kind: str, data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(kind, data)


def test_unknown_kind_and_too_many_bytes() -> None:
    with pytest.raises(BadMessage, match="unknown kind"):
        decode("EVAL", b"{}")
    with pytest.raises(BadMessage, match="at most"):
        decode("VOTE", b" " * (MAX_BYTES + 1))


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(BadMessage) as refused:
        decode("VOTE", vote(prev="secret" * 1000))
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("count", [m.MAX_NODES, m.MAX_NODES + 1])
def test_no_more_members_than_the_bound(count: int) -> None:
    members = tuple(m.Participant(f"0x{k:040x}", 1, 1, DIGEST, False) for k in range(count))
    result = m.Result(DIGEST, 1, m.GENESIS, members, False, 4, DIGEST)
    data = encode(m.CertificateMessage(m.Certificate(result, ())))
    if count <= m.MAX_NODES:
        assert decode("CERT", data)
    else:
        with pytest.raises(BadMessage):
            decode("CERT", data)


@given(st.floats())
def test_loss_travels_as_bits(value: float) -> None:
    back = m.number(m.bits(value))
    assert back == value or (math.isnan(back) and math.isnan(value))
    assert 0 <= m.bits(value) < 2**64


def test_absent_loss_does_not_make_equal_check_ins_differ() -> None:
    nan = [m.bits(float("nan")), m.bits(-float("nan")), m.bits(math.inf - math.inf)]
    assert set(nan) == {m.ABSENT}


@given(entries, left_out, st.booleans(), u32, digests)
def test_a_plans_content_covers_all_of_it(
    entries: tuple[m.Entry, ...], left_out: tuple[m.LeftOut, ...], end: bool, interval: int, model: str
) -> None:
    content = checks.plan_content(entries, left_out, end, interval, model)
    other = checks.plan_content(entries, left_out, not end, interval, model)
    assert len({content, other, checks.plan_content(entries, left_out, end, interval + 1, model)}) == 3
    assert content != checks.plan_content((*entries, entries[0]), left_out, end, interval, model)
    assert content != checks.plan_content(entries, (*left_out, m.LeftOut(NODE, "x")), end, interval, model)

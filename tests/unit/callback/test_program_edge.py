"""Nothing that a program sends gets past the edge unless it has the form and the bounds of the link."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_lab.callback.errors import ALL, LinkError
from swarm_lab.callback.messages import (
    DTYPE_BYTES,
    LENGTH,
    PROTOCOL,
    Evaluated,
    Failed,
    Hello,
    Release,
    Sync,
    TensorSpec,
    Welcome,
    decode_from_node,
    encode,
)
from swarm_lab.errors import PROGRAM_ERRORS, ProgramFailed, SwarmLabError
from swarm_lab.nodes.program_edge import Limits, Misbehaviour, checked_layout, decode_from_program
from swarm_lab.rounds import layout

LIMITS = Limits()


def hello(*specs: TensorSpec, **more: object) -> Hello:
    fields = {"protocol": PROTOCOL, "package": "0.1", "platform": "torch", "pid": 1, "arguments": {}} | more
    return Hello(layout=specs, **fields)


def test_messages_survive_the_way():
    spec = TensorSpec("a.b", "BF16", (2, 0, 3))
    for message in (hello(spec, arguments={"min_peers": 2}), Sync("interval", 3, 1, 0.5), Evaluated(None, 1.0)):
        assert decode_from_program(encode(message)[LENGTH.size :], LIMITS) == message
    for answer in (Welcome(PROTOCOL, 3, 4096, (0, 64), 7, {"a": 1}), Release(model=True, interval=3, digest="ab")):
        assert decode_from_node(encode(answer)[LENGTH.size :]) == answer
    assert spec.nbytes == 0 and TensorSpec("s", "I64", ()).nbytes == 8
    assert {name: dtype.itemsize for name, dtype in layout.DTYPES.items()} == DTYPE_BYTES


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
def test_garbage_is_misbehaviour_and_nothing_else(body):
    with pytest.raises(Misbehaviour):
        decode_from_program(body, LIMITS)
    with pytest.raises(LinkError):
        decode_from_node(body)


GOOD = json.loads(encode(hello(TensorSpec("w", "F32", (2,))))[LENGTH.size :])
SYNC = json.loads(encode(Sync("end", 1, 1))[LENGTH.size :])


@pytest.mark.parametrize(
    "body",
    [
        {**GOOD, "layout": [{"name": "w", "dtype": "F32", "shape": ["2"]}]},
        {**GOOD, "platform": "jax"},
        {**GOOD, "pid": "1"},
        {**GOOD, "arguments": {"a": [1]}},
        {**GOOD, "arguments": {f"a{i}": 1 for i in range(100)}},
        {**GOOD, "arguments": {"training_contract": "x" * 1000}},
        {**SYNC, "reason": "soon"},
        {**SYNC, "batches": -1},
        {**SYNC, "batches": 2**70},
        {**SYNC, "fresh": 1},
        {**SYNC, "local_loss": "1"},
        {"kind": "welcome"},
        {"kind": ["hello"]},
        {"kind": "failed", "type": "E", "message": "m", "traceback": "x" * 200_000},
    ],
)
def test_wrong_fields_are_misbehaviour(body):
    with pytest.raises(Misbehaviour):
        decode_from_program(json.dumps(body).encode(), LIMITS)


def test_another_version_of_the_link_is_refused_with_both_named():
    with pytest.raises(Misbehaviour, match=rf"version 99 of the link \(swarm-lab 9\.9\), its node version {PROTOCOL}"):
        decode_from_program(json.dumps({**GOOD, "protocol": 99, "package": "9.9"}).encode(), LIMITS)


def test_numbers_that_are_none_are_refused():
    for name in ("loss", "metric", "training_loss", "local_loss", "local_metric"):
        with pytest.raises(Misbehaviour):
            decode_from_program(json.dumps({**SYNC, name: float("nan")}).encode(), LIMITS)


@pytest.mark.parametrize(
    "specs",
    [
        [],
        [TensorSpec("w", "F8", (2,))],
        [TensorSpec("w", "F32", (-2,))],
        [TensorSpec("w", "F32", (2,)), TensorSpec("w", "F32", (2,))],
        [TensorSpec("", "F32", (2,))],
        [TensorSpec("w\n", "F32", (2,))],
        [TensorSpec("w" * 600, "F32", (2,))],
        [TensorSpec("w", "F32", (2**40, 2**40))],
        [TensorSpec("w", "F32", (1,) * 40)],
    ],
)
def test_impossible_models_are_misbehaviour(specs):
    with pytest.raises(Misbehaviour):
        checked_layout(hello(*specs), LIMITS)


def test_every_error_of_a_program_is_in_the_table_and_a_report_carries_its_advice():
    assert set(PROGRAM_ERRORS) == {cls.code for cls in ALL} and len(PROGRAM_ERRORS) == len(ALL)
    assert all(issubclass(cls, SwarmLabError) and cls.title for cls in PROGRAM_ERRORS.values())
    failed = Failed("CallOrderError", "SWL-603: too early\nNext: later", "Trace", 7, "SWL-603", "later")
    error = ProgramFailed.of("p.py", failed)
    assert error.message == "p.py, line 7: CallOrderError: SWL-603: too early" and error.next_step == "later"
    assert ProgramFailed.of("p.py", Failed("ValueError", "x", "", 0)).message == "p.py: ValueError: x"

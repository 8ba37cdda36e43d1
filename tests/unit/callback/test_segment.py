"""The shared memory with and without the kernel's sealed kind."""

from __future__ import annotations

import mmap
import os

import pytest

from swarm_lab.callback.link import Segment as ProgramSegment
from swarm_lab.callback.messages import PROTOCOL, TensorSpec, Welcome
from swarm_lab.errors import ModelTooLarge
from swarm_lab.nodes import segment
from swarm_lab.nodes.segment import Progress, Segment


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_both_sides_see_one_memory(monkeypatch, platform):
    if platform == "linux" and not hasattr(os, "memfd_create"):
        pytest.skip("memfd is Linux's")
    monkeypatch.setattr(segment.sys, "platform", platform)
    node = Segment(6)
    layout = (TensorSpec("w", "F32", ()), TensorSpec("b", "U8", (2,)))
    program = ProgramSegment(os.dup(node.descriptor), layout, Welcome(PROTOCOL, 1, node.size, (0, 4)))
    assert node.progress() == Progress(0, 0, 0.0, None) and not program.attention
    program.contribution[0][:] = b"abcd"
    program.contribution[1][:] = b"ef"
    node.merged[:] = b"123456"
    now = program.tick(2**63, float("nan"))
    program.epoch(3)
    node.attend(True)
    assert bytes(node.contribution) == b"abcdef"
    assert bytes(program.merged[0]) == b"1234" and bytes(program.merged[1]) == b"56"
    assert node.progress() == Progress(2**63, 3, now, None) and program.attention
    kept = node.contribution
    node.close()
    node.close()
    assert bytes(kept) == b"abcdef"


def test_a_closed_segment_still_tells_how_far_the_program_was():
    node = Segment(6)
    layout = (TensorSpec("w", "U8", (6,)),)
    program = ProgramSegment(os.dup(node.descriptor), layout, Welcome(PROTOCOL, 1, node.size, (0,)))
    now = program.tick(7, 0.5)
    node.close()
    node.attend(True)
    assert node.progress() == Progress(7, 0, now, 0.5)


def test_the_node_asks_for_a_contribution_to_stay_and_sees_that_the_program_waits():
    node = Segment(6)
    layout = (TensorSpec("w", "U8", (6,)),)
    program = ProgramSegment(os.dup(node.descriptor), layout, Welcome(PROTOCOL, 1, node.size, (0,)))
    program.wait_for_room(lambda: pytest.fail("nobody asked for that"))
    node.hold(True)
    assert not node.held
    waits = []

    def check():
        waits.append(node.held)
        node.hold(False)

    program.wait_for_room(check)
    assert waits == [True] and not node.held


def test_more_memory_than_the_machine_has_is_refused():
    with pytest.raises(ModelTooLarge, match="do not fit"):
        Segment(2**50)
    assert Segment(0).size == mmap.PAGESIZE

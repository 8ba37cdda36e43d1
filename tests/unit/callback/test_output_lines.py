"""Lines of whatever bytes: bounded in length and number, nothing silently gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm_lab.nodes.output import BURST, MAX_LINE, Lines


def lines(*parts: bytes, clock=lambda: 0.0) -> list[str]:
    seen: list[str] = []
    cut = Lines(seen.append, clock)
    for part in parts:
        cut.feed(part)
    cut.end()
    return seen


@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_in_any_pieces_give_the_same_lines(parts):
    assert lines(*parts) == lines(b"".join(parts))


def test_lines_are_cut_at_newlines_and_the_last_needs_none():
    assert lines(b"a\nb", b"c\n\nd") == ["a", "bc", "", "d"]
    assert lines(b"windows\r\nunix\n") == ["windows", "unix"]


def test_binary_and_redrawn_lines():
    assert lines(b"\xff\xfe\n") == ["\ufffd\ufffd"]
    assert lines(b"10%\r20%", b"\r30%\n") == ["30%"]


def test_a_line_without_end_is_bounded():
    seen = lines(*[b"x" * 65536] * 100)
    assert len(seen) == 1 and seen[0].startswith("x" * MAX_LINE)
    assert seen[0].endswith(f"[{65536 * 100 - MAX_LINE} more bytes]")


def test_a_flood_is_thinned_and_counted():
    seen = lines(b"line\n" * 5000)
    assert len(seen) == BURST + 1 and seen[-1].startswith("[4000 lines left out")

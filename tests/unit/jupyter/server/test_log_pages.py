"""Pages of a log from its end, and a search that reads a gigabyte in pieces and says how far it came."""

from __future__ import annotations

import itertools
import json
import time
import tracemalloc
from pathlib import Path

from support.paper import big_log

from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.jupyter.server import logpages
from swarm_lab.jupyter.server.following import Following

GIGABYTE = 1 << 30


def write(path: Path, count: int) -> list[bytes]:
    lines = [
        json.dumps({"time": "2026-01-01T00:00:00+00:00", "level": "info", "message": f"line {n} of Köln"}).encode()
        for n in range(count)
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return lines


def test_pages_join_without_gap_or_overlap(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = write(path, 2500)
    found, before = [], None
    while before != 0:
        page = logpages.page(path, 700, before)
        found = page.lines + found
        assert page.end == (before if before is not None else page.size)
        before = page.start
    assert [line.text for line in found] == [f"line {n} of Köln" for n in range(2500)]
    assert [line.offset for line in found] == [0, *itertools.accumulate(len(line) + 1 for line in lines[:-1])]


def test_a_line_that_is_being_written_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthr")
    assert [line.text for line in logpages.page(path, 2).lines] == ["two", "thr"]


def test_no_log_is_an_empty_page(tmp_path: Path) -> None:
    page = logpages.page(tmp_path / "log", 5, search="x")
    assert (page.lines, page.size, page.matches) == ([], 0, [])


def test_levels_and_tracebacks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    said = {"level": "critical", "message": "it broke", "round": 3, "traceback": "Traceback: x"}
    path.write_text(json.dumps(said) + "\nValueError: no\n{broken\n")
    first, second, third = logpages.page(path, 5).lines
    assert (first.level, first.text) == ("error", "[3] it broke\nTraceback: x")
    assert (second.level, third.level, third.text) == ("error", "info", "{broken")


def test_search_finds_lines_whatever_the_case_and_how_json_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = write(path, 50)
    at = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    assert logpages.page(path, 1, search="LINE 7 of köln").matches == [at[7]]
    every = logpages.page(path, 1, search="line").matches
    assert every == [*reversed(at[:-1])]
    assert logpages.page(path, 1, before=at[10], search="line").matches == [*reversed(at[:10])]


def test_a_gigabyte_is_searched_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    big_log(path, GIGABYTE, b'{"message": "needle one"}', b'{"message": "hay"}', b'{"message": "needle two"}')
    tracemalloc.start()
    began = time.monotonic()
    page = logpages.page(path, 2, search="needle")
    took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line.text for line in page.lines] == ["hay", "needle two"]
    assert page.matches is not None and len(page.matches) == 2
    assert peak < 40 << 20
    assert took < logpages.SEARCH_S + 3
    assert page.searched_from is not None and (page.searched_from > 0 or took < logpages.SEARCH_S + 1)


def test_a_search_stops_at_its_limit_and_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    big_log(path, 64 << 20)
    clock = itertools.count(0, 0.5)  # each look at the clock is half a second
    page = logpages.page(path, 1, search="FIRST line", clock=lambda: next(clock))
    assert page.matches == [] and page.searched_from is not None and page.searched_from > 0
    assert logpages.page(path, 1, before=page.searched_from, search="FIRST line").matches == [0]


def test_followers_share_what_was_read_and_see_a_rotation() -> None:
    path = SwarmPaths.of("demo").log("sl-1")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\n")
    following = Following()
    following.follow("a", "demo", "sl-1", 0)
    following.follow("b", "demo", "sl-1", None)
    assert [(who, [line.text for line in told["lines"]]) for who, told in following.poll()] == [("a", ["one"])]
    with path.open("ab") as file:
        file.write(b"two\nthr")
    assert {who: [line.text for line in told["lines"]] for who, told in following.poll()} == {
        "a": ["two"],
        "b": ["two"],
    }
    following.unfollow("b", "demo", "sl-1")
    path.write_bytes(b"new\n")
    [(who, told)] = following.poll()
    assert (who, [(line.offset, line.text) for line in told["lines"]]) == ("a", [(0, "new")])
    following.forget("a")
    assert following.poll() == []

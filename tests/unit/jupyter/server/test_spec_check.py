"""YAML that does not fit: the line and column of each problem."""

from __future__ import annotations

import pytest

from swarm_lab.jupyter.server.speccheck import check_spec


def places(text: str) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.column, problem.path) for problem in check_spec(text).problems]


def test_what_fits_is_given_back_whole() -> None:
    found = check_spec("name: ward\nsl: 3\n")
    assert found.ok and found.problems == []
    assert found.spec is not None and (found.spec["name"], found.spec["sl"], found.spec["sn"]) == ("ward", 3, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: ward\nsl: many\n", [(2, 5, "sl")]),
        ("name: ward\nslots: 4\n", [(2, 1, "slots")]),
        ("sl: 0\nsn: 99\n", [(1, 5, "sl"), (2, 5, "sn")]),
        ("hosts:\n  sl-1:\n    address: here\n", [(3, 14, "hosts.sl-1.address")]),
        ("hosts:\n  sl-1: {netns: a}\n", [(2, 9, "hosts.sl-1.address")]),
        ("name: Not A Name\n", [(1, 7, "name")]),
        ("name: ward\n  sl: 4\n", [(2, 5, "")]),
        ("- 1\n", [(1, 1, "")]),
        ("", [(1, 1, "")]),
        ("a: &a [*a]\n", [(1, 1, "a")]),
        ("name: \x00\n", [(1, 1, "")]),
    ],
)
def test_what_does_not_fit_is_marked(text: str, expected: list[tuple[int, int, str]]) -> None:
    assert not check_spec(text).ok
    assert places(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sl: many\n", "Must be a whole number from 1 to 64."),
        ("sl: 0\n", "Must be 1 or more."),
        ("svid_ttl: x\n", "Must be a whole number from 10 to 86400."),
        ("slots: 4\n", "There is no such field."),
        ("framework: jax\n", "Must be 'torch', 'keras' or 'sklearn'."),
        ("cold: perhaps\n", "Must be true or false."),
        ("hosts: 3\n", "Must be fields of its own, such as `key: value`."),
        ("hosts: {a: {address: x}}\n", "Must be an address such as 10.0.0.1."),
    ],
)
def test_problems_are_said_in_the_fields_words(text: str, words: str) -> None:
    assert [problem.message for problem in check_spec(text).problems] == [words]

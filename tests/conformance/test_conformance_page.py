"""The page of IDs is true: each one that is promised has a test, and each mark names an ID and a test of this tree."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("docs_conformance", ROOT / "docs" / "conformance.py")
page = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = page
_spec.loader.exec_module(page)

SHOWN = page.shown()
PROMISED = [
    f"CB-{number:02}"
    for first, last in ((1, 7), (10, 23), (30, 46), (50, 56), (60, 77))
    for number in range(first, last + 1)
]
DIFFERENT = {"CB-03", "CB-31", "CB-61", "CB-68", "CB-70", "CB-72", "CB-73"}


@pytest.mark.parametrize("id_", PROMISED)
def test_each_promised_id_is_shown_by_a_test(id_):
    assert [one.test for one in SHOWN if one.id == id_]
    assert id_ in page.IDS


def test_ids_are_known_and_differences_say_what_ours_does():
    assert {one.id for one in SHOWN} <= set(page.IDS)
    assert {one.id for one in SHOWN if one.different} >= DIFFERENT
    assert all(len(one.different) > 10 for one in SHOWN if one.different)


def test_every_mark_is_read(request):
    """The page is made from the source; what pytest sees of this session must be on it."""
    on_page = {(one.id, one.test) for one in SHOWN}
    for item in request.session.items:
        for mark in item.iter_markers("conformance"):
            for id_ in mark.args:
                assert (id_, f"{item.path.stem}::{item.originalname}") in on_page, item.nodeid

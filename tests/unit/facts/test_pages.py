"""The pages made from the code are current, and what they are made from is complete."""

import importlib.util
import re
from pathlib import Path

import pytest

from swarm_lab import errors

ROOT = Path(__file__).parents[3]
_spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
make_pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_pages)

EVERY = make_pages.every_error()


@pytest.mark.parametrize("name", list(make_pages.PAGES))
def test_page_is_current(name):
    written = (ROOT / "docs" / name).read_text("utf-8")
    assert written == make_pages.PAGES[name](), "run `python docs/make_pages.py`"


def test_codes_are_unique():
    codes = [kind.code for kind in EVERY]
    assert sorted(set(codes)) == codes


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.code)
def test_every_error_says_what_it_is_and_what_to_do(kind):
    own = vars(kind)
    assert re.fullmatch(r"SWL-\d{3}", kind.code)
    assert {"code", "title", "next_step"} <= own.keys()
    assert kind.__doc__
    assert kind.title
    assert kind.next_step.strip()
    assert not kind.title.endswith(".")
    assert kind.exit_code in (1, 2)


def test_an_error_is_made_from_its_cause_alone():
    for kind in EVERY:
        error = kind("the cause")
        assert error.to_dict() == {"code": kind.code, "message": "the cause", "next": kind.next_step}


def test_errors_are_defined_in_one_place():
    """A class of another module would be missing on the page."""
    found = [
        path.relative_to(ROOT)
        for path in (ROOT / "swarm_lab").rglob("*.py")
        if "errors" not in path.with_suffix("").parts
        and re.search(r"^    code = \"SWL-", path.read_text("utf-8"), re.M)
    ]
    assert found == []


def test_codes_that_the_code_names_exist():
    """The round machine's words (SWL-FORK, ...) are no codes: they stand in the message of SWL-503."""
    known = {kind.code for kind in EVERY}
    for path in (ROOT / "swarm_lab").rglob("*.py"):
        for code in re.findall(r"\"(SWL-[0-9]+)\"", path.read_text("utf-8")):
            assert code in known, f"{path.relative_to(ROOT)} names {code}"


def test_areas_of_the_page_are_those_of_the_module():
    assert {kind.code[4] for kind in EVERY} - {"0"} <= set(make_pages.AREAS)
    assert errors.SwarmLabError in EVERY

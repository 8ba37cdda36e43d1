"""README and docs hold what they promise: links lead somewhere, the diff is five lines, make targets exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "notebooks" / "README.md"]


def diffs() -> list[list[str]]:
    text = (ROOT / "README.md").read_text("utf-8")
    return [block.splitlines() for block in re.findall(r"```diff\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_five_lines_make_a_swarm_program() -> None:
    assert len(diffs()) == 2
    for lines in diffs():
        assert sum(line.startswith("+") for line in lines) <= 5
        for side in ("-", "+"):
            kept = [line[1:] for line in lines if not line.startswith(side)]
            compile("\n".join(kept), "README.md", "exec")


def test_targets_of_make_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    made = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        commands = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        asked = set(re.findall(r"^make ([a-z-]+)", "\n".join(commands), re.MULTILINE))
        assert asked <= made, page.name


def test_verbs_are_there() -> None:
    from swarm_lab.verbs import VERBS

    words = {verb.words[0] for verb in VERBS}
    for page in PAGES:
        blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
        asked = set(re.findall(r"^(?:swarm-lab|%+swarm) ([a-z]+)", blocks, re.MULTILINE))
        assert asked - words - {"last"} == set(), page.name

"""The fold of facts in the browser against Python's: the same facts make the same training, at once or bit by bit."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.training_story import Facts, Story

from swarm_lab.facts.views import fold
from swarm_lab.front.detail import training_detail

EXTENSION = Path(__file__).parents[3] / "extension"
# Folds each case at once, fact by fact, and from its first half as Python gives it.
HARNESS = """
import { fold } from './src/training';
import { readFileSync } from 'node:fs';
const told = swarm => ({ output, ...detail }) => ({ ...detail, swarm });
const answers = JSON.parse(readFileSync(0, 'utf8')).map(({ swarm, facts, half, rest }) => {
  let one = null;
  facts.forEach(fact => (one = fold(one, [fact])));
  return { 'at once': fold(null, facts), 'one by one': one, 'from half of them': fold(half, rest) };
}).map(({ swarm, ...ways }) => ways);
process.stdout.write(JSON.stringify(answers));
"""


def as_python(facts: Facts) -> dict[str, Any]:
    views = fold(facts)
    detail = training_detail(views["t-1"], swarm="demo", seq=facts[-1]["seq"]) if "t-1" in views else None
    return {} if detail is None else json.loads(detail.model_dump_json())


def case_of(facts: Facts) -> dict[str, Any]:
    half = max(len(facts) // 2, 3)
    return {"facts": facts, "half": as_python(facts[:half]), "rest": facts[half:]}


def as_browser(cases: list[dict[str, Any]], folder: Path) -> list[dict[str, dict[str, Any]]]:
    bundle = folder / "fold.mjs"
    options = ["--bundle", "--platform=node", "--format=esm", f"--outfile={bundle}", "--log-level=error"]
    esbuild = EXTENSION / "node_modules/.bin/esbuild"
    subprocess.run([esbuild, *options], input=HARNESS, text=True, cwd=EXTENSION, check=True, timeout=60)
    ran = subprocess.run(
        ["node", bundle], input=json.dumps(cases), text=True, capture_output=True, check=True, timeout=60
    )
    return json.loads(ran.stdout)


def rounded(value: Any) -> Any:
    """Sums in another order differ in their last bits."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


@pytest.mark.usefixtures("installed")
def test_browser_and_python_fold_alike(tmp_path: Path) -> None:
    wholes = [Story(seed).tell() for seed in range(40)]
    cases = [case_of(facts[: random.Random(seed).randint(3, len(facts))]) for seed, facts in enumerate(wholes)]
    cases += [case_of(facts) for facts in wholes]
    for case, answers in zip(cases, as_browser(cases, tmp_path), strict=True):
        want = rounded(as_python(case["facts"]))
        for way, answer in answers.items():
            # A fact does not name its swarm, and output stays in the browser that saw it.
            got = rounded({**answer, "swarm": "demo"})
            got.pop("output", None)
            assert {key: (got.get(key), want[key]) for key in want if got.get(key) != want[key]} == {}, way
            assert got.keys() == want.keys()


@pytest.fixture
def installed(need: Callable[..., None]) -> None:
    need("npm", "extension")

"""The last word of a notebook run: `RESULT.json`, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swarm_lab import __version__
from swarm_lab.errors import Shortfall
from swarm_lab.experiments.scores import Scores
from swarm_lab.facts.state import write_json

RESULT_VERSION = 1


def conclude(path: Path | str, scores: Scores, **facts: Any) -> dict[str, Any]:
    """Write scores and `facts` to `path` and return them; a file that is missing means that the run did not finish.

    Raises `Shortfall`, after writing, when the swarm is clearly worse than the best single node.
    """
    shortfalls = scores.shortfalls()
    result = {
        "v": RESULT_VERSION,
        "package": __version__,
        "ok": not shortfalls,
        "shortfalls": shortfalls,
        **facts,
        "scores": scores.frame().to_dict("records"),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    if shortfalls:
        raise Shortfall("; ".join(shortfalls.values()))
    return result


def read_result(path: Path) -> tuple[dict[str, Any], Scores] | None:
    """What a run concluded; None where there is no result, or none that this version reads."""
    try:
        result = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not isinstance(result, dict) or result.get("v") != RESULT_VERSION:
        return None
    return result, Scores.of(result["scores"])

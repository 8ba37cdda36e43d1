"""What nodes measured, put with the round that it belongs to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from swarm_lab.experiments.figures import rounds_figure
from swarm_lab.facts.measures import Measured, curves, latest, measured
from swarm_lab.facts.views import TrainingView, fold
from swarm_lab.front.curves import draw
from swarm_lab.front.status import training_status

NONE = dict.fromkeys(("loss", "metric", "local_loss", "local_metric"))


def told(*numbers: float | None) -> dict[str, float | None]:
    return {**NONE, **dict(zip(("loss", "local_loss", "metric", "local_metric"), numbers, strict=False))}


def view(*rounds: dict[str, dict[str, float | None]], **finished: float) -> TrainingView:
    events: list[dict[str, Any]] = [{"event": "training_created", "nodes": ["a", "b"], "sync": 4}]
    for number, metrics in enumerate(rounds, 1):
        head = {"event": "round", "round": number, "nodes": list(metrics), "digest": f"{number:064x}"}
        events.append({**head, "metrics": metrics, "seconds": 0.5, "interval": 4})
    for node, loss in finished.items():
        events.append({"event": "node_finished", "node": node, "digest": "d", "model": "m", "metrics": {"loss": loss}})
    return fold({"v": 1, "seq": k, "time": 1.0, "training": "t-1", **e} for k, e in enumerate(events, 1))["t-1"]


WHOLE = view(
    {"a": told(), "b": told()},
    {"a": told(0.9, 0.7), "b": told(0.8, 0.6)},
    {"a": told(0.5, 0.4)},
    a=0.3,
)


@pytest.mark.conformance("CB-14")
def test_before_and_after_a_merge_stand_in_its_row() -> None:
    assert measured(WHOLE) == [
        Measured(1, "a", 0.9, None, None, None),
        Measured(1, "b", 0.8, None, None, None),
        Measured(2, "a", 0.5, None, 0.7, None),
        Measured(2, "b", None, None, 0.6, None),  # it did not take part in round 3, where it would have told
        Measured(3, "a", 0.3, None, 0.4, None),
    ]


def test_curves_and_the_latest_of_each() -> None:
    assert curves(WHOLE, "loss") == {"a": [(1, 0.9), (2, 0.5), (3, 0.3)], "b": [(1, 0.8)]}
    assert curves(WHOLE, "local_loss") == {"a": [(2, 0.7), (3, 0.4)], "b": [(2, 0.6)]}
    assert latest(WHOLE) == {"a": told(0.3, 0.4), "b": told(0.8, 0.6)}
    assert training_status(WHOLE).metrics == latest(WHOLE)


@pytest.mark.parametrize("bad", [None, "low", True, math.nan, math.inf])
def test_what_is_no_number_is_not_known(bad: Any) -> None:
    found = view({"a": told(bad, bad)}, {"a": {}}, {"a": None})  # type: ignore[dict-item]
    assert latest(found) == {} and measured(found)[0] == Measured(1, "a", None, None, None, None)


def test_the_plot_has_a_line_for_each_side_of_the_merges() -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("matplotlib").use("agg")
    history = pd.DataFrame([{name: getattr(row, name) for name in Measured.__slots__} for row in measured(WHOLE)])
    history = history.astype({"loss": float, "local_loss": float})
    axes = draw(history)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["a", "b", "mean, merged", "mean, before the merge"]
    assert axes.get_xlabel() == "round" and len(axes.get_lines()) == 6
    few = draw(history, nodes=False)
    panels = rounds_figure(history.astype({"metric": float, "local_metric": float})).axes
    assert [len(panel.get_lines()) for panel in panels] == [2, 0]
    assert len(few.get_lines()) == 2
    assert not draw(history.astype({"metric": float, "local_metric": float}), "metric", nodes=False).get_lines()

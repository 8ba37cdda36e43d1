"""Scores and the table that compares: what is measured, and when the swarm counts as worse than a single node."""

import numpy as np
import pytest

from swarm_lab.experiments.figures import comparison_figure
from swarm_lab.experiments.scores import Score, Scores, score, with_parameters


def test_score_of_a_known_model(need) -> None:
    need("python:torch")
    import torch

    model = torch.nn.Linear(2, 2, bias=False)
    with_parameters("torch", model, {"weight": np.eye(2, dtype=np.float32)})
    x = np.array([[2, 0], [0, 2], [1, 0], [2, 1]], dtype=np.float32)
    found = score("torch", model, x, np.array([0, 1, 0, 1]))
    assert found.accuracy == 0.75
    assert found.f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.auc == 0.875  # one tie of four pairs


def test_parameters_of_another_model_are_refused(need) -> None:
    need("python:torch")
    import torch

    with pytest.raises(RuntimeError, match="weight"):
        with_parameters("torch", torch.nn.Linear(2, 2, bias=False), {"kernel": np.eye(2, dtype=np.float32)})


def test_table_has_mean_and_spread_per_way() -> None:
    scores = _scores(swarm=0.9)
    assert scores.table().loc[("digits", "sl-1"), "accuracy"] == "0.800 ± 0.141"
    assert scores.means().loc[("digits", "swarm"), "accuracy"] == pytest.approx(0.9)


@pytest.mark.parametrize(("swarm", "fails"), [(0.9, False), (0.781, False), (0.779, True)])
def test_swarm_may_be_two_points_below_the_best_single_node(swarm: float, fails: bool) -> None:
    found = _scores(swarm).shortfalls()
    assert bool(found) is fails
    if fails:
        assert found["digits"] == "digits: the swarm has 0.779, but sl-1 alone has 0.800"


def test_measures_of_ones_own_and_a_single_seed() -> None:
    scores = Scores()
    for way, value in (("sl-1", 0.6), ("swarm by rows", 0.7), ("swarm", 0.59), ("central", 0.8)):
        scores.add("frauds", way, 0, {"average precision": value, "AUC": 1 - value})
    assert scores.measures == ["average precision", "AUC"]
    assert scores.table().loc[("frauds", "swarm"), "average precision"] == "0.590"
    assert scores.last("sl-1") == 0.6 and scores.last("sl-1", "AUC") == pytest.approx(0.4)
    assert scores.shortfalls() == {}, "another way of a swarm is no single node, and the first measure decides"
    assert Scores.of(scores.frame().to_dict("records")).measures == scores.measures
    with pytest.raises(ValueError, match="late was measured by accuracy, the others by average precision, AUC"):
        scores.add("frauds", "late", 0, {"accuracy": 1.0})


def test_a_panel_for_each_measure_and_a_bar_for_each_way() -> None:
    figure = comparison_figure(_scores(0.9), "accuracy", "auc")
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy on common test rows", "auc on common test rows"]
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["sl-1\nalone", "sl-2\nalone", "swarm", "central"]
    assert len(comparison_figure(_scores(0.9)).axes) == 1


def _scores(swarm: float) -> Scores:
    scores = Scores()
    for seed, noise in enumerate((-0.1, 0.1)):
        scores.add("digits", "sl-1", seed, Score(0.8 + noise, 0.8, 0.9))
        scores.add("digits", "sl-2", seed, Score(0.5 + noise, 0.5, 0.9))
        scores.add("digits", "swarm", seed, Score(swarm, 0.8, 0.9))
        scores.add("digits", "central", seed, Score(0.99, 0.99, 0.99))
    return scores

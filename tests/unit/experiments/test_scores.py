"""Scores and the table that compares: what is measured, and when the swarm counts as worse than a single node."""

import numpy as np
import pytest

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


def _scores(swarm: float) -> Scores:
    scores = Scores()
    for seed, noise in enumerate((-0.1, 0.1)):
        scores.add("digits", "sl-1", seed, Score(0.8 + noise, 0.8, 0.9))
        scores.add("digits", "sl-2", seed, Score(0.5 + noise, 0.5, 0.9))
        scores.add("digits", "swarm", seed, Score(swarm, 0.8, 0.9))
        scores.add("digits", "central", seed, Score(0.99, 0.99, 0.99))
    return scores

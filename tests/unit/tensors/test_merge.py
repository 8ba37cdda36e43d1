"""The weighted mean against references that share no code with it."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from swarm_lab.rounds.layout import Layout
from swarm_lab.rounds.merge import rebase, weighted_mean


def merge(models: list[dict[str, np.ndarray]], weights: list[int], base=None) -> dict[str, np.ndarray]:
    layout = Layout.from_arrays(models[0])
    buffers = [(w, layout.pack(m)) for w, m in zip(weights, models, strict=True)]
    merged = weighted_mean(layout, buffers, None if base is None else layout.pack(base))
    return layout.views(merged)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_floats_against_exact_fractions(dtype) -> None:
    rng = np.random.default_rng(1)
    models = [{"w": rng.normal(size=200).astype(dtype)} for _ in range(5)]
    weights = [3, 1, 100, 7, 2]
    got = merge(models, weights)["w"]
    for i in range(200):
        exact = sum(w * Fraction(float(m["w"][i])) for w, m in zip(weights, models, strict=True)) / sum(weights)
        # One rounding to the dtype, after those of float64 itself: one a product, one a sum.
        size = sum(w * abs(float(m["w"][i])) for w, m in zip(weights, models, strict=True)) / sum(weights)
        last = 0.5001 * float(np.spacing(np.abs(got[i]))) if dtype != np.float64 else 0.0
        assert abs(float(got[i]) - float(exact)) <= last + 12 * np.finfo(np.float64).eps * size


def test_integers_are_exact_and_half_to_even() -> None:
    models = [{"n": np.array(v, np.int64)} for v in ([2**53 + 1, 1, 3, -1, -3, 7], [2**53 + 3, 2, 4, 0, -2, 7])]
    assert merge(models, [1, 1])["n"].tolist() == [2**53 + 2, 2, 4, 0, -2, 7]
    big = [{"n": np.array([2**63 - 1], np.int64)} for _ in range(3)]
    assert merge(big, [100, 100, 1])["n"].tolist() == [2**63 - 1]
    unsigned = [{"n": np.array([2**64 - 1], np.uint64)} for _ in range(2)]
    assert merge(unsigned, [1, 1])["n"].tolist() == [2**64 - 1]


def test_booleans_by_weighted_majority_with_ties_to_the_base() -> None:
    models = [{"m": np.array([True, True, False])}, {"m": np.array([False, True, True])}]
    base = {"m": np.array([True, False, False])}
    assert merge(models, [1, 1], base)["m"].tolist() == [True, True, False]
    assert merge(models, [1, 2])["m"].tolist() == [False, True, True]


def test_zero_weights_leave_the_base_or_are_refused() -> None:
    models = [{"w": np.ones(2, np.float32)}]
    assert merge(models, [0], {"w": np.full(2, 9, np.float32)})["w"].tolist() == [9, 9]
    with pytest.raises(ValueError, match="weight"):
        merge(models, [0])


def test_a_node_of_weight_zero_changes_no_bit() -> None:
    rng = np.random.default_rng(2)
    models = [{"w": rng.normal(size=70_000).astype(np.float32)} for _ in range(3)]
    assert merge(models, [2, 0, 5])["w"].tobytes() == merge([models[0], models[2]], [2, 5])["w"].tobytes()


def test_rebase_adds_what_was_learnt_since_the_base() -> None:
    def arrays(w: float, n: int, m: bool) -> dict[str, np.ndarray]:
        return {"w": np.array([w], np.float32), "n": np.array(n, np.int64), "m": np.array([m])}

    layout = Layout.from_arrays(arrays(0, 0, False))
    merged, local, base = (
        layout.pack(a) for a in (arrays(10, 100, True), arrays(3, 2**60, False), arrays(1, 5, False))
    )
    views = layout.views(rebase(layout, merged, local, base))
    assert views["w"].tolist() == [12.0] and int(views["n"]) == 100 + 2**60 - 5 and views["m"].tolist() == [True]

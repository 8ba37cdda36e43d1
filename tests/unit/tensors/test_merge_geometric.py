"""The geometric median against an optimiser that knows nothing of Weiszfeld, and its tables against fractions."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from swarm_lab.rounds.layout import Layout, TensorSpec
from swarm_lab.rounds.merge import merge
from swarm_lab.rounds.merge_geometric import geometric_weights
from swarm_lab.rounds.merge_tables import tables, total


def median_of(points: np.ndarray, weights: list[int] | None = None, base: np.ndarray | None = None) -> np.ndarray:
    layout = Layout.of([TensorSpec("w", "F64", (points.shape[1],))])
    rows = [memoryview(row).cast("B") for row in np.ascontiguousarray(points)]
    before = None if base is None else memoryview(base).cast("B")
    return layout.views(merge("geomedian", layout, list(zip(weights or [1] * len(rows), rows, strict=True)), before))[
        "w"
    ]


def cost(at: np.ndarray, points: np.ndarray, weights: list[int]) -> float:
    return float(np.asarray(weights) @ np.linalg.norm(points - at, axis=1))


def optimum(points: np.ndarray, weights: list[int]) -> float:
    """The least cost, by BFGS from several starts and at the points themselves."""

    def slope(at: np.ndarray) -> np.ndarray:
        apart = at - points
        away = np.maximum(np.linalg.norm(apart, axis=1), 1e-300)
        return np.asarray((np.asarray(weights) / away) @ apart)

    starts = [points.mean(axis=0), np.median(points, axis=0), points[0] + 1e-3]
    found = [minimize(cost, s, (points, weights), jac=lambda at, *_: slope(at), tol=1e-12).fun for s in starts]
    return min(*found, *(cost(point, points, weights) for point in points))


@pytest.mark.conformance("LC-60")
@pytest.mark.conformance(
    "LC-52", different="stops at a step of 1e-9 of the distances (there 1e-6), after at most 1000 (there unpublished)"
)
@settings(max_examples=60, deadline=None)
@given(st.integers(2, 64), st.integers(1, 12), st.booleans(), st.integers(0, 2**32))
def test_no_other_point_has_a_smaller_sum_of_distances(n: int, dimensions: int, equal: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, dimensions)) * 10.0 ** rng.integers(-3, 3)
    weights = [1] * n if equal else rng.integers(1, 101, n).tolist()
    best = optimum(points, weights)
    for base in (None, rng.normal(size=dimensions)):
        assert cost(median_of(points, weights, base), points, weights) <= best * (1 + 1e-9)


def test_known_medians() -> None:
    triangle = np.array([[0.0, 0], [1, 0], [0.5, 3**0.5 / 2]])
    np.testing.assert_allclose(median_of(triangle), [0.5, 3**0.5 / 6], atol=1e-9)
    # The diagonals of a convex quadrangle meet in its median; a point within the triangle of three others is theirs.
    np.testing.assert_allclose(median_of(np.array([[0.0, 0], [4, 4], [0, 2], [2, 0]])), [1, 1], atol=1e-8)
    inside = np.array([[0.0, 0], [10, 0], [5, 9], [5, 3]])
    assert median_of(inside).tolist() == [5, 3]
    # An angle of 120 degrees and more: the corner itself (Fermat, Torricelli).
    assert median_of(np.array([[0.0, 0], [10, 1], [-10, 1]])).tolist() == [0, 0]


def test_two_contributions() -> None:
    points = np.array([[1.0, 2], [3, 8]])
    assert median_of(points).tolist() == [2, 5]
    assert median_of(points, [1, 2]).tolist() == [3, 8]


def test_on_a_line_it_is_the_median() -> None:
    assert median_of(np.array([[0.0], [1], [100]])).tolist() == [1]
    assert median_of(np.array([[0.0], [1], [100]]), [5, 2, 2]).tolist() == [0]
    assert 1 <= median_of(np.array([[0.0], [1], [3], [100]]))[0] <= 3


def test_equal_contributions_are_the_median_themselves() -> None:
    point = np.array([0.1, 1 / 3, -7e9])
    np.testing.assert_allclose(median_of(np.stack([point] * 5)), point, rtol=1e-15)
    others = np.array([[1.0, 2, 3], [4, 5, 6]])
    assert median_of(np.stack([point, *others, point, point])).tolist() == point.tolist()


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_an_iterate_that_meets_a_contribution_goes_on(start: float) -> None:
    """The mean, where the iteration starts, is a contribution, but not the median (Vardi and Zhang 2000)."""
    points = np.array([[0.0, 0], [-1, 2], [-1, -2], [-1, 0.5], [-1, 0.25], [4, -0.75]]) + start
    assert np.allclose(points.mean(axis=0), points[0])
    weights = [1] * len(points)
    found = median_of(points)
    assert cost(found, points, weights) <= optimum(points, weights) * (1 + 1e-9)
    assert not np.allclose(found, points[0], atol=1e-3)


@pytest.mark.parametrize("size", [1e3, 1e12, 1e30])
@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize("method", ["coordmedian", "geomedian"])
def test_poisoned_contributions_do_not_move_it(method: str, with_base: bool, size: float) -> None:
    """Breakdown: with less than half of the weight wrong, the result stays among what the honest ones say."""
    rng = np.random.default_rng(4)
    n = 5000
    layout = Layout.of([TensorSpec("w", "F32", (n,)), TensorSpec("seen", "I64", ())])
    base = rng.normal(size=n).astype(np.float32)
    honest = [base + 0.1 * rng.normal(size=n).astype(np.float32) for _ in range(7)]
    poison = [(size * rng.normal(size=n)).astype(np.float32), np.full(n, size, np.float32)]
    before = layout.pack({"w": base, "seen": np.array(1)}) if with_base else None

    def result(vectors: list[np.ndarray], seen: list[int]) -> tuple[np.ndarray, int]:
        packed = [layout.pack({"w": v, "seen": np.array(s)}) for v, s in zip(vectors, seen, strict=True)]
        views = layout.views(merge(method, layout, [(1, p) for p in packed], before))
        return views["w"], int(views["seen"])

    clean, _ = result(honest, [10] * 7)
    spoilt, seen = result([poison[0], *honest, poison[1]], [2**62, *[10] * 7, -(2**62)])
    assert np.linalg.norm(np.float64(spoilt) - clean) <= 0.1 * n**0.5
    assert seen == 10
    drawn = layout.views(merge("mean", layout, [(1, layout.pack({"w": v, "seen": np.array(1)})) for v in
                                                [poison[0], *honest, poison[1]]], before))["w"]  # fmt: skip
    assert np.linalg.norm(np.float64(drawn) - clean) > n**0.5


def test_floats_of_all_dtypes_are_one_vector_and_integers_stay_outside() -> None:
    """A contribution far away in one tensor counts little in all of them; counters do not enter the distances."""
    rng = np.random.default_rng(6)
    n = 6
    arrays = [
        {
            "a": rng.normal(size=50).astype(np.float32),
            "b": rng.normal(size=(5, 4)).astype(ml_dtypes.bfloat16),
            "c": rng.normal(size=7).astype(np.float16),
            "d": rng.normal(size=()),
            "seen": np.array(10**6 * i),
        }
        for i in range(n)
    ]
    arrays[2]["d"] = np.array(1e6)
    layout = Layout.from_arrays(arrays[0])
    weights = [1, 2, 3, 4, 5, 6]
    got = layout.views(merge("geomedian", layout, [(w, layout.pack(a)) for w, a in zip(weights, arrays, strict=True)],
                             None))  # fmt: skip
    points = np.stack([np.concatenate([np.float64(a[k]).ravel() for k in "abcd"]) for a in arrays])
    expected = median_of(points, weights)
    flat = np.concatenate([np.float64(got[k]).ravel() for k in "abcd"])
    sizes = np.concatenate([np.full(50, 2**-24), np.full(20, 2**-8), np.full(7, 2**-11), [1e-12]])
    assert (np.abs(flat - expected) <= 1.01 * sizes * np.maximum(np.abs(expected), 1e-3)).all()
    assert int(got["seen"]) == 4 * 10**6


def test_a_distance_beyond_float64_is_infinitely_far() -> None:
    far = np.array([[1.0, 2], [1.5, 2], [1, 2.5], [1e300, 0]])
    assert median_of(far).tolist() == median_of(far[:3]).tolist()
    assert np.isfinite(median_of(np.array([[1e300, 1e300], [-1e300, 1e300]]))).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(1, 3000), st.booleans(), st.integers(0, 2**32))
def test_tables_are_the_inner_products_of_the_updates(n: int, count: int, with_base: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layout = Layout.of([TensorSpec("w", "F32", (count,))])
    vectors = rng.normal(size=(n, count)).astype(np.float32)
    base = rng.normal(size=count).astype(np.float32) if with_base else np.zeros(count, np.float32)
    found = total(tables(layout, [memoryview(v).cast("B") for v in vectors], memoryview(base).cast("B"), 1), n)
    updates = vectors.astype(np.float64) - base
    np.testing.assert_allclose(found, updates @ updates.T, rtol=1e-12, atol=1e-12 * count)
    i, j = int(rng.integers(n)), int(rng.integers(n))
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(updates[i].tolist(), updates[j].tolist(), strict=True))
    assert abs(Fraction(found[i, j]) - exact) <= Fraction(1, 10**12) * count


def test_tables_are_made_block_by_block_and_alike_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(8)
    n, count = 5, 3_000_000
    layout = Layout.of([TensorSpec("w", "F32", (count,)), TensorSpec("d", "F64", (17,)), TensorSpec("i", "I8", (9,))])
    packed = [bytes(rng.integers(0, 63, layout.nbytes, np.uint8)) for _ in range(n)]
    reference = tables(layout, packed, packed[0], 1)
    assert len(reference) == len(list(layout.blocks)) - 1
    for threads in (2, 3, 4):
        again = tables(layout, packed, packed[0], threads)
        assert [t.tobytes() for t in again] == [t.tobytes() for t in reference]


def test_weights_are_shares_and_the_same_for_any_scale() -> None:
    rng = np.random.default_rng(10)
    points = rng.normal(size=(9, 30))
    products = points @ points.T
    weights = geometric_weights(products, [1] * 9)
    assert abs(sum(weights) - 1) < 1e-12 and min(weights) > 0
    np.testing.assert_allclose(geometric_weights(products * 2.0**40, [1] * 9), weights, rtol=1e-9)
    np.testing.assert_allclose(geometric_weights(products, [7] * 9), weights, rtol=1e-9)

"""Merge methods against references that share no code with them: fractions, sorting, statistics, brute force."""

import statistics
import tracemalloc
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swarm_lab.rounds.layout import DTYPES, Layout
from swarm_lab.rounds.merge import METHODS, merge, rebase

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTEGERS = [np.int64, np.uint64, np.int32, np.uint32, np.int16, np.uint16, np.int8, np.uint8]
Arrays = dict[str, np.ndarray]


def merged(method: str, models: list[Arrays], weights: list[int], base: Arrays | None = None, **how: int) -> Arrays:
    layout = Layout.from_arrays(models[0])
    buffers = [(w, layout.pack(m)) for w, m in zip(weights, models, strict=True)]
    return layout.views(merge(method, layout, buffers, None if base is None else layout.pack(base), **how))


def one(method: str, values: list[np.ndarray], weights: list[int] | None = None) -> np.ndarray:
    return merged(method, [{"w": v} for v in values], weights or [1] * len(values))["w"]


def fraction(value: object) -> Fraction:
    return Fraction(int(value)) if isinstance(value, np.integer) else Fraction(float(value))  # type: ignore[call-overload]


def rounded(exact: Fraction, dtype: np.dtype) -> Fraction:
    """The nearest number of the dtype, half to even: from its definition, with nothing of numpy's conversions."""
    if dtype.kind in "iu":
        return Fraction(round(exact))
    digits, least = {
        "float64": (53, -1074),
        "float32": (24, -149),
        "float16": (11, -24),
        "bfloat16": (8, -133),
    }[dtype.name]
    if exact == 0:
        return exact
    exponent = (abs(exact).numerator.bit_length() - abs(exact).denominator.bit_length()) - 1
    exponent += abs(exact) >= Fraction(2) ** (exponent + 1)
    unit = Fraction(2) ** max(exponent - digits + 1, least)
    return round(exact / unit) * unit


def weighted_median(values: list[Fraction], weights: list[int]) -> Fraction:
    """By the definition: every value repeated as often as it weighs, then the usual median."""
    return statistics.median([v for v, w in zip(values, weights, strict=True) for _ in range(w)])


def sample(rng: np.random.Generator, dtype: type | np.dtype, n: int, count: int) -> list[np.ndarray]:
    """Values of all sizes, with ties, extremes, subnormals and both zeros."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        pool = np.concatenate(
            [
                rng.integers(info.min, info.max, count, dtype, endpoint=True),
                rng.integers(0, 5, count, dtype),
                np.array([info.min, info.max, info.max - 1], dtype),
            ]
        )
    else:
        info = ml_dtypes.finfo(dtype)
        least, most = float(info.smallest_subnormal), float(info.max)
        special = [0.0, -0.0, most, -most, most / 2, least, -least, 3 * least, float(info.smallest_normal), 1.0, -1.0]
        ordinary = rng.normal(size=4 * count) * 10.0 ** rng.integers(-6, 4, 4 * count)
        pool = np.concatenate([ordinary, special, special]).astype(dtype)
    return [pool[rng.integers(0, len(pool), count)] for _ in range(n)]


@pytest.mark.conformance("LC-51", "LC-60")
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("kind", ["equal", "weighted", "halves"])
def test_coordinate_median_is_the_0_5_quantile_rounded_once(dtype, kind: str) -> None:
    for n in (2, 3, 4, 5, 7, 8, 16, 17, 33, 64):
        rng = np.random.default_rng(n)
        weights = {
            "equal": [1] * n,
            "weighted": rng.integers(1, 101, n).tolist(),
            "halves": [max(1, n - 1)] + [1] * (n - 1),
        }[kind]
        models = sample(rng, dtype, n, 40)
        got = one("coordmedian", models, weights)
        for i in range(40):
            exact = weighted_median([fraction(m[i]) for m in models], weights)
            assert fraction(got[i]) == rounded(exact, got.dtype), (n, i)


@pytest.mark.conformance("LC-50", "LC-60")
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
def test_mean_of_floats_against_exact_fractions(dtype) -> None:
    for n, seed in ((2, 1), (5, 2), (64, 3)):
        rng = np.random.default_rng(seed)
        models = sample(rng, dtype, n, 300)
        weights = rng.integers(1, 101, n).tolist()
        got = one("mean", models, weights)
        for i in range(300):
            parts = [w * fraction(m[i]) for w, m in zip(weights, models, strict=True)]
            exact = sum(parts) / sum(weights)
            nearest = rounded(exact, got.dtype)
            # One rounding to the dtype, after those of float64 itself: one a product, one a sum, one for the division.
            slack = (2 * n + 2) * Fraction(2) ** -53 * sum(map(abs, parts)) / sum(weights)
            assert abs(fraction(got[i]) - exact) <= abs(nearest - exact) + slack + Fraction(2) ** -1074 * n


def test_a_mean_that_float64_holds_is_rounded_once() -> None:
    # By way of float32 the first would become 1 + 2**-8, a half of bfloat16, and then 1.
    above = np.array([1 + 2**-7, 1 - 2**-8], ml_dtypes.bfloat16)
    tiny = np.array([2**-40, -(2**-40)], ml_dtypes.bfloat16)
    got = one("mean", [above, np.ones(2, ml_dtypes.bfloat16), tiny, -tiny / 2], [1 << 20, 1 << 20, 1, 1])
    exact = [
        ((fraction(a) + 1) * 2**20 + fraction(t) - fraction(t) / 2) / (2**21 + 2)
        for a, t in zip(above, tiny, strict=True)
    ]
    assert [fraction(v) for v in got] == [rounded(e, got.dtype) for e in exact]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
@example([1 + 2**-8 + 2**-40, 1 + 2**-8 - 2**-40, 1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8 + 2**-50)])
def test_float64_becomes_bfloat16_in_one_rounding(values: list[float]) -> None:
    from swarm_lab.rounds.merge_floats import narrow

    most = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
    wide = np.clip(np.array(values), -most, most)
    out = np.empty(len(values), ml_dtypes.bfloat16)
    narrow(wide, out)
    assert [fraction(v) for v in out] == [rounded(Fraction(v), out.dtype) for v in wide.tolist()]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
def test_the_largest_numbers_do_not_become_infinite(method: str, dtype) -> None:
    most = ml_dtypes.finfo(dtype).max
    for n in (2, 3, 4, 16):
        for weights in ([1] * n, [100, *[99] * (n - 1)]):
            values = [np.array([most, -most], dtype)] * n
            got = one(method, values, weights).astype(np.float64)
            assert np.isfinite(got).all()
            # The sums of a mean of float64 are rounded themselves.
            assert np.abs(got - [float(most), -float(most)]).max() <= (
                float(most) * 1e-14 if dtype == np.float64 else 0
            )


def test_subnormals_are_averaged_right() -> None:
    least = np.float32(2**-149)
    pairs = [(1, 2), (2, 3), (3, 4), (1, 0), (2**23 - 1, 2**23), (2**24 - 1, 2**24 - 2)]
    first, second = (np.array([least * np.float32(p[k]) for p in pairs], np.float32) for k in (0, 1))
    got = one("coordmedian", [first, second])
    assert [float(v) / 2**-149 for v in got] == [2, 2, 4, 0, 2**23, 2**24 - 2]


def test_zero_has_one_sign_whatever_the_order() -> None:
    minus, plus = np.full(70_000, -0.0, np.float32), np.zeros(70_000, np.float32)
    for n in (2, 3, 4, 9, 16):
        for values in ([minus] * n, [minus, *[plus] * (n - 1)], [*[plus] * (n - 1), minus]):
            for weights in ([1] * n, [2, *[1] * (n - 1)]):
                assert not np.signbit(one("coordmedian", values, weights)).any()


@pytest.mark.parametrize("method", ["coordmedian", "geomedian"])
def test_integers_of_the_medians_go_half_to_even(method: str) -> None:
    low = np.array([1, 2, -1, -2, 2**63 - 2, -(2**63), 2**53], np.int64)
    high = np.array([2, 3, 0, -1, 2**63 - 1, 2**63 - 1, 2**53 + 2], np.int64)
    assert one(method, [low, high]).tolist() == [2, 2, 0, -2, 2**63 - 2, 0, 2**53 + 1]
    top = 2**64 - 1
    assert one(method, [np.array([top, 0], np.uint64), np.array([top - 1, top], np.uint64)]).tolist() == [
        top - 1,
        2**63,
    ]
    assert one(method, [low, high], [2, 1]).tolist() == low.tolist()


def test_integers_of_the_mean_are_exact_and_half_to_even() -> None:
    values = [np.array(v, np.int64) for v in ([2**53 + 1, 1, 3, -1, -3, 7], [2**53 + 3, 2, 4, 0, -2, 7])]
    assert one("mean", values).tolist() == [2**53 + 2, 2, 4, 0, -2, 7]
    assert one("mean", [np.array([2**63 - 1], np.int64)] * 3, [100, 100, 1]).tolist() == [2**63 - 1]
    assert one("mean", [np.array([-(2**63)], np.int64)] * 3, [100, 100, 1]).tolist() == [-(2**63)]
    assert one("mean", [np.array([2**64 - 1], np.uint64)] * 2).tolist() == [2**64 - 1]


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: np.dtype(d).name)
def test_integers_of_the_mean_against_fractions(dtype) -> None:
    rng = np.random.default_rng(5)
    models, weights = sample(rng, dtype, 6, 200), [3, 1, 100, 7, 2, 2**31]
    got = one("mean", models, weights)
    for i in range(200):
        exact = sum(w * fraction(m[i]) for w, m in zip(weights, models, strict=True)) / sum(weights)
        assert int(got[i]) == round(exact)


@pytest.mark.parametrize("method", METHODS)
def test_booleans_by_weighted_majority_with_ties_to_the_base(method: str) -> None:
    models = [{"m": np.array([True, True, False])}, {"m": np.array([False, True, True])}]
    base = {"m": np.array([True, False, False])}
    assert merged(method, models, [1, 1], base)["m"].tolist() == [True, True, False]
    assert merged(method, models, [1, 1])["m"].tolist() == [False, True, False]
    assert merged(method, models, [1, 2])["m"].tolist() == [False, True, True]


@pytest.mark.parametrize("method", METHODS)
def test_zero_weights_leave_the_base_or_are_refused(method: str) -> None:
    models = [{"w": np.ones(2, np.float32)}]
    assert merged(method, models, [0], {"w": np.full(2, 9, np.float32)})["w"].tolist() == [9, 9]
    with pytest.raises(ValueError, match="weight"):
        merged(method, models, [0])
    with pytest.raises(KeyError):
        merged("mode", models, [1])


@pytest.mark.parametrize("method", METHODS)
def test_one_contribution_is_the_result_bit_for_bit(method: str) -> None:
    model = {
        "w": np.array([-0.0, 1e-45, 3.4e38], np.float32),
        "d": np.array([1 / 3, 1e308]),
        "n": np.array(-5),
        "m": np.ones(3, bool),
    }
    layout = Layout.from_arrays(model)
    only = layout.pack(model)
    result = merge(method, layout, [(0, bytes(layout.nbytes)), (7, only)], bytes(layout.nbytes))
    assert result == only and result.obj is not only


@pytest.mark.parametrize("method", METHODS)
def test_a_node_of_weight_zero_changes_no_bit_and_weights_count_by_their_ratios(method: str) -> None:
    rng = np.random.default_rng(2)
    models = [{"w": rng.normal(size=70_000).astype(np.float32), "d": rng.normal(size=9)} for _ in range(4)]
    got = merged(method, models, [2, 0, 5, 3])
    assert got["w"].tobytes() == merged(method, [models[0], *models[2:]], [2, 5, 3])["w"].tobytes()
    assert all(got[k].tobytes() == merged(method, models, [20, 0, 50, 30])[k].tobytes() for k in got)


def everything(rng: np.random.Generator) -> Arrays:
    """A tensor of each dtype, in shapes from none over 0-d to more than a chunk."""
    arrays: Arrays = {}
    for position, (name, dtype) in enumerate(sorted(DTYPES.items())):
        shape = [(), (0, 4), (3, 5), (9000,), (1, 1), (4097,)][position % 6]
        if name == "BOOL":
            arrays[name] = rng.random(size=shape) < 0.5
        elif dtype.kind in "iu":
            arrays[name] = rng.integers(0, 100, shape).astype(dtype)
        else:
            arrays[name] = rng.normal(size=shape).astype(dtype)
    arrays["float.empty"], arrays["float.0d"] = np.zeros((0,), np.float32), np.array(rng.normal(), np.float32)
    arrays["float.long"] = rng.normal(size=20_011).astype(np.float32)
    return arrays


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 64), st.integers(0, 2**32), st.sampled_from(sorted(METHODS)), st.booleans(), st.data())
def test_same_bits_in_any_order_with_any_threads_and_chunks(n, seed, method, equal, data) -> None:
    """Contributions come in any order; the caller puts them in that of their ids, and nothing else has a say."""
    rng = np.random.default_rng(seed)
    models = [everything(rng) for _ in range(n)]
    layout = Layout.from_arrays(models[0])
    base = layout.pack(everything(rng))
    weights = [1] * n if equal else rng.integers(1, 101, n).tolist()
    arrived = {f"sl-{i:02}": (weights[i], layout.pack(models[i])) for i in range(n)}
    reference = merge(method, layout, [arrived[k] for k in sorted(arrived)], base, threads=1)
    order = data.draw(st.permutations(sorted(arrived)))
    again = {name: arrived[name] for name in order}
    threads, chunk = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1000, 4096, 4097, 30_000, 1 << 16]))
    result = merge(method, layout, [again[k] for k in sorted(again)], base, threads=threads, chunk=chunk)
    assert result == reference


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_elements_is_merged(method: str) -> None:
    empty = {"w": np.zeros((0, 3), np.float32), "n": np.zeros((0,), np.int64)}
    assert {k: v.shape for k, v in merged(method, [empty] * 3, [1, 2, 3]).items()} == {"w": (0, 3), "n": (0,)}


@pytest.mark.parametrize("method", METHODS)
def test_contributions_and_base_are_only_read(method: str) -> None:
    rng = np.random.default_rng(9)
    layout = Layout.from_arrays(everything(rng))
    packed = [bytes(layout.pack(everything(rng))) for _ in range(6)]
    copies = [bytearray(p) for p in packed]
    merge(method, layout, [(2 + i, c) for i, c in enumerate(copies[1:])], copies[0], threads=2)
    assert copies == packed


@pytest.mark.parametrize(("n", "limit"), [(8, 6), (64, 42)])
@pytest.mark.parametrize("method", METHODS)
def test_memory_is_bounded_whatever_the_size_of_the_model(method: str, n: int, limit: int) -> None:
    rng = np.random.default_rng(3)
    arrays = {name: rng.normal(size=80_000).astype(name) for name in ("float32", "float64")}
    arrays |= {"half": np.ones(40_000, ml_dtypes.bfloat16), "int64": rng.integers(0, 1000, 40_000)}
    layout = Layout.from_arrays(arrays)
    packed = [layout.pack({k: np.roll(v, i) for k, v in arrays.items()}) for i in range(n)]
    contributions = list(zip(rng.integers(1, 101, n).tolist(), packed, strict=True))
    for threads in (1, 2):
        tracemalloc.start()
        try:
            merge(method, layout, contributions, packed[0], threads=threads)
            beyond = tracemalloc.get_traced_memory()[1] - layout.nbytes
        finally:
            tracemalloc.stop()
        assert beyond <= threads * limit * 2**20


def test_rebase_rounds_bfloat16_once() -> None:
    given = [np.array([v], ml_dtypes.bfloat16) for v in (1.0, 2**-8, 2**-40)]
    layout = Layout.from_arrays({"w": given[0]})
    merged_, local, base = (layout.pack({"w": v}) for v in (given[0], given[1], -given[2]))
    exact = fraction(given[0][0]) + fraction(given[1][0]) + fraction(given[2][0])
    assert fraction(layout.views(rebase(layout, merged_, local, base))["w"][0]) == rounded(exact, given[0].dtype)


def test_rebase_adds_what_was_learnt_since_the_base() -> None:
    def arrays(w: float, n: int, m: bool) -> Arrays:
        return {"w": np.array([w], np.float32), "n": np.array(n, np.int64), "m": np.array([m])}

    layout = Layout.from_arrays(arrays(0, 0, False))
    after, local, base = (layout.pack(a) for a in (arrays(10, 100, True), arrays(3, 2**60, False), arrays(1, 5, False)))
    views = layout.views(rebase(layout, after, local, base))
    assert views["w"].tolist() == [12.0] and int(views["n"]) == 100 + 2**60 - 5 and views["m"].tolist() == [True]

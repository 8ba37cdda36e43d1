"""Wire formats against a reference of fractions: exactness, one rounding a step, same bits twice, bounds, sizes."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swarm_lab.rounds.layout import DTYPES, Layout, TensorSpec, find_not_finite, root
from swarm_lab.rounds.merge import merge
from swarm_lab.rounds.merge_slabs import CHUNK
from swarm_lab.rounds.wire import WIRES, Wire

SIXTEEN = ["bf16", "fp16"]
WIDTHS = {np.float32: np.uint32, np.float64: np.uint64}
# Digits of the significand, exponent of the least step, largest number.
NUMBERS = {
    "bf16": (8, -133, Fraction(float(ml_dtypes.finfo(ml_dtypes.bfloat16).max))),
    "fp16": (11, -24, Fraction(65504)),
    "float32": (24, -149, Fraction(float(np.finfo(np.float32).max))),
    "float64": (53, -1074, Fraction(float(np.finfo(np.float64).max))),
}


def rounded(exact: Fraction, kind: str) -> Fraction:
    """The nearest number, half to even, clipped to the largest: from the definition, in fractions."""
    digits, least, largest = NUMBERS[kind]
    if exact == 0:
        return exact
    exponent = abs(exact).numerator.bit_length() - abs(exact).denominator.bit_length() - 1
    exponent += abs(exact) >= Fraction(2) ** (exponent + 1)
    step = Fraction(2) ** max(exponent - digits + 1, least)
    return max(min(round(exact / step) * step, largest), -largest)


def reference(wire: str, kind: str, x: float, base: float) -> Fraction:
    update = rounded(rounded(Fraction(base) - Fraction(x), kind), wire)
    return rounded(Fraction(base) - update, kind)


def flat(dtype: type | np.dtype, count: int) -> tuple[Layout, slice]:
    """A model of one run, and it as one block."""
    name = next(name for name, known in DTYPES.items() if known == np.dtype(dtype))
    layout = Layout.of([TensorSpec("w", name, (count,))])
    return layout, slice(0, layout.nbytes)


def there_and_back(wire: Wire, x: np.ndarray, base: np.ndarray) -> np.ndarray:
    layout, block = flat(x.dtype, len(x))
    data = wire.encode(layout, block, x.tobytes(), base.tobytes())
    assert len(data) == wire.nbytes(layout, block) == wire.whole(layout)
    out = bytearray(layout.nbytes)
    wire.decode(layout, block, data, base.tobytes(), memoryview(out))
    return np.frombuffer(out, x.dtype)


def sample(dtype: type, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and bases: near each other and far apart, ties, extremes, subnormals, both zeros, and the very same."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    ends = [0.0, -0.0, info.max, -info.max, info.max / 2, info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
    sixteens = [2.0**-24, 2.0**-25, 3 * 2.0**-25, 2.0**-14, 65504, 65519.99, 65520, 1e6, 2.0**-133, 2.0**-134, 1, -1]
    special = np.array(ends + sixteens, dtype)
    size = 10.0 ** rng.integers(-9, 6, count)
    base = (rng.normal(size=count) * size).astype(dtype)
    x = (base + rng.normal(size=count) * size * 10.0 ** rng.integers(-9, 4, count)).astype(dtype)
    halves = (base - rng.integers(-600, 600, count) * 2.0 ** rng.integers(-12, 3, count)).astype(dtype)
    x = np.where(rng.random(count) < 0.3, halves, x)
    for array in (x, base):
        at = rng.random(count) < 0.15
        array[at] = rng.choice(special, at.sum())
    same = rng.random(count) < 0.1
    x[same] = base[same]
    return x, base


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def any_bits(dtype: np.dtype) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2 if dtype == np.bool_ else 256, 800, np.uint8).view(dtype)


# --- exact -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_float32_carries_every_bit_of_every_dtype(dtype: np.dtype) -> None:
    x = any_bits(dtype)
    layout, block = flat(dtype, len(x))
    wire, out = WIRES["float32"], bytearray(layout.nbytes)
    data = wire.encode(layout, block, x.tobytes(), None)
    wire.decode(layout, block, data, None, memoryview(out))
    assert bytes(out) == bytes(data) == x.tobytes() and wire.exact


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", [dtype for name, dtype in DTYPES.items() if name not in ("F64", "F32")], ids=str)
def test_whatever_is_no_wide_float_travels_exactly(name: str, dtype: np.dtype) -> None:
    x = any_bits(dtype)
    assert same_bits(there_and_back(WIRES[name], x, x[::-1].copy()), x)


@pytest.mark.parametrize("name", SIXTEEN)
def test_round_1_travels_exactly(name: str) -> None:
    assert WIRES[name].for_round(None) is WIRES["float32"]
    assert WIRES[name].for_round("root") is WIRES[name] and not WIRES[name].exact
    layout, block = flat(np.float32, 4)
    with pytest.raises(ValueError, match="base is missing"):
        WIRES[name].encode(layout, block, bytes(16), None)
    with pytest.raises(ValueError, match="base is missing"):
        WIRES[name].decode(layout, block, bytes(8), None, bytearray(16))
    with pytest.raises(ValueError, match="base is missing"):
        WIRES[name].quantise(layout, bytearray(16), None)


# --- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", WIDTHS)
def test_each_step_is_rounded_once(name: str, dtype: type) -> None:
    x, base = sample(dtype, 4000, 7)
    got = there_and_back(WIRES[name], x, base)
    kind = np.dtype(dtype).name
    wrong = [
        (float(a), float(b), float(c))
        for a, b, c in zip(x, base, got, strict=True)
        if Fraction(float(c)) != reference(name, kind, float(a), float(b))
    ]
    assert wrong == []


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", WIDTHS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_finite_stays_finite_and_a_second_time_changes_no_bit(name: str, dtype: type, data: st.DataObject) -> None:
    width = 8 * np.dtype(dtype).itemsize
    finite = st.floats(width=width, allow_nan=False, allow_infinity=False)
    pairs = data.draw(st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
    x, base = (np.array(side, dtype) for side in zip(*pairs, strict=True))
    once = there_and_back(WIRES[name], x, base)
    assert np.isfinite(once).all()
    assert same_bits(there_and_back(WIRES[name], once, base), once)


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", WIDTHS)
@settings(max_examples=150, deadline=None)
@given(base=st.integers(0, 2**64 - 1), step=st.integers(-(2**13), 2**13), shift=st.integers(0, 20))
@example(base=0x8000000000000000, step=0, shift=0)
def test_a_second_time_changes_no_bit_where_roundings_meet(
    name: str, dtype: type, base: int, step: int, shift: int
) -> None:
    """Values a few of the base's own last places away: there base - u is rounded, and ties are common."""
    info = WIDTHS[dtype]
    bits = np.array([base % 2 ** (8 * np.dtype(dtype).itemsize)], info)
    before = bits.view(dtype)
    before = before if np.isfinite(before).all() else np.ones(1, dtype)
    x = (before + np.spacing(before) * np.arange(-50, 50) * step / 2**shift).astype(dtype)
    x = np.where(np.isfinite(x), x, before)
    before = np.resize(before, len(x))
    once = there_and_back(WIRES[name], x, before)
    assert same_bits(there_and_back(WIRES[name], once, before), once)


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("seed", range(5))
def test_a_second_time_changes_no_bit_of_many(name: str, dtype: type, seed: int) -> None:
    x, base = sample(dtype, 100_000, seed)
    once = there_and_back(WIRES[name], x, base)
    assert np.isfinite(once).all()
    assert same_bits(there_and_back(WIRES[name], once, base), once)


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", WIDTHS)
def test_what_did_not_change_comes_back_bit_for_bit(name: str, dtype: type) -> None:
    _, base = sample(dtype, 10_000, 3)
    assert same_bits(there_and_back(WIRES[name], base, base), base)


@pytest.mark.parametrize(("name", "relative", "absolute"), [("bf16", 2.0**-8, 2.0**-134), ("fp16", 2.0**-11, 2.0**-25)])
def test_the_error_is_a_share_of_the_update(name: str, relative: float, absolute: float) -> None:
    """Beside it one rounding of float32, of the result: the update may be small, not the value."""
    rng = np.random.default_rng(2)
    base = rng.standard_normal(50_000, dtype=np.float32)
    x = (base + rng.standard_normal(50_000) * 10.0 ** rng.integers(-7, 3, 50_000)).astype(np.float32)
    got = there_and_back(WIRES[name], x, base).astype(np.float64)
    update = np.abs(x.astype(np.float64) - base)
    bound = np.maximum(update * relative, absolute) * (1 + 2.0**-20) + np.spacing(np.abs(got).astype(np.float32)) / 2
    assert (np.abs(got - x) <= bound).all()


def test_huge_updates_are_clipped() -> None:
    most = np.finfo(np.float32).max
    x = np.array([1e30, -1e30, 70000, most, -most], np.float32)
    base = np.array([0, 0, 1, -most, most], np.float32)
    got = there_and_back(WIRES["fp16"], x, base)
    assert got.tolist() == [65504, -65504, 65505, -most, most]
    assert np.isfinite(there_and_back(WIRES["bf16"], x, base)).all()


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", WIDTHS)
def test_not_a_number_and_infinity_are_refused_on_both_sides(name: str, value: float, dtype: type) -> None:
    layout, block = flat(dtype, 8)
    base = np.zeros(8, dtype)
    x = base.copy()
    x[5] = value
    with pytest.raises(ValueError, match="NaN and infinity"):
        WIRES[name].encode(layout, block, x.tobytes(), base.tobytes())
    with pytest.raises(ValueError, match="NaN and infinity"):
        WIRES[name].quantise(layout, bytearray(x), base.tobytes())
    sent = np.zeros(8, ml_dtypes.bfloat16 if name == "bf16" else np.float16)
    sent[5] = value
    with pytest.raises(ValueError, match="not finite"):
        WIRES[name].decode(layout, block, sent.tobytes(), base.tobytes(), bytearray(layout.nbytes))


@pytest.mark.parametrize("name", SIXTEEN)
@pytest.mark.parametrize("dtype", WIDTHS)
def test_every_update_that_may_come_is_read_as_its_number(name: str, dtype: type) -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    sent = every.view(ml_dtypes.bfloat16 if name == "bf16" else np.float16)
    with np.errstate(invalid="ignore"):
        sent = sent[np.isfinite(sent)]
    layout, block = flat(dtype, len(sent))
    zeros, out = bytes(layout.nbytes), bytearray(layout.nbytes)
    WIRES[name].decode(layout, block, sent.tobytes(), zeros, out)
    assert (np.frombuffer(out, dtype) == -sent.astype(dtype)).all()
    again = np.frombuffer(WIRES[name].encode(layout, block, out, zeros), sent.dtype)
    assert (again == sent).all()


# --- sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WIRES)
def test_wrong_sizes_are_refused(name: str) -> None:
    wire = WIRES[name]
    layout, block = flat(np.float32, 10)
    x, size = bytes(40), wire.nbytes(layout, block)
    assert size == (40 if wire.exact else 20)
    for wrong in (size - 1, size + 1, size + 4, 0):
        with pytest.raises(ValueError, match="bytes"):
            wire.decode(layout, block, bytes(wrong), x, bytearray(40))
    for wrong in (39, 41, 44, 0):
        with pytest.raises(ValueError, match="bytes"):
            wire.encode(layout, block, bytes(wrong), x)
        with pytest.raises(ValueError, match="bytes"):
            wire.decode(layout, block, bytes(size), x, bytearray(wrong))
        if not wire.exact:
            with pytest.raises(ValueError, match="bytes"):
                wire.encode(layout, block, x, bytes(wrong))
            with pytest.raises(ValueError, match="bytes"):
                wire.decode(layout, block, bytes(size), bytes(wrong), bytearray(40))
            with pytest.raises(ValueError, match="bytes"):
                wire.quantise(layout, bytearray(wrong), x)
            with pytest.raises(ValueError, match="bytes"):
                wire.quantise(layout, bytearray(x), bytes(wrong))


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize(
    "block", [slice(0, 84), slice(-4, 4), slice(0, 88), slice(2, 6), slice(0, 6), slice(76, 84), slice(4, 4),
              slice(0, 40, 2), slice(None, 4), slice(4, 0)],
)  # fmt: skip
def test_what_is_no_block_is_refused(name: str, block: slice) -> None:
    layout = Layout.of([TensorSpec("a", "F32", (20,)), TensorSpec("b", "I8", (4,))])
    with pytest.raises(ValueError, match=r"block|element"):
        WIRES[name].nbytes(layout, block)
    with pytest.raises(ValueError, match=r"block|element"):
        WIRES[name].encode(layout, block, bytes(4), bytes(4))
    with pytest.raises(ValueError, match=r"block|element"):
        WIRES[name].decode(layout, block, bytes(4), bytes(4), bytearray(4))


@pytest.mark.parametrize("name", WIRES)
def test_out_that_may_not_be_written_is_refused_and_nothing_beyond_it_is(name: str) -> None:
    layout, block = flat(np.float32, 6)
    wire = WIRES[name]
    x = np.arange(6, dtype=np.float32)
    data = wire.encode(layout, block, x.tobytes(), bytes(24))
    with pytest.raises(ValueError, match="read-only"):
        wire.decode(layout, block, data, bytes(24), bytes(24))
    around = bytearray(b"\xaa" * 44)
    wire.decode(layout, block, data, bytes(24), memoryview(around)[10:34])
    assert around[:10] == around[34:] == b"\xaa" * 10
    assert bytes(around[10:34]) == x.tobytes()


@pytest.mark.parametrize("name", WIRES)
def test_bytes_may_lie_at_any_address(name: str) -> None:
    x, base = sample(np.float32, 1000, 4)
    layout, block = flat(np.float32, 1000)
    wire = WIRES[name]
    odd = [memoryview(b"-" + bytes(part))[1:] for part in (x.tobytes(), base.tobytes())]
    data = wire.encode(layout, block, *odd)
    out = bytearray(4001)
    wire.decode(layout, block, memoryview(b"-" + bytes(data))[1:], odd[1], memoryview(out)[1:])
    assert same_bits(np.frombuffer(out[1:], np.float32), there_and_back(wire, x, base))


# --- whole models ------------------------------------------------------------------------------------------


def model(seed: int, large: int = 3 * CHUNK + 11) -> tuple[Layout, bytearray, bytes]:
    """A model of every dtype, with runs longer than a slab and than a block, and the one before it."""
    rng = np.random.default_rng(seed)
    one: dict[str, np.ndarray] = {}
    two: dict[str, np.ndarray] = {}
    for name, dtype in DTYPES.items():
        if name in ("F32", "F64"):
            count = large if name == "F32" else 5000
            one[name], two[name] = sample(np.dtype(dtype).type, count, seed)
        elif name in ("F16", "BF16"):
            one[name], two[name] = (rng.normal(size=99).astype(dtype) for _ in range(2))
        else:
            one[name], two[name] = (rng.integers(0, 2, 77).astype(dtype) for _ in range(2))
    layout = Layout.from_arrays(one)
    return layout, layout.pack(one), bytes(layout.pack(two))


@pytest.mark.parametrize("name", WIRES)
def test_any_cut_and_any_number_of_threads_give_the_same_bits(name: str) -> None:
    layout, x, base = model(5)
    wire = WIRES[name]
    whole = bytearray(x)
    wire.quantise(layout, whole, base, threads=1)
    threaded = bytearray(x)
    wire.quantise(layout, threaded, base, threads=3)
    by_block, travelled, sent = bytearray(x), bytearray(len(x)), 0
    for block in [b.bytes for b in layout.blocks]:
        wire.quantise(layout, memoryview(by_block)[block], memoryview(base)[block], block)
        size = 8 * 1000 if (block.stop - block.start) % 8 == 0 else block.stop - block.start
        for start in range(block.start, block.stop, size):
            part = slice(start, min(start + size, block.stop))
            data = wire.encode(layout, part, memoryview(x)[part], memoryview(base)[part])
            sent += len(data)
            wire.decode(layout, part, data, memoryview(base)[part], memoryview(travelled)[part])
    assert whole == threaded == by_block == travelled
    assert sent == wire.whole(layout) == sum(wire.nbytes(layout, block) for block in [b.bytes for b in layout.blocks])
    exact = {name for name in DTYPES if wire.exact or name not in ("F32", "F64")}
    before, after = layout.views(bytes(x)), layout.views(whole)
    assert {name for name in DTYPES if same_bits(before[name], after[name])} == exact
    assert find_not_finite(layout, whole) is None


@pytest.mark.parametrize("name", WIRES)
def test_who_decodes_holds_what_was_signed_and_a_kept_model_keeps_its_bits(name: str) -> None:
    layout, mine, base = model(6, large=9000)
    wire = WIRES[name]
    wire.quantise(layout, mine, base)
    signed = root(layout, mine)
    theirs = bytearray(len(mine))
    for block in [b.bytes for b in layout.blocks]:
        data = wire.encode(layout, block, memoryview(mine)[block], memoryview(base)[block])
        wire.decode(layout, block, data, memoryview(base)[block], memoryview(theirs)[block])
    assert root(layout, theirs) == signed
    for weights, kept in (((3, 0), signed), ((0, 0), root(layout, base))):
        merged = merge("mean", layout, [(weight, theirs) for weight in weights], base)
        wire.quantise(layout, merged, base)
        assert root(layout, merged) == kept


def test_bytes_of_a_model() -> None:
    layout = Layout.of(
        [TensorSpec(name, dtype, (10,)) for name, dtype in (("a", "F64"), ("b", "F32"), ("c", "BF16"), ("d", "I64"))]
    )
    assert WIRES["float32"].whole(layout) == layout.nbytes == 80 + 40 + 20 + 80
    assert WIRES["bf16"].whole(layout) == WIRES["fp16"].whole(layout) == 20 + 20 + 20 + 80
    assert [WIRES["fp16"].nbytes(layout, block) for block in [b.bytes for b in layout.blocks]] == [20, 80, 20, 20]
    assert WIRES["fp16"].whole(Layout.of([])) == 0


def test_decoding_into_the_base_itself() -> None:
    x, base = sample(np.float32, 1000, 8)
    layout, block = flat(np.float32, 1000)
    data = WIRES["bf16"].encode(layout, block, x.tobytes(), base.tobytes())
    memory = bytearray(base)
    WIRES["bf16"].decode(layout, block, data, memory, memory)
    assert same_bits(np.frombuffer(memory, np.float32), there_and_back(WIRES["bf16"], x, base))

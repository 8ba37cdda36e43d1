"""Another framework joins by five methods: ours by name, and those of the documented base class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swarm_lab.callback.errors import EvaluationError, ModelChangedError, ModelError
from swarm_lab.callback.hooks import ArraysModel

PROGRAM = Path(__file__).parent / "programs" / "own_framework.py"


@pytest.mark.conformance("CB-75", "CB-55", "CB-46")
@pytest.mark.parametrize("base", ["", "1"], ids=["ours", "documented"])
async def test_two_programs_of_numpy_end_with_one_model(launch, averager, base):
    source = PROGRAM.read_text("utf-8")
    members = [await launch(source, f"p{i}", framework="", variables={"SEED": str(i), "BASE": base}) for i in (1, 2)]
    await averager(4).run(members)
    one, two = (np.load(member.program.spec.directory / "final.npz") for member in members)
    assert sorted(one) == ["b", "seen", "w"] and all(np.array_equal(one[name], two[name]) for name in one)
    assert one["seen"].dtype == np.int64 and one["b"].shape == ()
    for member in members:
        assert [(sync.reason, sync.batches) for sync in member.syncs] == [
            ("begin", 0), ("interval", 4), ("interval", 8), ("interval", 12), ("end", 12),
        ]  # fmt: skip
        assert member.exit.error is None and member.syncs[1].local_loss is not None
        assert "loss True (2, 2)" in [text for _, text in member.lines]
        assert (await member.program.hello(1)).platform == "sklearn"


@pytest.mark.conformance("CB-75")
def test_every_dtype_goes_out_and_in_as_it_is():
    import ml_dtypes

    kinds = ("f8", "f4", "f2", ml_dtypes.bfloat16, "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
    held = {f"t{i}": np.arange(6).reshape(2, 3).astype(kind) for i, kind in enumerate(kinds)}
    held |= {"scalar": np.array(2**53 + 1, np.int64), "empty": np.zeros((0, 3), np.float32)}
    came: dict[str, np.ndarray] = {}
    model = ArraysModel("sklearn", lambda: held, came.update, lambda: (None, None))
    views = [memoryview(bytearray(spec.nbytes)) for spec in model.layout()]
    model.store(views)
    model.load(views)
    assert list(came) == list(held)
    for name, array in held.items():
        assert came[name].dtype == array.dtype and came[name].shape == array.shape
        assert came[name].tobytes() == array.tobytes() and came[name].flags.writeable


@pytest.mark.conformance("CB-75")
def test_arrays_that_cannot_travel_or_that_changed_are_named():
    def model(arrays):
        return ArraysModel("sklearn", lambda: arrays, lambda _: None, lambda: (None, None))

    for wrong in ({"w": np.zeros(2, complex)}, {"w": np.array(["a"])}, {}):
        with pytest.raises(ModelError):
            model(wrong).layout()
    held = {"w": np.zeros(2)}
    changing = model(held)
    changing.layout()
    held["new"] = np.zeros(1)
    with pytest.raises(ModelChangedError, match="new is no tensor of the model"):
        changing.store([memoryview(bytearray(16))])


@pytest.mark.parametrize("score", [lambda: 1 / 0, lambda: 3.0, lambda: ("a", None), lambda: (1, 2, 3)])
def test_a_score_that_fails_says_so_with_a_code(score):
    with pytest.raises(EvaluationError, match="SWL-609"):
        ArraysModel("sklearn", dict, lambda _: None, score).evaluate()


def test_scores_are_numbers_or_unknown():
    scores = [(np.float32(0.5), None), (None, 1), (float("nan"), np.float64(2))]
    found = [ArraysModel("sklearn", dict, lambda _: None, lambda given=given: given).evaluate() for given in scores]
    assert found[0] == (0.5, None) and found[1] == (None, 1.0) and found[2][1] == 2.0

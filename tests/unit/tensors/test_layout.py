"""The flat model and its digest."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_lab.errors import ModelFileError
from swarm_lab.rounds.layout import DTYPES, MAX_BLOCKS, Layout, TensorSpec, find_not_finite, root
from swarm_lab.rounds.model_file import read_metadata, read_model, write_model


def model() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "layer.weight": rng.normal(size=(7, 5)).astype(np.float32),
        "bn.num_batches_tracked": np.array(3_000_000_001, np.int64),
        "half": rng.normal(size=(3,)).astype(ml_dtypes.bfloat16),
        "mask": np.array([True, False, True]),
        "empty": np.zeros((0, 4), np.float16),
        "scalar": np.array(1.5, np.float64),
    }


def test_views_hold_what_was_packed_with_dtype_and_shape() -> None:
    arrays = model()
    layout = Layout.from_arrays(arrays)
    views = layout.views(layout.pack(arrays))
    for name, array in arrays.items():
        assert views[name].dtype == array.dtype and views[name].shape == array.shape
        assert views[name].tobytes() == array.tobytes()


def test_root_depends_on_values_names_dtypes_and_shapes_but_not_on_insertion_order() -> None:
    arrays = model()
    layout = Layout.from_arrays(arrays)
    reference = root(layout, layout.pack(arrays))
    backwards = dict(reversed(arrays.items()))
    assert root(Layout.from_arrays(backwards), Layout.from_arrays(backwards).pack(backwards)) == reference
    changes = [
        arrays | {"mask": np.array([True, True, True])},
        arrays | {"layer.weight": arrays["layer.weight"].reshape(5, 7)},
        {("other" if k == "half" else k): v for k, v in arrays.items()},
        arrays | {"half": arrays["half"].view(np.float16)},
    ]
    for changed in changes:
        other = Layout.from_arrays(changed)
        assert root(other, other.pack(changed)) != reference


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(DTYPES)), st.integers(0, 3_000_000)), max_size=40))
def test_blocks_cover_the_buffer_and_never_cross_dtypes(tensors: list[tuple[str, int]]) -> None:
    layout = Layout.of([TensorSpec(f"t{i}", dtype, (n,)) for i, (dtype, n) in enumerate(tensors)])
    blocks = [(b.start, b.start + b.nbytes) for b in layout.blocks]
    assert len(blocks) <= MAX_BLOCKS
    assert sum(stop - start for start, stop in blocks) == layout.nbytes
    ends = {run.stop for run in layout.runs}
    assert all(any(run.start <= start and stop <= run.stop for run in layout.runs) for start, stop in blocks)
    assert all(stop in ends or (stop - start) % 4096 == 0 for start, stop in blocks)


def test_a_model_file_gives_the_same_model_back(tmp_path) -> None:
    arrays = model()
    layout = Layout.from_arrays(arrays)
    buffer = layout.pack(arrays)
    path = tmp_path / "m.safetensors"
    write_model(path, layout, buffer, {"round": "7"})
    again, read = read_model(path)
    assert again == layout and read == buffer and root(again, read) == root(layout, buffer)
    assert read_metadata(path)["round"] == "7"
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_torch_reads_the_file(tmp_path) -> None:
    safetensors_torch = pytest.importorskip("safetensors.torch", reason="torch is not installed")
    pytest.importorskip("torch")
    arrays = model()
    layout = Layout.from_arrays(arrays)
    write_model(tmp_path / "m.safetensors", layout, layout.pack(arrays))
    loaded = safetensors_torch.load_file(tmp_path / "m.safetensors")
    assert int(loaded["bn.num_batches_tracked"]) == 3_000_000_001
    assert np.array_equal(loaded["layer.weight"].numpy(), arrays["layer.weight"])


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64])
def test_a_damaged_file_is_named(tmp_path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="safetensors"):
        read_model(path)


def test_a_file_cut_in_half_is_refused(tmp_path) -> None:
    arrays = model()
    layout = Layout.from_arrays(arrays)
    path = tmp_path / "m.safetensors"
    write_model(path, layout, layout.pack(arrays))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelFileError):
        read_model(path)


def test_difference_names_the_tensor() -> None:
    one = Layout.of([TensorSpec("a", "F32", (2,)), TensorSpec("b", "F32", (3,))])
    assert "no tensor 'b'" in str(one.difference(Layout.of([TensorSpec("a", "F32", (2,))])))
    assert "F32[4]" in str(one.difference(Layout.of([TensorSpec("a", "F32", (4,)), TensorSpec("b", "F32", (3,))])))
    assert one.difference(Layout.of(list(reversed(one.specs)))) is None


def test_not_finite_is_found_by_name() -> None:
    arrays = {
        "a": np.ones(3, np.float32),
        "b": np.array([1, np.inf], ml_dtypes.bfloat16),
        "c": np.ones(2, np.int64),
    }
    layout = Layout.from_arrays(arrays)
    assert find_not_finite(layout, layout.pack(arrays)) == "b"
    arrays["b"] = np.ones(2, ml_dtypes.bfloat16)
    assert find_not_finite(layout, layout.pack(arrays)) is None

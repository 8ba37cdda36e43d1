"""The demo's data: skewed, disjoint, complete, and the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from swarm_lab.experiments.data import DATASETS, NODES, prepare


@pytest.mark.parametrize("name", DATASETS)
def test_each_row_goes_to_one_node_or_to_the_test_rows(name: str, tmp_path: Path) -> None:
    split = prepare(name, tmp_path)
    shares = [_rows(split.nodes / node) for node in NODES]
    assert [len(share) for share in shares] == split.counts.sum(axis=1).tolist()
    assert sum(map(len, shares)) == len(_rows(split.central))
    seen = {row.tobytes() for share in shares for row in share}
    assert not seen & {row.tobytes() for row in split.test_x}


@pytest.mark.parametrize("name", DATASETS)
def test_every_node_has_its_own_mix_of_labels(name: str, tmp_path: Path) -> None:
    counts = prepare(name, tmp_path).counts
    mixes = counts.div(counts.sum(axis=1), axis=0)
    assert (mixes.max() - mixes.min() > 0.1).all()
    assert counts.sum(axis=1).nunique() == len(NODES)


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    first, again, other = (prepare("digits", tmp_path / str(k), seed=seed) for k, seed in enumerate((7, 7, 8)))
    assert np.array_equal(_rows(first.nodes / "sl-1"), _rows(again.nodes / "sl-1"))
    assert np.array_equal(first.test_x, again.test_x)
    assert not np.array_equal(first.test_x, other.test_x)


def test_files_name_all_classes_also_those_that_a_node_never_saw(tmp_path: Path) -> None:
    split = prepare("digits", tmp_path, skew=1.0)
    with np.load(split.nodes / "sl-2" / "train.npz") as train:
        assert train["classes"].tolist() == list(split.classes)
        assert len(set(train["y"])) < len(split.classes)
        assert train["x"].dtype == np.float32 and train["y"].dtype == np.int64


def test_an_unknown_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="digits, breast_cancer"):
        prepare("iris", tmp_path)


def _rows(folder: Path) -> np.ndarray:
    return np.concatenate([np.load(folder / f"{part}.npz")["x"] for part in ("train", "val")])

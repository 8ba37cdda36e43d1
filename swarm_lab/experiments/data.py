"""Data of the demo: two real data sets of scikit-learn, split over nodes so that each sees its own mix of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

DATASETS = ("digits", "breast_cancer")
NODES = ("sl-1", "sl-2", "sl-3", "sl-4")

# Shares of the sites, relative to the largest one: hospitals differ in size as well as in their patients.
_SIZES = (1.0, 0.5, 0.9, 0.6)
_TEST_SHARE = 0.3
_VALIDATION_SHARE = 0.2
# Rows that belong to no site: a public sample from which everybody takes the same scale of the features.
_REFERENCE_ROWS = 40


@dataclass(frozen=True, slots=True)
class Split:
    """A data set, shared out: one folder a node, and what only the comparison sees.

    `nodes` holds `<node>/train.npz` and `<node>/val.npz` (arrays `x`: float32 (rows, features), `y`: int64 (rows,),
    `classes`: the names of all classes, also of those that this node has never seen). `central` is one such folder
    with the rows of all nodes. `test_x`, `test_y` are common to all and seen by nobody while training.
    """

    name: str
    nodes: Path
    central: Path
    classes: tuple[str, ...]
    test_x: Floats
    test_y: Labels
    counts: pd.DataFrame
    """Rows per node (index) and class (columns), training and validation together."""


def prepare(
    name: str,
    folder: Path | str,
    *,
    nodes: Sequence[str] = NODES,
    seed: int = 0,
    skew: float = 0.9,
    images: bool = False,
) -> Split:
    """Write the shares of `nodes` below `folder` and return where they are.

    `skew` is the share of a class that only its home nodes have; the rest is spread evenly. With `images` a row keeps
    the look of its picture: values from 0 to 1, instead of every feature centred and scaled by itself. The same seed
    gives the same files. Raises `ValueError` for an unknown data set.
    """
    features, labels, classes = _load(name)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    reference, order = order[:_REFERENCE_ROWS], order[_REFERENCE_ROWS:]
    features = features / features.max() if images else _scale(features, features[reference])
    test, rest = np.split(order, [round(_TEST_SHARE * len(order))])
    shares = _deal(labels[rest], len(classes), len(nodes), skew, rng)
    root = Path(folder) / name
    counts = {}
    for node, share in zip(nodes, shares, strict=True):
        rows = rest[share]
        _write(root / "nodes" / node, features[rows], labels[rows], classes)
        counts[node] = np.bincount(labels[rows], minlength=len(classes))
    everyone = rng.permutation(rest)
    _write(root / "central", features[everyone], labels[everyone], classes)
    table = pd.DataFrame.from_dict(counts, orient="index", columns=list(classes)).rename_axis("node")
    return Split(name, root / "nodes", root / "central", classes, features[test], labels[test], table)


def _load(name: str) -> tuple[Floats, Labels, tuple[str, ...]]:
    from sklearn import datasets

    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; there are {', '.join(DATASETS)}")
    bunch = getattr(datasets, f"load_{name}")()
    classes = tuple(str(one) for one in bunch.target_names)
    return bunch.data.astype(np.float32), bunch.target.astype(np.int64), classes


def _scale(features: Floats, reference: Floats) -> Floats:
    """Centre and scale by the public sample; a node that scaled by its own rows would see another world."""
    spread = reference.std(axis=0)
    # A pixel that is always 0 in the sample has no spread; the clip keeps what is rare in it from ruling the sum.
    scaled = (features - reference.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.asarray(np.clip(scaled, -5, 5), dtype=np.float32)


def _deal(labels: Labels, classes: int, nodes: int, skew: float, rng: np.random.Generator) -> list[Labels]:
    """Positions of `labels` for each node; every row goes to exactly one.

    Classes and nodes are laid along the same line, each with its length; a node is at home in the classes that it
    overlaps. So large sites are at home in several classes, small ones in one, and nothing is thrown away.
    """
    sizes = np.resize(np.asarray(_SIZES), nodes)
    ends = np.cumsum(sizes / sizes.sum())
    shares: list[list[Labels]] = [[] for _ in range(nodes)]
    for place, label in enumerate(rng.permutation(classes)):
        rows = rng.permutation(np.flatnonzero(labels == label))
        home = np.diff(np.clip(ends * classes - place, 0, 1), prepend=0)
        part = skew * home + (1 - skew) * sizes / sizes.sum()
        bounds = np.round(np.cumsum(part) * len(rows)).astype(int)
        for share, piece in zip(shares, np.split(rows, bounds[:-1]), strict=True):
            share.append(piece)
    return [rng.permutation(np.concatenate(share)) for share in shares]


def _write(folder: Path, features: Floats, labels: Labels, classes: tuple[str, ...]) -> None:
    """Write one share; its last rows are the node's own validation data. `labels` are in random order already."""
    folder.mkdir(parents=True, exist_ok=True)
    cut = len(labels) - max(1, round(_VALIDATION_SHARE * len(labels)))
    parts = {"train": slice(None, cut), "val": slice(cut, None)}
    for part, rows in parts.items():
        np.savez(folder / f"{part}.npz", x=features[rows], y=labels[rows], classes=np.array(classes))

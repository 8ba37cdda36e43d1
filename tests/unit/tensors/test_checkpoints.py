"""Checkpoints: what is on disk survives, what is damaged is passed over."""

import numpy as np

from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.layout import Layout, root


def store(checkpoints: Checkpoints, round_: int) -> str:
    arrays = {"w": np.full(8, round_, np.float32)}
    layout = Layout.from_arrays(arrays)
    buffer = layout.pack(arrays)
    digest = root(layout, buffer)
    checkpoints.store(round_, f"{round_:064x}", layout, buffer, digest, 10 * round_)
    return digest


def test_what_was_stored_is_found_again(tmp_path) -> None:
    digest = store(Checkpoints(tmp_path), 3)
    again = Checkpoints(tmp_path)
    assert [(c.round, c.root, c.batches) for c in again.stored()] == [(3, digest, 30)]
    layout, buffer = again.load(digest)
    assert root(layout, buffer) == digest and layout.views(buffer)["w"].tolist() == [3.0] * 8
    assert again.load("0" * 64) is None


def test_the_last_rounds_and_those_named_are_kept(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for round_ in range(1, 7):
        store(checkpoints, round_)
    checkpoints.keep(frozenset({f"{2:064x}"}))
    assert [c.round for c in checkpoints.stored()] == [2, 5, 6]


def test_a_checkpoint_cut_in_half_is_passed_over(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    older, newer = store(checkpoints, 1), store(checkpoints, 2)
    path = checkpoints.stored()[1].path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert [c.root for c in checkpoints.stored()] == [older]
    assert checkpoints.load(newer) is None and checkpoints.load(older) is not None


def test_a_checkpoint_whose_values_changed_is_not_given_out(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    digest = store(checkpoints, 1)
    path = checkpoints.stored()[0].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert checkpoints.load(digest) is None

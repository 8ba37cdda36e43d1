"""Checkpoints: what is on disk survives; what is damaged, strange or of another model is named and passed over."""

import logging

import numpy as np
import pytest

from swarm_lab.rounds.checkpoints import Checkpoints
from swarm_lab.rounds.layout import Layout, root
from swarm_lab.rounds.model_file import write_model


def store(checkpoints: Checkpoints, round_: int, width: int = 8) -> str:
    arrays = {"w": np.full(width, round_, np.float32)}
    layout = Layout.from_arrays(arrays)
    buffer = layout.pack(arrays)
    digest = root(layout, buffer)
    checkpoints.store(round_, f"{round_:016x}" * 4, layout, buffer, digest, 10 * round_)
    return digest


def test_what_was_stored_is_found_again(tmp_path) -> None:
    digest = store(Checkpoints(tmp_path), 3)
    again = Checkpoints(tmp_path)
    assert [(c.round, c.root, c.batches) for c in again.stored()] == [(3, digest, 30)]
    layout, buffer = again.load(digest)
    assert root(layout, buffer) == digest and layout.views(buffer)["w"].tolist() == [3.0] * 8
    assert again.load("0" * 64) is None


@pytest.mark.parametrize(("kept", "left"), [(1, [2, 6]), (2, [2, 5, 6]), (3, [2, 4, 5, 6]), (9, [1, 2, 3, 4, 5, 6])])
def test_the_last_rounds_and_those_named_are_kept(tmp_path, kept: int, left: list[int]) -> None:
    checkpoints = Checkpoints(tmp_path, kept=kept)
    for round_ in range(1, 7):
        store(checkpoints, round_)
    checkpoints.keep(frozenset({f"{2:016x}" * 4}))
    assert [c.round for c in checkpoints.stored()] == left


def test_damaged_files_go_with_their_round(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, kept=1)
    for round_ in (1, 2, 3):
        store(checkpoints, round_)
    first = checkpoints.stored()[0].path
    first.write_bytes(b"")
    checkpoints.keep(frozenset())
    assert [c.round for c in checkpoints.stored()] == [3] and not first.exists()


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path) -> None:
    path.write_bytes(b"")


def flip(path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def other_file(path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"x" * 200)


def other_layout(path) -> None:
    store(Checkpoints(path.parent), 2, width=9)


def other_training(path) -> None:
    store(Checkpoints(path.parent, training="t-bbbbbb"), 2)


def other_round(path) -> None:
    store(Checkpoints(path.parent), 7)
    next(path.parent.glob("000007-*")).replace(path)


def no_word(path) -> None:
    layout = Layout.from_arrays({"w": np.zeros(8, np.float32)})
    write_model(path, layout, bytes(layout.nbytes), {})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "safetensors: "),
        (empty, ""),
        (flip, "should have the digest"),
        (other_file, ""),
        (other_layout, "tensor 'w' is F32[9], but F32[8]"),
        (other_training, "of the training t-bbbbbb"),
        (other_round, "holds round 7"),
        (no_word, "does not say which round"),
    ],
)
def test_what_does_not_fit_is_named_once_and_passed_over(tmp_path, caplog, damage, said: str) -> None:
    checkpoints = Checkpoints(tmp_path, training="t-aaaaaa")
    older, newer = store(checkpoints, 1), store(checkpoints, 2)
    layout = Layout.from_arrays({"w": np.zeros(8, np.float32)})
    path = checkpoints.stored()[1].path
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert [c.root for c in checkpoints.sound(layout)] == [older]
        assert checkpoints.load(newer) is None and checkpoints.load(older) is not None
        checkpoints.sound(layout)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and str(path) in told[0] and said in told[0], told
    assert caplog.records[0].code == "SWL-501"


def test_a_stray_file_is_named_and_a_half_written_one_removed(tmp_path, caplog) -> None:
    checkpoints = Checkpoints(tmp_path)
    digest = store(checkpoints, 1)
    (tmp_path / "notes.txt").write_text("mine")
    half = tmp_path / ".000002-abc.safetensors.77.part"
    half.write_bytes(b"half")
    checkpoints.clean()
    with caplog.at_level(logging.WARNING):
        assert [c.root for c in checkpoints.sound()] == [digest]
    checkpoints.keep(frozenset())
    assert "notes.txt" in caplog.text and (tmp_path / "notes.txt").exists() and not half.exists()


def test_what_is_stored_anew_takes_the_place_of_the_damaged_one(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path)
    digest = store(checkpoints, 1)
    cut(checkpoints.stored()[0].path)
    assert checkpoints.sound() == []
    store(checkpoints, 1)
    assert [c.root for c in checkpoints.sound()] == [digest]

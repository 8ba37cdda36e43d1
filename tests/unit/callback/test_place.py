"""A program's place on disk: whole or not at all, the last three, never one of a model that was not committed."""

from __future__ import annotations

import logging
import os
import threading

import ml_dtypes
import numpy as np
import pytest

from swarm_lab.callback.arrays import read_arrays, write_arrays
from swarm_lab.callback.place import Place, Places

LOG = logging.getLogger("test")


def place(number: int, epoch: int = 1) -> Place:
    return Place(number, number * 4, epoch, {"m": np.full(3, number, np.float32)}, {"step": number})


def keep(places: Places, *numbers: int) -> None:
    for number in numbers:
        places.keep(lambda number=number: place(number))
        places.close()


def test_arrays_and_facts_come_back_to_the_bit(tmp_path):
    arrays = {
        "a": np.array([1.5, np.nan], np.float64), "b": np.arange(6, dtype=ml_dtypes.bfloat16).reshape(2, 3),
        "step": np.array(7, np.int64), "none": np.zeros((0, 2), np.float16), "flag": np.array([True, False]),
        "turned": np.arange(6.0).reshape(2, 3).T,
    }  # fmt: skip
    facts = {"groups": [{"lr": 0.1, "betas": [0.9, 0.99]}], "name": "ädam"}
    write_arrays(tmp_path / "x.safetensors", arrays, facts)
    found, said = read_arrays(tmp_path / "x.safetensors")
    assert said == facts and list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes()
        assert found[name].shape == array.shape


def test_other_programs_can_read_the_file(tmp_path):
    from safetensors.numpy import load_file

    write_arrays(tmp_path / "x.safetensors", {"a": np.arange(5, dtype=np.int32)}, {})
    assert load_file(tmp_path / "x.safetensors")["a"].tolist() == [0, 1, 2, 3, 4]


def test_the_last_three_are_kept_and_the_newest_that_was_committed_is_taken(tmp_path):
    places = Places(tmp_path / "state", LOG)
    assert places.newest(5) is None
    keep(places, 1, 2, 3, 4, 5)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [
        f"place-00000000{n}.safetensors" for n in (3, 4, 5)
    ]
    found = Places(tmp_path / "state", LOG).newest(4)
    assert (found.round, found.batches, found.epoch, found.facts) == (4, 16, 1, {"step": 4})
    assert found.arrays["m"].tolist() == [4.0, 4.0, 4.0]
    # That of round 5, whose model was never committed, is gone: it must not outlive the new round 5.
    assert not (tmp_path / "state" / "place-000000005.safetensors").exists()


@pytest.mark.parametrize("cut", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_is_passed_over_with_a_word(tmp_path, caplog, cut):
    places = Places(tmp_path, LOG)
    keep(places, 1, 2)
    newest = tmp_path / "place-000000002.safetensors"
    os.truncate(newest, int(newest.stat().st_size * cut))
    assert places.newest(9).round == 1
    assert "place-000000002.safetensors cannot be read" in caplog.text


@pytest.mark.parametrize("text", [b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_of_another_form_is_passed_over(tmp_path, text):
    (tmp_path / "place-000000007.safetensors").write_bytes(text)
    assert Places(tmp_path, LOG).newest(9) is None


def test_a_writing_that_still_runs_makes_nobody_wait(tmp_path, monkeypatch):
    go, begun, made = threading.Event(), threading.Event(), []

    def slow(path, arrays, facts):
        begun.set()
        go.wait(10)
        write_arrays(path, arrays, facts)

    monkeypatch.setattr("swarm_lab.callback.place.write_arrays", slow)
    places = Places(tmp_path, LOG)
    for number in (1, 2, 3):
        places.keep(lambda number=number: made.append(number) or place(number))
        begun.wait(10)
    go.set()
    places.close()
    assert made == [1] and places.newest(9).round == 1


def test_what_cannot_be_written_is_said_once_and_ends_nothing(tmp_path, caplog):
    (tmp_path / "state").write_text("a file where a folder should be")
    places = Places(tmp_path / "state", LOG)
    keep(places, 1, 2)
    assert caplog.text.count("is not kept") == 1
    odd = Places(tmp_path / "other", LOG)
    odd.keep(lambda: Place(1, 1, 1, {}, {"f": object()}))
    odd.close()
    assert odd.newest(9) is None


def test_without_a_folder_nothing_is_kept():
    places = Places.at("", LOG)
    places.keep(lambda: pytest.fail("no place is made"))
    places.close()
    assert places.newest(9) is None

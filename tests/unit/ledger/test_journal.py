"""The SN's journal: what it remembers, in which order, and what a crash leaves of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from swarm_lab.errors import JournalDamaged
from swarm_lab.ledger.journal import Entry, Journal

A, B, C = (Entry(f"0x{n:064x}", f"0xf8{n:02x}") for n in (1, 2, 3))


def test_order_is_that_of_the_blocks_not_of_the_relaying(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for entry in (A, B):
        journal.add_relayed(entry)
    journal.add_mined([C, B])
    assert (journal.mined, journal.relayed) == ([C, B], [A])
    journal.add_mined([B, A])
    assert (journal.mined, journal.relayed) == ([C, B, A], [])
    journal.close()
    again = Journal(tmp_path / "journal.jsonl")
    assert (again.mined, again.relayed) == ([C, B, A], [])


def test_what_the_chain_refused_is_not_replayed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add_relayed(A)
    journal.add_refused(A.tx)
    assert journal.relayed == []
    journal.add_relayed(A)
    assert journal.relayed == [A]
    journal.add_mined([A])
    journal.add_refused(A.tx)
    journal.close()
    assert Journal(tmp_path / "journal.jsonl").mined == [A]


def test_a_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add_relayed(A)
    journal.add_relayed(B)
    journal.close()
    path.write_bytes(path.read_bytes()[:-5])
    again = Journal(path)
    assert again.relayed == [A]
    again.add_relayed(C)
    again.close()
    assert Journal(path).relayed == [A, C]


@pytest.mark.parametrize("line", ["{", '{"v":1}', '{"v":1,"mined":"0x01"}', "7", '{"v":2,"relayed":"0x01","raw":"0x"}'])
def test_damage_elsewhere_is_said(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n" + json.dumps({"v": 1, "relayed": A.tx, "raw": A.raw}) + "\n")
    with pytest.raises(JournalDamaged):
        Journal(path)


def test_it_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    Journal(path)
    assert path.stat().st_mode & 0o077 == 0


def test_what_a_full_disk_took_of_a_line_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add_relayed(A)
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            journal.add_relayed(B)
    assert journal.relayed == [A]
    journal.add_relayed(C)
    journal.close()
    assert Journal(tmp_path / "journal.jsonl").relayed == [A, C]

"""The bench's rows from the instants of peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bench import instants, rows


def lines(n: int, rounds: int, mean: float) -> list[dict[str, float]]:
    """Round r is held by peer w at 10 r + w; loopback counts 100 a round and peer."""
    return [
        {"round": r, "who": w, "time": 10.0 * r + w, "value": mean * (r + 1), "loopback": 100.0 * n * r}
        for r in range(rounds)
        for w in range(n)
    ]


def test_a_round_lasts_from_last_holder_to_last_holder() -> None:
    row = rows.fill(rows.Row("x", 25, 2), lines(2, 6, 1.5), -5.0, 2, counted=True)
    assert (row.round_s, row.rounds, row.cold_start_s) == (10.0, 4, 6.0)
    assert (row.bytes_per_node, row.model_sizes_per_node) == (100, 1.0)
    assert row.average_ok


def test_a_round_that_a_peer_lacks_is_none() -> None:
    told = lines(2, 4, 1.5)[:-1]
    assert len(rows.complete(told, 2)) == 3
    assert not rows.finished([*told, {"worst": 0.0}], 2, 4)


def test_a_wrong_average_is_seen() -> None:
    assert not rows.right(lines(2, 3, 1.0), 2)
    assert not rows.right([*lines(2, 3, 1.5), {"worst": 0.5}], 2)


def test_no_round_is_a_note() -> None:
    row = rows.fill(rows.Row("x", 25, 2), [], 0.0, 1, counted=True)
    assert row.round_s is None and row.average_ok is None and row.note


def test_what_peers_write_is_read(tmp_path: Path) -> None:
    told = tmp_path / "told"
    tensors = instants.content(1000)
    assert sum(tensor.size for tensor in tensors) == 1000 and tensors[-1][-1] == 0
    for tensor in tensors:
        np.add(tensor, 1.5, out=tensor)
    instants.held(told, 0, 0, float(tensors[-1][-1]))
    instants.checked(told, tensors, 1, 1.5)
    with told.open("a") as file:
        file.write('{"half": ')
    held, checked = rows.read_lines(told)
    assert (held["value"], checked["worst"]) == (1.5, 0.0)

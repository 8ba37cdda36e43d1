"""Loads: processes with all that they started, each once; what `nvidia-smi` prints, also where it knows nothing."""

from __future__ import annotations

import os
from pathlib import Path

from swarm_lab.facts.process import ProcessRecord, record_of
from swarm_lab.jupyter.server.gpus import Gpus, cards, memory_by_program, shares_by_program
from swarm_lab.jupyter.server.loads import Loads

PMON = """\
# gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command
# Idx           #    C/G      %      %      %      %      %      %    name
    0      41238     C     63     12      -      -      -      -    python
    0      41300     C      -      -      -      -      -      -    python
    1      41238     C     10      1      -      -      -      -    python
"""


def test_this_process_and_a_record_of_one_that_is_gone() -> None:
    mine = record_of(os.getpid())
    later = ProcessRecord(mine.pid, mine.start_time + 60)
    loads = Loads(Gpus("none"))
    loads.sample({("s", "mine"): [mine]})
    sum(number * number for number in range(300_000))
    found = loads.sample({("s", "mine"): [mine, mine], ("s", "later"): [later], ("s", "none"): []})
    assert found["s", "mine"].cpu > 0 and found["s", "mine"].memory > 10 << 20
    assert (found["s", "later"].cpu, found["s", "later"].memory) == (0, 0)
    assert found["s", "none"].gpu is None and found["s", "none"].gpu_memory is None


def test_the_host_is_told_although_no_swarm_was_made_yet(tmp_path: Path) -> None:
    host = Loads(Gpus("none")).host(tmp_path / "not" / "there")
    assert host.cpus >= 1 and 0 < host.memory_used < host.memory and host.disk_free > 0 and host.gpus == []


def test_cards_and_programs_as_nvidia_smi_prints_them() -> None:
    first, second = cards("0, NVIDIA H100 80GB HBM3, 81559, 1024, 37\n1, NVIDIA H100 80GB HBM3, 81559, 0, [N/A]\n")
    assert (first.index, first.memory, first.memory_used, first.load) == (0, 81559 << 20, 1 << 30, 37.0)
    assert (second.index, second.load) == (1, None)
    assert memory_by_program("41238, 512\n41238, 512\n41300, [N/A]\n") == {41238: 1 << 30}
    assert shares_by_program(PMON) == {41238: 73.0}
    for broken in ("", "No devices were found\n", "NVIDIA-SMI has failed, because, of, a, driver\n"):
        assert (cards(broken), memory_by_program(broken), shares_by_program(broken)) == ([], {}, {})


def test_a_command_that_does_not_answer_leaves_no_figures(tmp_path: Path) -> None:
    gpus = Gpus(str(tmp_path / "no-such-command"))
    gpus.ask()
    assert gpus.all() == [] and gpus.of({1, 2}) == (None, None)

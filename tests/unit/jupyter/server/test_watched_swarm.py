"""A swarm watched from its files: facts once each, a page from anywhere, folders that lack a file."""

from __future__ import annotations

import json
import os
import time

import pytest
from support.paper import Paper

from swarm_lab.errors import NoSuchNode, NoSuchSwarm, NoSuchTraining
from swarm_lab.jupyter.server.details import node_detail
from swarm_lab.jupyter.server.gpus import Gpus
from swarm_lab.jupyter.server.swarms import Swarms
from swarm_lab.jupyter.server.tail import FactTail
from swarm_lab.jupyter.server.watch import SwarmWatch


def watched(paper: Paper) -> SwarmWatch:
    watch = SwarmWatch(paper.paths)
    watch.poll()
    return watch


def test_facts_are_read_once_and_pages_begin_anywhere() -> None:
    paper = Paper("demo")
    tail = FactTail(paper.paths.events)
    with paper.paths.events.open("a") as file:
        for number in range(2, 1502):
            file.write(json.dumps({"v": 1, "seq": number, "time": 1.0, "event": "node_state"}) + "\n")
    assert [fact["seq"] for fact in tail.poll()] == list(range(1, 1502))
    assert tail.poll() == []
    paper.log.append("swarm_down")
    with paper.paths.events.open("ab") as file:
        file.write(b'{"v":1,"seq":1503,')  # its writer is in the middle of it
    assert [fact["event"] for fact in tail.poll()] == ["swarm_down"]
    for since in (0, 1, 255, 256, 1000, 1501):
        page = tail.page(since, limit=300)
        assert [fact["seq"] for fact in page] == list(range(since + 1, min(since + 301, 1503)))
    assert tail.page(1502) == [] and tail.page(9999) == []


def test_a_swarm_made_anew_under_its_name_begins_anew() -> None:
    paper = Paper("demo")
    paper.trains(rounds=20)
    watch = watched(paper)
    assert watch.training("t-1").round == 20
    paper.paths.events.unlink()
    paper.log.append("swarm_up", nodes=[])
    watch.poll()
    assert watch.tail.last == 1 or watch.tail.rewound == 1
    with pytest.raises(NoSuchTraining):
        watch.training("t-1")


def test_what_was_there_is_not_news_and_what_comes_is_told_once() -> None:
    paper = Paper("demo")
    watch = watched(paper)
    assert watch.take() == []
    paper.log.append("swarm_down")
    watch.poll()
    watch.poll()
    assert [fact["event"] for fact in watch.take()] == ["swarm_down"]
    assert watch.take() == []


def test_what_a_node_says_is_shown_without_a_fact() -> None:
    paper = Paper("demo")
    watch = watched(paper)
    watch.observer.look()
    before = watch.info()
    watch.observer.look()
    assert watch.info() is before
    paper.says("license", "ready", license_file={"seats": {"sl": {"limit": 100}}})
    paper.says("sl-1", "ready", expires=12.5, account="0xab", sn="sentinel", license="ok")
    watch.observer.look()
    assert watch.info() is not before
    detail = node_detail(watch, "sl-1")
    assert (detail.expires, detail.ledger.account, detail.ledger.enrolled) == (12.5, "0xab", True)
    assert detail.lease is not None and (detail.lease.seat, detail.lease.seats) == (1, 100)
    with pytest.raises(NoSuchNode):
        node_detail(watch, "sl-9")


@pytest.mark.parametrize(
    ("break_it", "word"),
    [
        (lambda paths: paths.swarm.unlink(), "missing"),
        (lambda paths: paths.swarm.write_text("{"), "version None"),
        (lambda paths: paths.swarm.write_text(json.dumps({"version": 7})), "version 7"),
        (lambda paths: (paths.swarm.unlink(), paths.swarm.mkdir()), "cannot be read"),
    ],
)
def test_a_folder_that_lacks_a_file_says_so_and_hurts_no_other(break_it, word) -> None:
    Paper("fine")
    broken = Paper("broken")
    break_it(broken.paths)
    os.utime(broken.paths.root, (time.time() - 60,) * 2)
    found = {info.swarm: info for info in Swarms(Gpus("none")).fresh()}
    assert set(found) == {"fine", "broken"}
    assert found["fine"].error is None
    error = found["broken"].error
    assert found["broken"].state == "failed" and error is not None
    assert word in error.message and error.code in ("SWL-131", "SWL-121")


def test_a_folder_that_is_being_made_or_removed_is_no_swarm_yet() -> None:
    paper = Paper("demo")
    paper.paths.swarm.unlink()
    swarms = Swarms(Gpus("none"))
    assert swarms.fresh() == []
    with pytest.raises(NoSuchSwarm):
        swarms.watch("demo")


def test_a_run_like_one_that_has_finished_tells_how_much_is_left() -> None:
    paper = Paper("demo")
    paper.trains("t-1", rounds=10, ends=True)
    paper.trains("t-2", rounds=4)
    paper.trains("t-3", rounds=4, digest="ff" * 32)
    first, second, third = watched(paper).info().trainings
    assert (first.state, first.rounds_planned) == ("finished", None)
    assert (second.rounds_planned, second.eta_s, second.round_seconds) == (10, 12.0, 2.0)
    assert (third.rounds_planned, third.eta_s, third.loss) == (None, None, pytest.approx(0.25))

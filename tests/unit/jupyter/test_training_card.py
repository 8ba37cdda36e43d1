"""What the output of a training shows: states, numbers, failures; as HTML and as text."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from swarm_lab.facts.views import TrainingView, fold
from swarm_lab.jupyter.card import card, duration, style
from swarm_lab.jupyter.chart import MAX_POINTS, Line, line_chart, nice_ticks, thin
from swarm_lab.jupyter.picture import clean_trace, picture
from swarm_lab.jupyter.text import plain

TRACE = (
    'Traceback (most recent call last):\n  File "/tmp/x/{}/trainings/t-1/program/cell-3.py", line 6, in <module>\n'
    "    step(x)\nValueError: 3 channels\n"
)


def view(*events: dict[str, Any], nodes: int = 3) -> TrainingView:
    names = [f"sl-{number + 1}" for number in range(nodes)]
    created = {"event": "training_created", "nodes": names, "sync": 10, "min_peers": 2, "time": 100.0}
    numbered = enumerate([created, *events], 1)
    return fold({"v": 1, "seq": seq, "time": 101.0, "training": "t-1", **event} for seq, event in numbered)["t-1"]


def committed(number: int, **loss: float) -> dict[str, Any]:
    metrics = {node.replace("_", "-"): {"loss": value, "metric": 1 - value} for node, value in loss.items()}
    return {"event": "round", "round": number, "nodes": list(metrics), "digest": "ab" * 32, "metrics": metrics}


def failed(node: str) -> dict[str, Any]:
    trace = TRACE.format(node)
    return {
        "event": "node_failed",
        "node": node,
        "code": "SWL-601",
        "message": "ValueError",
        "traceback": trace,
        "line": 6,
    }


def states(found: TrainingView) -> list[str]:
    return [row.state for row in picture(found, "demo", 105.0).rows]


def test_states_of_nodes() -> None:
    assert states(view()) == ["queued"] * 3
    assert states(view({"event": "training_started", "node": "sl-1"})) == ["starting"] * 3
    wait = {"event": "waiting", "node": "sl-2", "phase": "EXCHANGING", "reason": "", "nodes": []}
    left = {**committed(1, sl_1=0.5, sl_2=0.4), "left_out": {"sl-3": "not heard"}}
    found = view(left, wait, {"event": "progress", "node": "sl-1", "round": 1, "batches": 12, "loss": 1.0})
    assert states(found) == ["training", "exchanging", "dropped"]
    assert picture(found, "demo", 0).rows[2].note == "left out of round 1: not heard"
    ended = {"event": "node_finished", "node": "sl-1", "digest": "ab", "model": "m"}
    assert states(view(ended, failed("sl-2"))) == ["finished", "failed", "queued"]


def test_numbers_are_the_last_known_ones() -> None:
    shot = picture(view(committed(1, sl_1=0.5, sl_2=0.7), committed(2, sl_1=0.3)), "demo", 105.0)
    assert [row.loss for row in shot.rows] == [0.3, 0.7, None]
    assert shot.losses["sl-1"] == [(0.0, 0.5), (1.0, 0.3)], "round 2 tells the loss of the model that round 1 made"
    assert shot.seconds == 5.0


def test_share_of_the_round_under_way() -> None:
    done = [{"event": "progress", "node": f"sl-{n}", "round": 1, "batches": n * 5, "loss": None} for n in (1, 2)]
    assert picture(view(*done), "demo", 0).share == pytest.approx(0.75)


def test_batches_that_were_merged_count_for_the_round_before() -> None:
    merged = committed(1, sl_1=0.5)
    merged["metrics"]["sl-1"]["batches"] = 10
    told = {"event": "progress", "node": "sl-1", "round": 2, "batches": 4, "loss": None}
    late, now = (picture(view(merged, {**told, "batches": batches}), "demo", 0) for batches in (4, 13))
    assert (late.rows[0].batches, late.share) == (10, 0.0)
    assert (now.rows[0].batches, now.share) == (13, pytest.approx(0.3))
    assert now.rows[1].batches is None


def test_one_failure_of_many_nodes_is_told_once() -> None:
    shot = picture(view(failed("sl-2"), failed("sl-1")), "demo", 105.0)
    (failure,) = shot.failures
    assert (failure.nodes, failure.place) == (("sl-1", "sl-2"), "cell 3, line 6")
    assert 'File "cell 3", line 6' in failure.traceback and "/tmp" not in failure.traceback
    for text in (card(shot), plain(shot)):
        assert text.count("ValueError: 3 channels") == 1
        assert "The program failed on sl-1, sl-2" in text.replace("<b>", "")


def test_what_comes_from_nodes_is_escaped() -> None:
    evil = {**failed("sl-1"), "message": "<script>alert(1)</script>", "traceback": "<script>alert(2)</script>"}
    shot = picture(view(evil), "<b>swarm", 105.0, output=[("sl-1", "<img src=x>")], note="<i>")
    found = card(shot)
    assert "<script>" not in found and "<img" not in found and "<b>swarm" not in found and "<i>" not in found


def test_the_style_of_an_output_touches_nothing_else_on_the_page() -> None:
    rules = re.sub(r"/\*.*?\*/|@container[^{]*\{", "", style(), flags=re.S).removeprefix("<style>")
    selectors = [one for found in re.findall(r"([^{}]+)\{", rules) for one in re.split(r",(?![^(]*\))", found)]
    assert len(selectors) > 40
    assert [one for one in selectors if ".swl-Output" not in one] == []


def test_card_is_well_formed_and_speaks() -> None:
    rounds = [committed(number, sl_1=1 / number, sl_2=2 / number) for number in range(1, 5)]
    body = card(picture(view(*rounds), "demo", 105.0)).partition("</style>")[2]
    section = ET.fromstring(body.replace("&#x27;", "'"))
    assert section.get("aria-label") == "Training t-1"
    assert "mean 0.375 in round 3" in (section.find(".//figure/svg").get("aria-label") or "")
    assert section.find(".//*[@role='progressbar']").get("aria-label") == "Round 5"
    assert "polyline" in body and "<script" not in body


def test_one_line_for_the_local_models_beside_the_merged_one() -> None:
    rounds = [committed(number, sl_1=1 / number, sl_2=2 / number) for number in range(1, 5)]
    for done in rounds:
        for said in done["metrics"].values():
            said["local_loss"] = said["loss"] * 0.8
    body = card(picture(view(*rounds), "demo", 105.0)).partition("</style>")[2]
    loss, metric = ET.fromstring(body.replace("&#x27;", "'")).findall(".//figure")
    assert "mean 0.375 merged, 0.300 before the merge, on the nodes' own" in "".join(loss.itertext())
    assert "before the merge 0.300 in round 4" in (loss.find("svg").get("aria-label") or "")
    assert [line.get("class") for line in loss.iter("polyline")] == ["line", "line", "line is-mean", "line is-local"]
    assert [line.get("class") for line in metric.iter("polyline")] == ["line", "line", "line is-mean"]


def test_the_share_counts_to_the_interval_that_the_last_round_set() -> None:
    done = {**committed(1, sl_1=0.5), "interval": 40}
    told = {"event": "progress", "node": "sl-1", "round": 2, "batches": 10, "loss": 1.0}
    assert picture(view(done, told), "demo", 0).share == pytest.approx(0.25)


def test_text_has_a_line_a_node() -> None:
    text = plain(picture(view(committed(1, sl_1=0.5)), "demo", 105.0, note="Detached."))
    assert text.splitlines()[0] == "Training t-1 on demo: running, round 1, 3 of 3 nodes, 5.0 s"
    assert "sl-1  training 4 s      loss   0.500  metric  0.500" in text
    assert text.endswith("Detached.")


def test_files_of_a_traceback_lose_their_folders() -> None:
    assert clean_trace('  File "/a b/nodes/sl-1/helper.py", line 2') == '  File "helper.py", line 2'


@pytest.mark.parametrize(("low", "high"), [(0.1, 2.3), (0.94, 0.97), (5, 5), (0, 0), (-3, 1200), (1e-9, 2e-9)])
def test_ticks_hold_the_values_and_are_few(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12 and ticks[-1] >= high - 1e-12
    assert 2 <= len(ticks) <= 6


def test_long_lines_are_thinned_with_their_ends() -> None:
    points = [(float(x), 0.0) for x in range(5000)]
    found = thin(points)
    assert len(found) == MAX_POINTS and found[0] == points[0] and found[-1] == points[-1]


def test_names_of_lines_do_not_lie_over_each_other() -> None:
    lines = [Line(f"sl-{n}", [(1.0, 1.0), (2.0, 1.0 + n / 1000)], n) for n in range(6)]
    svg = ET.fromstring(line_chart(lines, "loss"))
    heights = sorted(float(text.get("y")) for text in svg.findall("text") if (text.text or "").startswith("sl-"))
    assert all(after - before >= 12 for before, after in itertools.pairwise(heights))
    assert heights[-1] < 128


@pytest.mark.parametrize(("seconds", "words"), [(0.42, "0.4 s"), (12.3, "12 s"), (150, "2 min"), (7200, "2.0 h")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words

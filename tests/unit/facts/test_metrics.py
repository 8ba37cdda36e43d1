"""Metrics: each node's numbers in its own file, and one page for the swarm that Prometheus' own parser reads."""

import asyncio
import os

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from swarm_lab.facts import metrics


def node(swarm, name, rounds):
    directory = swarm / "nodes" / name
    directory.mkdir(parents=True)
    registry = CollectorRegistry()
    Counter("swarm_lab_rounds", "Committed rounds", ["training"], registry=registry).labels("t-1").inc(rounds)
    Histogram("swarm_lab_round_seconds", "Time", buckets=(1, 2), registry=registry).observe(1.5)
    metrics.write(directory, registry)
    return directory / metrics.FILE


def samples(text):
    return {
        (s.name, s.labels.get("node"), s.labels.get("le")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


@pytest.fixture
def swarm(tmp_path):
    return tmp_path / "demo"


def test_page_of_a_swarm(swarm):
    node(swarm, "sl-1", 3)
    node(swarm, "sl-2", 4)
    text = metrics.exposition(swarm)
    found = samples(text)
    assert found["swarm_lab_rounds_total", "sl-1", None] == 3
    assert found["swarm_lab_rounds_total", "sl-2", None] == 4
    assert found["swarm_lab_round_seconds_bucket", "sl-1", "1.0"] == 0
    assert found["swarm_lab_round_seconds_bucket", "sl-2", "2.0"] == 1
    assert text.count("# TYPE swarm_lab_round_seconds histogram") == 1
    assert text.count("# TYPE swarm_lab_rounds_total counter") == 1
    assert 'swarm="demo"' in text
    assert 'training="t-1"' in text


def test_numbers_of_a_dead_node_are_left_out(swarm):
    path = node(swarm, "sl-1", 3)
    node(swarm, "sl-2", 4)
    os.utime(path, (1000, 1000))
    found = samples(metrics.exposition(swarm, now=path.stat().st_mtime + 90))
    assert found["swarm_lab_node_metrics_age_seconds", "sl-1", None] == 90
    assert ("swarm_lab_rounds_total", "sl-1", None) not in found
    assert ("swarm_lab_rounds_total", "sl-2", None) in found


def test_a_damaged_file_spoils_nobody_elses(swarm):
    node(swarm, "sl-1", 3).write_text("{{{ nonsense\n")
    node(swarm, "sl-2", 3).write_bytes(b"\xff\xfe")
    node(swarm, "sl-3", 5)
    assert samples(metrics.exposition(swarm))["swarm_lab_rounds_total", "sl-3", None] == 5


def test_swarm_without_nodes(swarm):
    assert "swarm_lab_rounds" not in metrics.exposition(swarm)


def test_a_nodes_own_numbers(tmp_path):
    metrics.waits.labels("exchange").inc()
    metrics.write(tmp_path)
    found = samples((tmp_path / metrics.FILE).read_text())
    assert found["swarm_lab_waits_total", None, None] >= 1
    assert ("process_resident_memory_bytes", None, None) in found or not os.path.exists("/proc")
    assert not any("created" in name for name, _, _ in found)


async def test_writes_until_cancelled_and_over_a_failure(tmp_path, caplog):
    missing = tmp_path / "node"
    writing = asyncio.create_task(metrics.keep_writing(missing, every_s=0.001))
    async with asyncio.timeout(10):
        while not caplog.records:
            await asyncio.sleep(0.001)
        missing.mkdir()
        while not (missing / metrics.FILE).exists():
            await asyncio.sleep(0.001)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert len(caplog.records) == 1

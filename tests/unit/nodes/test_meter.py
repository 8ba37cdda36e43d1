"""What a training adds to the node's numbers."""

from swarm_lab.facts import metrics
from swarm_lab.nodes.meter import Meter


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_phases_are_timed_from_one_to_the_next() -> None:
    clock = Clock()
    meter = Meter("t-meter", clock)
    before = value("swarm_lab_phase_seconds_sum", phase="planned")
    for phase, seconds in (("planned", 2.0), ("planned", 1.0), ("training", 5.0)):
        meter.phase(phase)
        clock.now += seconds
    assert value("swarm_lab_phase_seconds_sum", phase="planned") - before == 3.0
    assert value("swarm_lab_phase_seconds_sum", phase="training") == 0.0  # not over yet


def test_rounds_count_where_the_node_took_part_and_are_timed_from_the_second_on() -> None:
    clock = Clock()
    meter = Meter("t-meter", clock)
    rounds, seconds = value("swarm_lab_rounds_total"), value("swarm_lab_round_seconds_count")
    meter.round(1, took_part=True)
    clock.now += 4
    meter.round(2, took_part=False)
    assert value("swarm_lab_rounds_total") - rounds == 1
    assert value("swarm_lab_round_seconds_count") - seconds == 1
    assert value("swarm_lab_round", training="t-meter") == 2


def test_batches_of_a_program_that_was_started_again_are_added() -> None:
    meter = Meter("t-meter")
    before = value("swarm_lab_batches_total")
    for done in (3, 10, 10, 2):
        meter.batches(done)
    assert value("swarm_lab_batches_total") - before == 12


def test_waits_end_with_the_next_or_when_it_goes_on() -> None:
    clock = Clock()
    meter = Meter("t-meter", clock)
    meter.goes_on()
    for reason in ("members", "members", "ledger"):
        meter.waits(reason)
        clock.now += 1
    meter.goes_on()
    assert value("swarm_lab_waits_total", phase="members") == 1
    assert value("swarm_lab_wait_seconds_total", phase="members") == 2
    assert value("swarm_lab_wait_seconds_total", phase="ledger") == 1

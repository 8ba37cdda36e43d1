"""When a session comes to a sync point, in which order it loads and judges, and which calls it refuses."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from swarm_lab.callback import link as links
from swarm_lab.callback.errors import (
    CallOrderError,
    LinkError,
    NodeGoneError,
    NoNodeError,
    RefusedByNodeError,
    WrongCallerError,
)
from swarm_lab.callback.messages import (
    AT_HELD,
    AT_HOLD,
    HEADER,
    PAGE,
    PROTOCOL,
    Bye,
    Evaluated,
    Refused,
    Release,
    Sync,
    TensorSpec,
    Welcome,
)
from swarm_lab.callback.session import FINAL_LINE, Phase, Session


class Numbers:
    """A model of four bytes; what it did is in `calls`."""

    platform = "torch"

    def __init__(self) -> None:
        self.value = b"\0\0\0\0"
        self.calls: list[str] = []

    def layout(self):
        return (TensorSpec("w", "U8", (4,)),)

    def store(self, views):
        self.calls.append("store")
        views[0][:] = self.value

    def load(self, views):
        self.calls.append("load")
        self.value = bytes(views[0])

    def evaluate(self):
        self.calls.append("evaluate")
        return float(self.value[0]), float("nan")


class Script:
    """Stands for the link: answers come from a list, the model is made of the round's number."""

    is_mine = True
    greeted = False

    def __init__(self, *answers, interval=3) -> None:
        self.sent: list = []
        self.up = True
        self.checked = 0
        self.contributions: list[bytes] = []
        self._memory = os.memfd_create("test")
        os.ftruncate(self._memory, HEADER + 2 * PAGE)
        self._answers = [Welcome(PROTOCOL, interval, PAGE, (0,)), *answers]

    def send(self, message):
        self.sent.append(message)
        if isinstance(message, Sync):
            self.contributions.append(os.pread(self._memory, 4, HEADER))

    def receive(self):
        answer = self._answers.pop(0)
        if isinstance(answer, Release) and answer.model:
            os.pwrite(self._memory, bytes([answer.round] * 4), HEADER + PAGE)
        return answer

    def take_descriptor(self):
        return os.dup(self._memory)

    def alive(self):
        return self.up

    def check(self):
        self.checked += 1
        os.pwrite(self._memory, b"\0", AT_HOLD)  # the node has made room

    def attend(self, wanted: bool):
        os.pwrite(self._memory, bytes([wanted]), 0)

    @property
    def syncs(self):
        return [(m.reason, m.batches) for m in self.sent if isinstance(m, Sync)]


@pytest.fixture
def begun(monkeypatch):
    """begun(*answers) -> (session, model, script), after on_train_begin."""

    def begin(*answers, interval=3):
        script = Script(*answers, interval=interval)
        monkeypatch.setattr(links._Present, "link", script)
        model = Numbers()
        session = Session(model, {"sync_frequency": interval}, logging.getLogger("test"), {})
        session.begin()
        return session, model, script

    return begin


GO = Release(model=False)


def test_syncs_at_n_2n_and_3n(begun):
    session, _, script = begun(GO, GO, GO, GO)
    for _ in range(10):
        session.batch()
    assert script.syncs == [("begin", 0), ("interval", 3), ("interval", 6), ("interval", 9)]


def test_a_contribution_that_the_node_still_needs_is_not_written_over(begun):
    session, _, script = begun(GO, GO)
    os.pwrite(script._memory, b"\1", AT_HOLD)
    for _ in range(3):
        session.batch()
    assert script.checked == 1  # it waited, and asked whether the node is there
    assert os.pread(script._memory, 1, AT_HELD) == b"\0"
    assert script.syncs == [("begin", 0), ("interval", 3)]


def test_the_node_sets_the_next_interval(begun):
    session, _, script = begun(GO, Release(model=False, interval=5), Release(model=False, interval=1), GO)
    for _ in range(9):
        session.batch()
    assert script.syncs == [("begin", 0), ("interval", 3), ("interval", 8), ("interval", 9)]


def test_several_steps_at_once_keep_the_multiples(begun):
    session, _, script = begun(GO, GO, GO, interval=4)
    for _ in range(3):
        session.batch(3)
    assert script.syncs == [("begin", 0), ("interval", 6), ("interval", 9)]


def test_attention_syncs_after_the_batch_and_counting_goes_on(begun):
    session, model, script = begun(GO, Release(model=True, round=7), GO)
    session.batch()
    script.attend(True)
    session.batch()
    assert model.value == b"\7\7\7\7"
    script.attend(False)
    session.batch()
    assert script.syncs == [("begin", 0), ("attention", 2), ("interval", 3)]


def test_a_merged_model_is_loaded_then_judged_and_its_score_goes_with_the_next_sync(begun):
    session, model, script = begun(Release(model=True, round=1), Release(model=True, round=2), GO)
    for _ in range(6):
        session.batch()
    assert model.calls == ["store", "load", "evaluate", *["store", "evaluate", "load", "evaluate"], "store", "evaluate"]
    scores = [(m.loss, m.metric) for m in script.sent if isinstance(m, Sync)]
    assert scores == [(None, None), (1.0, None), (2.0, None)]
    local = [m.local_loss for m in script.sent if isinstance(m, Sync)]
    assert local == [None, 1.0, 2.0]


def test_the_end_waits_for_the_swarm_and_keeps_the_frozen_contribution(begun, caplog):
    caplog.set_level(logging.INFO)
    final = Release(model=True, round=9, finished=True)
    session, model, script = begun(Release(model=True, round=1), Release(model=True, round=2), GO, final)
    session.batch()
    model.value = b"mine"
    session.end()
    assert script.syncs == [("begin", 0), ("end", 1), ("end", 1), ("end", 1)]
    assert script.contributions[1:] == [b"mine"] * 3
    assert [m.fresh for m in script.sent if isinstance(m, Sync)] == [True, True, False, False]
    assert model.value == b"\t\t\t\t"
    assert script.sent[-2:] == [Evaluated(9.0, None), Bye()]
    assert caplog.messages[-1] == FINAL_LINE


def test_a_stop_ends_the_loop_with_a_closing_sync_and_the_swarms_model(begun):
    final = Release(model=True, round=9, finished=True)
    session, model, script = begun(GO, Release(model=False, stop=True), final)
    for _ in range(3):
        session.batch()
    assert session.stop_training and session.phase is Phase.OVER
    assert script.syncs == [("begin", 0), ("interval", 3), ("end", 3)]
    model.value = b"on!!"  # a loop that does not look at stop_training
    session.batch()
    session.epoch()
    session.end()
    assert model.value == b"\t\t\t\t"
    assert session.batches == 3
    assert script.syncs[-1] == ("end", 3)


def test_a_late_joiner_of_a_finished_swarm_has_its_model_and_does_not_train(begun):
    session, model, script = begun(Release(model=True, round=9, finished=True))
    assert session.stop_training and model.value == b"\t\t\t\t"
    session.end()
    assert script.syncs == [("begin", 0)]


def test_calls_in_a_wrong_order_say_which(begun):
    session = Session(Numbers(), {}, logging.getLogger("test"), {"SWARM_LINK": "/nobody"})
    for call in (session.batch, session.epoch, session.end):
        with pytest.raises(CallOrderError, match="before on_train_begin"):
            call()
    session, _, _ = begun(GO, Release(model=True, finished=True))
    with pytest.raises(CallOrderError, match="second time"):
        session.begin()
    session.end()
    for call in (session.batch, session.epoch, session.end):
        with pytest.raises(CallOrderError, match="after on_train_end"):
            call()
    with pytest.raises(CallOrderError):
        session.begin()


def test_another_thread_is_refused(begun):
    session, _, _ = begun(GO)
    caught = []

    def other():
        for call in (session.batch, session.epoch, session.end):
            try:
                call()
            except WrongCallerError as error:
                caught.append(error.message)

    thread = threading.Thread(target=other, name="loader")
    thread.start()
    thread.join(10)
    assert len(caught) == 3 and "'loader'" in caught[0]


def test_a_node_that_refuses_or_answers_nonsense(begun):
    with pytest.raises(RefusedByNodeError, match=r"min_peers 5 .* \(SWL-777\)") as refused:
        begun(Refused("SWL-777", "min_peers 5 on sl-1, 2 here", "agree"))
    assert refused.value.next_step == "agree"
    with pytest.raises(LinkError, match="welcome"):
        begun(Welcome(PROTOCOL, 3, PAGE, (0,)))


def test_another_protocol_version_is_named(monkeypatch):
    script = Script()
    script._answers = [Welcome(99, 3, PAGE, (0,))]
    monkeypatch.setattr(links._Present, "link", script)
    with pytest.raises(LinkError, match=f"version {PROTOCOL}, its node version 99"):
        Session(Numbers(), {}, logging.getLogger("test"), {}).begin()


def test_a_node_that_is_gone_is_noticed_between_syncs(begun, monkeypatch):
    session, _, script = begun(GO, interval=1000)
    session.batch()
    script.up = False
    session._looked -= 2
    with pytest.raises(NodeGoneError):
        session.batch()


def test_without_a_node_and_in_loopback(caplog):
    with pytest.raises(NoNodeError, match="SWARM_LINK") as missing:
        Session(Numbers(), {}, logging.getLogger("test"), {})
    assert "swarm-lab train" in missing.value.next_step and "SWARM_LOOPBACK" in missing.value.next_step
    caplog.set_level(logging.INFO)
    model = Numbers()
    session = Session(model, {}, logging.getLogger("test"), {"SWARM_LOOPBACK": "True"})
    session.begin()
    for _ in range(5):
        session.batch()
    session.epoch()
    session.end()
    assert model.calls == [] and session.batches == 5 and session.epochs == 1

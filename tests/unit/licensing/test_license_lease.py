"""A node's lease with time in hand: waiting, renewal, grace, expiry, refusal and recovery, without sleeping."""

import asyncio

import pytest

from swarm_lab.errors import (
    ClockMovedBack,
    LeaseUnknown,
    LicenseExpired,
    LicenseServerLost,
    NoSeat,
    SwarmLabError,
)
from swarm_lab.licensing.client import LicenseLease, Unanswered
from swarm_lab.licensing.desk import Grant

LIFE = 120.0


class Time:
    """A clock that only sleeping moves; a sleep ends where the test says."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []
        self._gate = asyncio.Event()

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await self._gate.wait()
        self._gate.clear()
        self.now += seconds

    async def wake(self, times=1):
        """Let that many sleeps end, and what follows each run to its next sleep."""
        for _ in range(times):
            before = len(self.slept)
            self._gate.set()
            while len(self.slept) == before:
                await asyncio.sleep(0)


class Desk:
    """A license node that answers as told."""

    def __init__(self, answer=None):
        self.answer = answer
        self.calls = []
        self.left = None

    def _reply(self, call):
        self.calls.append(call)
        answer = self.answer
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else None
        if isinstance(answer, Exception):
            raise answer
        return Grant(f"lease-{len(self.calls)}", LIFE, "L", self.left, ("trainings",))

    async def acquire(self):
        return self._reply("acquire")

    async def renew(self, lease_id):
        return self._reply("renew")

    async def release(self, lease_id):
        self._reply("release")


class Case:
    def __init__(self, answer=None):
        self.time = Time()
        self.desk = Desk(answer)
        self.waits, self.words = [], []
        self.lease = LicenseLease(
            self.desk,
            on_wait=self.waits.append,
            on_change=self.words.append,
            monotonic=self.time,
            sleep=self.time.sleep,
        )

    async def started(self):
        await self.lease.start()
        await asyncio.sleep(0)
        return self


@pytest.fixture
async def case():
    found = Case()
    yield found
    await found.lease.close()


async def test_takes_renews_and_gives_back(case):
    await case.started()
    assert case.lease.state() == {"license": "ok", "seconds_left": None}
    assert case.lease.features == ("trainings",)
    await case.time.wake(3)
    assert case.time.slept == [LIFE / 3] * 4
    await case.lease.close()
    assert case.desk.calls == ["acquire", "renew", "renew", "renew", "release"]


async def test_waits_for_the_license_node_and_says_so(case):
    case.desk.answer = [Unanswered("connection refused")] * 3
    starting = asyncio.create_task(case.lease.start())
    while not case.time.slept:
        await asyncio.sleep(0)
    assert case.lease.state() == {"license": "none", "seconds_left": None}
    assert not case.lease.allows_new_training()
    await case.time.wake(3)
    await starting
    assert case.waits == ["waiting for the license node: connection refused"]
    assert case.lease.state()["license"] == "ok"


async def test_waiting_has_a_limit(case):
    case.desk.answer = Unanswered("connection refused")
    starting = asyncio.create_task(case.lease.start(limit_s=1.0))
    while not case.time.slept:
        await asyncio.sleep(0)
    await case.time.wake()
    case.time._gate.set()
    with pytest.raises(LicenseServerLost, match="connection refused"):
        await starting


@pytest.mark.parametrize("refusal", [NoSeat("4 of 4"), LicenseExpired("over"), ClockMovedBack("back")])
async def test_a_refusal_at_the_start_is_raised_at_once(case, refusal):
    case.desk.answer = refusal
    with pytest.raises(type(refusal)):
        await case.lease.start()
    assert case.time.slept == []


async def test_grace_counts_down_and_ends(case):
    await case.started()
    case.desk.answer = Unanswered("gone")
    await case.time.wake()
    assert case.lease.state() == {"license": "grace", "seconds_left": 1800}
    await case.time.wake(2)
    assert case.lease.state() == {"license": "grace", "seconds_left": 1790}
    assert case.lease.allows_new_training()
    assert not case.lease.must_end()
    case.time.now += 1789
    assert case.lease.state() == {"license": "grace", "seconds_left": 1}
    case.time.now += 1
    assert case.lease.state() == {"license": "lost", "seconds_left": 0}
    assert not case.lease.allows_new_training()
    assert case.lease.must_end()
    with pytest.raises(LicenseServerLost):
        case.lease.require()


async def test_license_node_comes_back(case):
    await case.started()
    case.desk.answer = Unanswered("gone")
    await case.time.wake(2)
    case.desk.answer = None
    await case.time.wake()
    assert case.words == ["ok", "grace", "ok"]
    case.desk.answer = Unanswered("gone")
    await case.time.wake()
    assert case.lease.state()["seconds_left"] == 1800  # counted anew


async def test_it_comes_back_after_the_grace_too(case):
    await case.started()
    case.desk.answer = Unanswered("gone")
    await case.time.wake()
    case.time.now += 5000
    await case.time.wake()
    case.desk.answer = None
    await case.time.wake()
    assert case.words == ["ok", "grace", "lost", "ok"]
    assert case.lease.allows_new_training()


async def test_a_forgotten_lease_is_taken_anew(case):
    await case.started()
    case.desk.answer = [LeaseUnknown("who?"), None]
    await case.time.wake()
    assert case.desk.calls == ["acquire", "renew", "acquire"]
    assert case.lease.state()["license"] == "ok"


@pytest.mark.parametrize(
    ("refusal", "word"),
    [(LicenseExpired("over"), "expired"), (ClockMovedBack("back"), "refused"), (NoSeat("taken"), "refused")],
)
async def test_refused_renewal_ends_trainings_until_it_is_put_right(case, refusal: SwarmLabError, word):
    await case.started()
    case.desk.answer = refusal
    await case.time.wake()
    assert case.lease.state() == {"license": word, "seconds_left": None}
    assert case.lease.must_end()
    with pytest.raises(type(refusal)):
        case.lease.require()
    case.desk.answer = None
    await case.time.wake()
    assert case.lease.allows_new_training()


async def test_license_ends_while_the_license_node_is_away(case):
    case.desk.left = 300.0
    await case.started()
    case.desk.answer = Unanswered("gone")
    await case.time.wake()
    case.time.now = 1299.0
    assert case.lease.state()["license"] == "grace"
    case.time.now = 1300.0
    assert case.lease.state()["license"] == "expired"
    assert case.lease.must_end()


async def test_a_node_that_was_stopped_for_long_is_in_grace(case):
    await case.started()
    case.time.now += LIFE + 10  # no answer and no failure either: the process was asleep
    assert case.lease.state() == {"license": "grace", "seconds_left": 1790}


async def test_closing_without_the_license_node():
    case = await Case().started()
    case.desk.answer = Unanswered("gone")
    await case.lease.close()
    assert case.desk.calls == ["acquire", "release"]

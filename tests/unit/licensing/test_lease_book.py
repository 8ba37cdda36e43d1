"""Leases: seats are counted rightly over restarts, processes and clocks that move."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from swarm_lab.errors import ClockMovedBack, LeaseUnknown, LicenseExpired, LicenseTampered, NoSeat
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.licensing import check_seats
from swarm_lab.licensing.desk import LicenseDesk, release_seats
from swarm_lab.licensing.leases import LeaseBook
from swarm_lab.licensing.store import LicenseStore


class Clock:
    def __init__(self, now=10_000.0):
        self.now = now

    def __call__(self):
        return self.now


def node(name, role="sl", domain="demo.swarm"):
    return SpiffeId(domain, role, name)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(tmp_path, clock):
    return desk_with(tmp_path, clock, {"sl": 2, "sn": 1})


def desk_with(root, clock, seats, expires=None):
    store = LicenseStore(root / "license")
    store.install(store.issue(holder="x", seats=seats, features=("a",), issued=int(clock()), expires=expires))
    return LicenseDesk(store, clock, life_s=120)


def test_seats_run_out_and_come_back(desk, clock):
    first = desk.acquire(node("sl-1"))
    desk.acquire(node("sl-2"))
    with pytest.raises(NoSeat, match="2 of 2 sl seats"):
        desk.acquire(node("sl-3"))
    desk.release(node("sl-1"), first.lease_id)
    desk.acquire(node("sl-3"))
    clock.now += 121
    desk.acquire(node("sl-4"))
    assert (first.life_s, first.license_left_s, first.features) == (120, None, ("a",))


def test_same_node_keeps_its_one_seat(desk):
    desk.acquire(node("sl-1"))
    desk.acquire(node("sl-1"))
    desk.acquire(node("sl-2"))
    assert desk.show()["seats"]["sl"] == {"limit": 2, "used": 2, "free": 0}


def test_kind_without_seats(desk):
    with pytest.raises(NoSeat):
        desk.acquire(node("operator", "swci"))
    with pytest.raises(NoSeat):
        desk.acquire(node("license", "license"))


def test_renewal_holds_the_seat(desk, clock):
    one, two = (desk.acquire(node(name)) for name in ("sl-1", "sl-2"))
    for _ in range(5):
        clock.now += 60
        desk.renew(node("sl-1"), one.lease_id)
    desk.acquire(node("sl-3"))
    with pytest.raises(NoSeat, match="lost its own"):
        desk.renew(node("sl-2"), two.lease_id)


def test_renewal_of_anothers_lease(desk):
    mine = desk.acquire(node("sl-1"))
    with pytest.raises(LeaseUnknown):
        desk.renew(node("sl-2"), mine.lease_id)
    with pytest.raises(LeaseUnknown):
        desk.renew(node("sl-1", domain="other.swarm"), mine.lease_id)
    desk.release(node("sl-2"), mine.lease_id)
    desk.renew(node("sl-1"), mine.lease_id)


def test_lapsed_lease_goes_on_while_the_seat_is_free(desk, clock):
    mine = desk.acquire(node("sl-1"))
    clock.now += 500
    assert desk.renew(node("sl-1"), mine.lease_id).lease_id == mine.lease_id


def test_restart_keeps_leases(desk, clock):
    one = desk.acquire(node("sl-1"))
    desk.acquire(node("sl-2"))
    clock.now += 10
    again = LicenseDesk(desk.store, clock, life_s=120)
    with pytest.raises(NoSeat):
        again.acquire(node("sl-3"))
    clock.now += 1000  # the license node was away for long
    assert again.resume("demo.swarm") == 2
    with pytest.raises(NoSeat):
        again.acquire(node("sl-3"))
    again.renew(node("sl-1"), one.lease_id)


def test_restart_does_not_revive_what_had_ended(desk, clock):
    desk.acquire(node("sl-1"))
    clock.now += 200
    desk.acquire(node("sl-2"))
    assert desk.resume("demo.swarm") == 1


def test_many_at_once_take_no_seat_too_many(tmp_path, clock):
    desk = desk_with(tmp_path, clock, {"sl": 5})

    def take(number):
        try:
            LicenseDesk(desk.store, clock).acquire(node(f"sl-{number}"))
        except NoSeat:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(16))) == 5


def test_expiry(tmp_path, clock):
    desk = desk_with(tmp_path, clock, {"sl": 1}, expires=10_100)
    grant = desk.acquire(node("sl-1"))
    assert (grant.life_s, grant.license_left_s) == (100, 100)
    clock.now = 10_100
    for call in (
        lambda: desk.acquire(node("sl-1")),
        lambda: desk.renew(node("sl-1"), grant.lease_id),
        lambda: desk.check("demo.swarm", {"sl": 1}),
    ):
        with pytest.raises(LicenseExpired):
            call()
    assert desk.show()["expired"] is True
    desk.release(node("sl-1"), grant.lease_id)


def test_clock_may_lag_five_minutes(tmp_path, clock):
    desk = desk_with(tmp_path, clock, {"sl": 1}, expires=20_000)
    clock.now = 19_990
    desk.acquire(node("sl-1"))
    clock.now -= 299
    assert desk.acquire(node("sl-1")).license_left_s == 10  # judged by the highest time seen
    clock.now -= 2
    with pytest.raises(ClockMovedBack):
        desk.acquire(node("sl-1"))
    with pytest.raises(ClockMovedBack):
        LicenseDesk(desk.store, clock).show()


def test_clock_before_the_license_was_issued(desk, clock):
    clock.now -= 301
    with pytest.raises(ClockMovedBack):
        desk.check("demo.swarm", {"sl": 1})


def test_newly_issued_license_heals_a_clock_that_ran_ahead(desk, clock):
    clock.now += 1e8
    desk.acquire(node("sl-1"))
    clock.now -= 1e8 - 60
    with pytest.raises(ClockMovedBack):
        desk.acquire(node("sl-1"))
    old = desk.store.path.read_text()
    fresh = desk.store.issue(holder="x", seats={"sl": 1}, features=(), issued=int(clock()), expires=None)
    with pytest.raises(ClockMovedBack):
        desk.install(old)
    desk.install(fresh)
    desk.acquire(node("sl-1"))


def test_damaged_book(tmp_path, clock):
    (tmp_path / "leases.db").write_bytes(b"not a database" * 100)
    with pytest.raises(LicenseTampered, match="damaged"):
        LeaseBook(tmp_path / "leases.db", clock).now(0)


def test_check_seats_counts_other_swarms_only(tmp_path, monkeypatch, clock):
    monkeypatch.setattr("swarm_lab.licensing.desk.license_root", lambda: tmp_path / "license")
    desk = desk_with(tmp_path, clock, {"sl": 4, "sn": 2})
    desk.acquire(node("sl-1"))
    desk.acquire(node("sl-1", domain="other.swarm"))
    here = tmp_path / "swarms" / "demo"
    check_seats(here, {"sentinel": 1, "sn": 1, "sl": 3, "license": 1, "chain": 1}, clock)
    with pytest.raises(NoSeat, match=r"4 sl wanted, 3 free \(1 of 4 used by other swarms\)"):
        check_seats(here, {"sentinel": 1, "sl": 4}, clock)
    with pytest.raises(NoSeat, match="3 sn wanted, 2 free"):
        check_seats(here, {"sentinel": 1, "sn": 2}, clock)
    assert release_seats(tmp_path / "swarms" / "other", clock) == 1
    check_seats(here, {"sl": 4}, clock)


def test_first_call_makes_a_community_license(tmp_path, monkeypatch):
    monkeypatch.setattr("swarm_lab.licensing.desk.license_root", lambda: tmp_path / "license")
    check_seats(tmp_path / "demo", {"sentinel": 1, "sn": 1, "sl": 4})
    assert LicenseStore(tmp_path / "license").read().holder == "community"

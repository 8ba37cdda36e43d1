"""The desk where nodes get their seats: license, clock and leases put together, without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from swarm_lab.errors import LicenseExpired
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.licensing.leases import LeaseBook
from swarm_lab.licensing.store import LicenseStore, license_root
from swarm_lab.licensing.token import SEAT_KINDS, License

# Short, so that the seats of a swarm that was switched off are free again soon; a node renews after a third of it.
LEASE_S = 120.0
_SEAT_OF_KIND = {"sentinel": "sn", "sn": "sn", "sl": "sl", "swci": "swci"}


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease as a node sees it: seconds from now, so that the clocks of two machines need not agree."""

    lease_id: str
    life_s: float
    license_id: str
    license_left_s: float | None
    features: tuple[str, ...]


class LicenseDesk:
    """Gives, renews and takes back seats. The license is read at each call: a new one holds at once.

    Every call raises license errors: `NoLicense`, `LicenseTampered`, `UnknownIssuer`, `ClockMovedBack`, and all but
    `release` and `show` raise `LicenseExpired`.
    """

    def __init__(self, store: LicenseStore, clock: Callable[[], float] = time.time, life_s: float = LEASE_S) -> None:
        self.store = store
        self.book = LeaseBook(store.leases, clock)
        self._life = life_s

    def acquire(self, who: SpiffeId) -> Grant:
        """A seat for a node of the role `who.role`; raises `NoSeat`."""
        license, now = self._valid()
        until = self._until(license, now)
        lease = self.book.acquire(who, _limits(license).get(who.role, 0), until, license.issued)
        return _grant(license, lease.lease_id, now, until)

    def renew(self, who: SpiffeId, lease_id: str) -> Grant:
        """Go on with a seat; raises `LeaseUnknown` or `NoSeat`."""
        license, now = self._valid()
        until = self._until(license, now)
        lease = self.book.renew(who, lease_id, _limits(license).get(who.role, 0), until, license.issued)
        return _grant(license, lease.lease_id, now, until)

    def release(self, who: SpiffeId, lease_id: str) -> None:
        """Give a seat back."""
        self.book.release(who, lease_id, self.store.read().issued)

    def release_swarm(self, domain: str) -> int:
        """Give back what a swarm that is down still holds; returns how many seats."""
        return self.book.release_domain(domain, self.store.read().issued)

    def resume(self, domain: str) -> int:
        """At the start of a license node: its nodes' leases go on over the time that it was away."""
        return self.book.resume(domain, self._life, self.store.read().issued)

    def check(self, domain: str, wanted: Mapping[str, int]) -> None:
        """Raise `NoSeat` unless a swarm may have this many seats of each kind in all."""
        license, _ = self._valid()
        self.book.check(domain, _limits(license), wanted, license.issued)

    def install(self, text: str) -> License:
        """Check a license file and make it the installed one; raises `LicenseExpired` and what `token.read` does."""
        license = self.store.check(text)
        now = self.book.now(license.issued)
        if _expired(license, now):
            raise LicenseExpired(f"the license {license.id} of {license.holder} ended {_day(license.expires)}")
        self.store.install(text)
        return license

    def show(self) -> dict[str, object]:
        """The license, whether it has expired, and seats by kind with limit, used and free, and the leases."""
        license = self.store.read()
        leases = self.book.live(license.issued)
        now = self.book.now(license.issued)
        used = {kind: sum(lease.kind == kind for lease in leases) for kind in SEAT_KINDS}
        limits = _limits(license)
        return {
            **license.to_dict(),
            "expired": _expired(license, now),
            "seats": {
                kind: {"limit": limits[kind], "used": used[kind], "free": max(limits[kind] - used[kind], 0)}
                for kind in SEAT_KINDS
            },
            "leases": [asdict(lease) for lease in leases],
        }

    def _valid(self) -> tuple[License, float]:
        license = self.store.read()
        now = self.book.now(license.issued)
        if _expired(license, now):
            raise LicenseExpired(f"the license {license.id} of {license.holder} ended {_day(license.expires)}")
        return license, now

    def _until(self, license: License, now: float) -> float:
        return now + self._life if license.expires is None else min(now + self._life, float(license.expires))


def check_seats(swarm_dir: Path, wanted: Mapping[str, int], clock: Callable[[], float] = time.time) -> None:
    """Before any process starts: raises `NoSeat`, naming free and used, or another license error.

    `wanted` says how many nodes of each kind (sentinel, sn, sl, swci; others need no seat) the swarm will have in all;
    what the same swarm holds already is not counted against it. Makes a community license on the very first call.
    """
    desk = LicenseDesk(LicenseStore(license_root()), clock)
    desk.store.ensure(clock)
    seats: dict[str, int] = {}
    for kind, number in wanted.items():
        if kind in _SEAT_OF_KIND:
            seats[_SEAT_OF_KIND[kind]] = seats.get(_SEAT_OF_KIND[kind], 0) + number
    desk.check(f"{swarm_dir.name}.swarm", seats)


def release_seats(swarm_dir: Path, clock: Callable[[], float] = time.time) -> int:
    """After `down`: gives back at once what nodes that were killed could not; returns how many seats."""
    return LicenseDesk(LicenseStore(license_root()), clock).release_swarm(f"{swarm_dir.name}.swarm")


def _limits(license: License) -> dict[str, int]:
    return dict.fromkeys(SEAT_KINDS, 0) | {str(kind): number for kind, number in license.seats.items()}


def _expired(license: License, now: float) -> bool:
    return license.expires is not None and now >= license.expires


def _grant(license: License, lease_id: str, now: float, until: float) -> Grant:
    left = None if license.expires is None else license.expires - now
    return Grant(lease_id, until - now, license.id, left, license.features)


def _day(expires: int | None) -> str:
    return "never" if expires is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))

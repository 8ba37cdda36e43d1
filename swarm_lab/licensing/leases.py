"""Who holds a seat: the leases of all swarms that use one license, in SQLite, so that nothing is lost by a restart."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swarm_lab.errors import LeaseUnknown, LicenseTampered, NoLicense, NoRoom, NoSeat
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.licensing.clock import trusted_now

BOOK_VERSION = 1
_BUSY_LIMIT_S = 10.0
_FORGET_S = 86_400.0
# The highest time is stored no finer than this: a look at the book should not write to the disk each time.
_STORE_S = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    spiffe_id TEXT PRIMARY KEY, domain TEXT NOT NULL, kind TEXT NOT NULL, lease_id TEXT NOT NULL,
    acquired REAL NOT NULL, renewed REAL NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A seat taken by a node. Times are unix seconds of the license node's clock."""

    lease_id: str
    spiffe_id: str
    kind: str
    acquired: float
    renewed: float
    expires: float


class LeaseBook:
    """The leases and the highest time seen. Every call is one transaction; several processes may use one file.

    All calls raise `ClockMovedBack`; `NoLicense`, `LicenseTampered` and `NoRoom` when the file cannot be used.
    `issued` is when the license was: no time before it is believed, and a license issued later than the ones seen
    before sets the highest time seen anew, which heals a clock that once ran far ahead.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock

    def now(self, issued: float) -> float:
        """The time to judge by, in unix seconds; remembers it."""
        with self._transaction(issued) as (_, now):
            return now

    def acquire(self, who: SpiffeId, limit: int, until: float, issued: float) -> Lease:
        """Take a seat of the kind `who.role`, or the seat that `who` has already; raises `NoSeat`."""
        with self._transaction(issued) as (db, now):
            used = self._used(db, now, who)
            if used >= limit:
                raise NoSeat(f"{used} of {limit} {who.role} seats are in use: none is left for {who}")
            lease = Lease(uuid.uuid4().hex, str(who), who.role, now, now, until)
            db.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)",
                (lease.spiffe_id, who.trust_domain, lease.kind, lease.lease_id, now, now, until),
            )
            _set(db, f"served {who.trust_domain}", now)
            return lease

    def renew(self, who: SpiffeId, lease_id: str, limit: int, until: float, issued: float) -> Lease:
        """Make a lease last until `until`, also one that ran out while its seat is still free.

        Raises `LeaseUnknown` for a lease that is not `who`'s, `NoSeat` when the seats have been taken since.
        """
        with self._transaction(issued) as (db, now):
            row = db.execute(
                "SELECT acquired FROM leases WHERE spiffe_id = ? AND lease_id = ?", (str(who), lease_id)
            ).fetchone()
            if row is None:
                raise LeaseUnknown(f"{who} holds no lease {lease_id[:40]!r}")
            used = self._used(db, now, who)
            if used >= limit:
                raise NoSeat(f"{used} of {limit} {who.role} seats are in use: {who} lost its own")
            db.execute("UPDATE leases SET renewed = ?, expires = ? WHERE spiffe_id = ?", (now, until, str(who)))
            _set(db, f"served {who.trust_domain}", now)
            return Lease(lease_id, str(who), who.role, row[0], now, until)

    def release(self, who: SpiffeId, lease_id: str, issued: float) -> None:
        """Give a seat back; one that is not `who`'s any more is no mistake."""
        with self._transaction(issued) as (db, _):
            db.execute("DELETE FROM leases WHERE spiffe_id = ? AND lease_id = ?", (str(who), lease_id))

    def release_domain(self, domain: str, issued: float) -> int:
        """Give back all seats of a trust domain; returns how many."""
        with self._transaction(issued) as (db, _):
            return db.execute("DELETE FROM leases WHERE domain = ?", (domain,)).rowcount

    def resume(self, domain: str, life_s: float, issued: float) -> int:
        """At a license node's start: leases that held when it was last there hold on for `life_s` seconds.

        So a node keeps its seat over a restart of its license node, however long that took.
        """
        with self._transaction(issued) as (db, now):
            served = _get(db, f"served {domain}", 0.0)
            return db.execute(
                "UPDATE leases SET expires = MAX(expires, ?) WHERE domain = ? AND expires > ?",
                (now + life_s, domain, served),
            ).rowcount

    def live(self, issued: float) -> list[Lease]:
        """The leases that hold now, by SPIFFE ID."""
        with self._transaction(issued) as (db, now):
            rows = db.execute(
                "SELECT lease_id, spiffe_id, kind, acquired, renewed, expires FROM leases"
                " WHERE expires > ? ORDER BY spiffe_id",
                (now,),
            ).fetchall()
            return [Lease(*row) for row in rows]

    def check(self, domain: str, seats: Mapping[str, int], wanted: Mapping[str, int], issued: float) -> None:
        """Raise `NoSeat`, naming free and used, unless `wanted` seats of each kind are free for this trust domain."""
        with self._transaction(issued) as (db, now):
            rows = db.execute(
                "SELECT kind, COUNT(*) FROM leases WHERE expires > ? AND domain <> ? GROUP BY kind", (now, domain)
            )
            used = {str(kind): int(count) for kind, count in rows}
        short = []
        for kind, number in sorted(wanted.items()):
            limit, taken = seats.get(kind, 0), used.get(kind, 0)
            if number > limit - taken:
                free = max(limit - taken, 0)
                short.append(f"{number} {kind} wanted, {free} free ({taken} of {limit} used by other swarms)")
        if short:
            raise NoSeat("; ".join(short))

    @staticmethod
    def _used(db: sqlite3.Connection, now: float, who: SpiffeId) -> int:
        row = db.execute(
            "SELECT COUNT(*) FROM leases WHERE kind = ? AND expires > ? AND spiffe_id <> ?",
            (who.role, now, str(who)),
        ).fetchone()
        return int(row[0])

    @contextmanager
    def _transaction(self, issued: float) -> Iterator[tuple[sqlite3.Connection, float]]:
        try:
            self.path.touch(mode=0o600)
            db = sqlite3.connect(self.path, timeout=_BUSY_LIMIT_S, isolation_level=None)
            try:
                _open(db)
                db.execute("BEGIN IMMEDIATE")
                now = self._judge(db, issued)
                yield db, now
                db.execute("COMMIT")
            finally:
                db.close()  # rolls back what was not committed
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise NoRoom(f"{self.path}: {error}") from error
            raise NoLicense(f"the lease book {self.path} cannot be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise LicenseTampered(
                f"the lease book {self.path} is damaged: {error}", next_step=f"move {self.path} away"
            ) from error

    def _judge(self, db: sqlite3.Connection, issued: float) -> float:
        stored = _get(db, "highest", 0.0)
        highest = max(stored, issued)
        if issued > _get(db, "issued", 0.0):
            stored = highest = issued
            _set(db, "issued", issued)
            _set(db, "highest", highest)
        now = trusted_now(self._clock(), highest)
        if now >= stored + _STORE_S:
            _set(db, "highest", now)
        db.execute("DELETE FROM leases WHERE expires < ?", (now - _FORGET_S,))
        return now


def _open(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, BOOK_VERSION):
        raise sqlite3.DatabaseError(f"format version {version}; this package reads {BOOK_VERSION}")
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {BOOK_VERSION};COMMIT;")


def _get(db: sqlite3.Connection, name: str, default: float) -> float:
    row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return default if row is None else float(row[0])


def _set(db: sqlite3.Connection, name: str, value: float) -> None:
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

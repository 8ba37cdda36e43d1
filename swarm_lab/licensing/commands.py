"""`swarm-lab license issue|install|show`: the options of each as a model, and the function that does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarm_lab.errors import BadLicenseOptions, NoLicense
from swarm_lab.licensing.desk import LicenseDesk
from swarm_lab.licensing.store import COMMUNITY_FEATURES, LicenseStore, license_root
from swarm_lab.licensing.token import SEAT_KINDS

_DAY_S = 86_400


class IssueOptions(BaseModel):
    """Sign a license with this machine's key. Its public key, for `install --issuer` elsewhere, is in the answer."""

    model_config = ConfigDict(extra="forbid")

    holder: str = Field("community", description="who the license is for")
    seats: list[str] = Field(
        default_factory=list,
        description="KIND=NUMBER, kinds sn (the sentinel counts), sl, swci; a kind that is left out gets none",
    )
    features: list[str] = Field(default_factory=lambda: list(COMMUNITY_FEATURES), description="names of features")
    expires: datetime | None = Field(None, description="last moment, ISO (UTC unless it says otherwise)")
    days: float | None = Field(None, gt=0, description="or its life in days; without both it never ends")
    output: Path | None = Field(None, description="write the license file here")
    install: bool = Field(False, description="install it here at once")


class InstallOptions(BaseModel):
    """Check a license file and make it this user's license; running swarms take it up without a restart."""

    model_config = ConfigDict(extra="forbid")

    file: Path = Field(description="the license file")
    issuer: Path | None = Field(None, description="the issuer's public key (PEM), trusted from now on")


class ShowOptions(BaseModel):
    """The installed license, its seats with limit, used and free, and the leases."""

    model_config = ConfigDict(extra="forbid")


def issue(options: IssueOptions, clock: Callable[[], float] = time.time) -> dict[str, object]:
    """Returns `{"license": <the file's text>, "issuer_key": <PEM>, ...}`; raises `BadLicenseOptions`."""
    store = LicenseStore(license_root())
    issued = int(clock())
    try:
        text = store.issue(
            holder=options.holder,
            seats=_seats(options.seats),
            features=tuple(options.features),
            issued=issued,
            expires=_expires(options, issued),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadLicenseOptions(f"{where}: {first['msg']}") from error
    if options.output is not None:
        options.output.write_text(text + "\n", "ascii")
    if options.install:
        LicenseDesk(store, clock).install(text)
    key = store.public_key().decode("ascii")
    return {"license": text, "issuer_key": key, "installed": options.install}


def install(options: InstallOptions, clock: Callable[[], float] = time.time) -> dict[str, object]:
    """Returns what `show` does; raises a license error, `LicenseExpired` among them, and then changes nothing."""
    store = LicenseStore(license_root())
    try:
        text = options.file.read_text("ascii")
        pem = None if options.issuer is None else options.issuer.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise NoLicense(f"the file cannot be read: {error}", next_step="give the path of a license file") from error
    if pem is not None:
        store.trust(pem)
    LicenseDesk(store, clock).install(text)
    return show(ShowOptions(), clock)


def show(_options: ShowOptions, clock: Callable[[], float] = time.time) -> dict[str, object]:
    """The license, its seats and leases, and where its file lies; raises `NoLicense` before the first `up`."""
    store = LicenseStore(license_root())
    return {**LicenseDesk(store, clock).show(), "path": str(store.path)}


def _seats(given: list[str]) -> dict[str, int]:
    seats = {}
    for item in given:
        kind, _, number = item.partition("=")
        if kind not in SEAT_KINDS or not number.isdecimal():
            raise BadLicenseOptions(f"{item!r} is not KIND=NUMBER with a kind of {', '.join(SEAT_KINDS)}")
        seats[kind] = int(number)
    if not seats:
        raise BadLicenseOptions("no seats: give for example --seats sn=2 --seats sl=4 --seats swci=1")
    return seats


def _expires(options: IssueOptions, issued: int) -> int | None:
    if options.expires is not None and options.days is not None:
        raise BadLicenseOptions("both --expires and --days are given")
    if options.days is not None:
        return issued + max(int(options.days * _DAY_S), 1)
    if options.expires is None:
        return None
    moment = options.expires if options.expires.tzinfo else options.expires.replace(tzinfo=UTC)
    return int(moment.timestamp())

"""`swarm-lab license ...` as functions."""

import pytest
from pydantic import ValidationError

from swarm_lab.errors import BadLicenseOptions, LicenseExpired, LicenseTampered, NoLicense, UnknownIssuer
from swarm_lab.licensing.commands import InstallOptions, IssueOptions, ShowOptions, install, issue, show
from swarm_lab.licensing.store import LicenseStore


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("swarm_lab.licensing.commands.license_root", lambda: tmp_path / "license")
    return tmp_path / "license"


def test_issue_install_show(tmp_path):
    with pytest.raises(NoLicense):
        show(ShowOptions())
    file = tmp_path / "acme.jwt"
    answer = issue(IssueOptions(holder="acme", seats=["sl=3", "sn=2"], days=1, output=file), lambda: 1e9)
    assert answer["installed"] is False
    shown = install(InstallOptions(file=file), lambda: 1e9)
    assert (shown["holder"], shown["expires"], shown["expired"]) == ("acme", 1_000_086_400, False)
    assert shown["seats"]["sl"] == {"limit": 3, "used": 0, "free": 3}
    assert shown["seats"]["swci"]["limit"] == 0


def test_another_machines_license(tmp_path, root):
    other = LicenseStore(tmp_path / "other")
    file, key = tmp_path / "x.jwt", tmp_path / "x.pem"
    file.write_text(other.issue(holder="x", seats={"sl": 1}, features=(), issued=1, expires=None))
    key.write_bytes(other.public_key())
    with pytest.raises(UnknownIssuer):
        install(InstallOptions(file=file))
    assert install(InstallOptions(file=file, issuer=key))["holder"] == "x"


def test_expired_is_not_installed():
    with pytest.raises(LicenseExpired):
        issue(IssueOptions(seats=["sl=1"], expires="2020-01-01", install=True))
    with pytest.raises(NoLicense):
        show(ShowOptions())


@pytest.mark.parametrize("seats", [[], ["sl"], ["sl=-1"], ["gpu=2"], ["sl=9999999"]])
def test_wrong_seats(seats):
    with pytest.raises(BadLicenseOptions):
        issue(IssueOptions(seats=seats))


def test_wrong_options(tmp_path):
    with pytest.raises(BadLicenseOptions):
        issue(IssueOptions(seats=["sl=1"], days=1, expires="2040-01-01"))
    with pytest.raises(ValidationError):
        IssueOptions(seats=["sl=1"], days=-1)
    with pytest.raises(NoLicense):
        install(InstallOptions(file=tmp_path / "none"))
    (tmp_path / "bad").write_text("hello")
    with pytest.raises(LicenseTampered):
        install(InstallOptions(file=tmp_path / "bad"))

"""The license node as a process with an identity from a real Workload API, and its callers over mutual TLS."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.ports import free_port

from swarm_lab.errors import LicenseExpired, LicenseTampered, NoSeat, OtherProtocol, RoleRefused
from swarm_lab.identity.attest import RefusedError
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import channel
from swarm_lab.identity.dialer import Dialer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.issuer import Issuance, Listener, WorkloadApi
from swarm_lab.identity.peercred import Caller
from swarm_lab.identity.svid import FixedSource
from swarm_lab.licensing import client
from swarm_lab.licensing.client import LicenseLease, RemoteDesk, Unanswered
from swarm_lab.licensing.store import LicenseStore
from swarm_lab.nodes.config import NodeConfig

DOMAIN = "demo.swarm"
LICENSE = SpiffeId(DOMAIN, "license", "license")
HOUR = timedelta(hours=1)


def node(name: str, role: str = "sl") -> SpiffeId:
    return SpiffeId(DOMAIN, role, name)


class Attestor:
    """Knows the license node's process and no other."""

    pid = 0

    def attest(self, caller: Caller) -> SpiffeId:
        if caller.pid != self.pid:
            raise RefusedError("another process")
        return LICENSE


class World:
    """An authority with its Workload API, a license directory, and the license node's process."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(DOMAIN)
        self.attestor = Attestor()
        self.store = LicenseStore(directory / "license")
        self.address = f"127.0.0.1:{free_port()}"
        self.config = NodeConfig(
            swarm="demo", name="license", kind="license", trust_domain=DOMAIN,
            directory=directory / "nodes/license", swarm_dir=directory, run_dir=directory / "run",
            address=self.address,
            options={"license_dir": str(self.store.root), "lease_s": "1.5"},
        )  # fmt: skip
        self.config.run_dir.mkdir(parents=True, mode=0o700)
        self.path = self.config.write()
        api = WorkloadApi(Issuance(self.authority, HOUR), self.attestor)
        self.listener = Listener(self.config.workload_socket, api)
        self.process: subprocess.Popen[bytes] | None = None

    def license(self, seats: dict[str, int], expires: int | None = None) -> None:
        issued = int(time.time())
        text = self.store.issue(holder="x", seats=seats, features=(), issued=issued, expires=expires)
        self.store.install(text)

    def start(self) -> None:
        log = (self.config.directory / "stderr").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "swarm_lab.nodes", str(self.path)], stderr=log, env={**os.environ}
        )
        self.attestor.pid = self.process.pid

    async def stop(self, kill: bool = False) -> int:
        assert self.process is not None
        self.process.kill() if kill else self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 10)

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.config.directory / "state.json").read_text()))

    def source(self, who: SpiffeId) -> FixedSource:
        return FixedSource(self.authority.issue(who, HOUR), {DOMAIN: self.authority.bundle})

    @asynccontextmanager
    async def desk(self, who: SpiffeId) -> AsyncIterator[RemoteDesk]:
        async with channel(self.address, LICENSE, self.source(who)) as opened:
            yield RemoteDesk(opened)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="swl-", dir="/tmp"))
    found = World(directory)
    await found.listener.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        await found.stop(kill=True)
    await found.listener.close()
    shutil.rmtree(directory)


async def until(condition: Callable[[], bool], limit: float = 15) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.03)


async def answered(call: Callable[[], Any], limit: float = 20) -> Any:
    """The answer of a license node that may still be starting."""
    end = time.monotonic() + limit
    while True:
        try:
            return await call()
        except Unanswered:
            assert time.monotonic() < end, "no answer in time"
            await asyncio.sleep(0.1)


async def test_seats_over_mutual_tls(world: World) -> None:
    world.license({"sl": 1, "sn": 1})
    world.start()
    async with world.desk(node("sl-1")) as one, world.desk(node("sl-2")) as two:
        first = await answered(one.acquire)
        assert 1.4 < first.life_s <= 1.5
        with pytest.raises(NoSeat, match="1 of 1 sl seats") as refusal:
            await two.acquire()
        assert "take down a swarm" in refusal.value.next_step
        shown = await two.show()
        assert shown["seats"]["sl"] == {"limit": 1, "used": 1, "free": 0}  # type: ignore[index]
        await one.release(first.lease_id)
        await two.acquire()
    async with world.desk(node("sentinel", "sn")) as third:
        await third.acquire()
    async with world.desk(node("license", "license")) as fourth:
        with pytest.raises(RoleRefused):
            await fourth.acquire()
    await until(lambda: world.state()["state"] == "ready" and "seats" in world.state()["extra"]["license_file"])
    assert world.state()["extra"]["spiffe_id"] == str(LICENSE)
    assert await world.stop() == 0
    assert world.state()["state"] == "stopped"


async def test_lease_lives_through_a_killed_license_node(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_S", 0.3)
    waits: list[str] = []
    dialer = Dialer(world.source(node("sl-1")))
    lease = LicenseLease.dial(dialer, world.address, LICENSE, on_wait=waits.append)
    world.license({"sl": 1})
    starting = asyncio.create_task(lease.start(limit_s=30))
    await until(lambda: bool(waits))  # started too early: it says for what it waits, and goes on by itself
    world.start()
    await starting
    assert lease.state() == {"license": "ok", "seconds_left": None}
    await world.stop(kill=True)
    await until(lambda: lease.state()["license"] == "grace")
    assert 1790 < int(str(lease.state()["seconds_left"])) <= 1800
    assert lease.allows_new_training()
    world.start()
    async with world.desk(node("sl-2")) as other:
        with pytest.raises(NoSeat):  # the seat is still the first node's
            await answered(other.acquire)
        await until(lambda: lease.state()["license"] == "ok")
        await lease.close()
        await other.acquire()


async def test_expiry_and_tampering_while_it_runs(world: World) -> None:
    world.license({"sl": 2}, expires=int(time.time()) + 3600)
    world.start()
    async with world.desk(node("sl-1")) as desk:
        grant = await answered(desk.acquire)
        assert 3500 < (grant.license_left_s or 0) <= 3600
        text = world.store.path.read_text()
        world.store.path.write_text(text[:-10] + "AAAAAAAAA\n")
        with pytest.raises(LicenseTampered):
            await desk.renew(grant.lease_id)
        await until(lambda: world.state()["state"] == "degraded")
        world.license({"sl": 2}, expires=int(time.time()) - 1)
        with pytest.raises(LicenseExpired):
            await desk.renew(grant.lease_id)
        world.license({"sl": 2})
        assert (await desk.renew(grant.lease_id)).license_left_s is None


async def test_another_protocol_is_refused_with_both_versions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.license({"sl": 1})
    world.start()
    monkeypatch.setattr(client, "PROTOCOL", 7)
    async with world.desk(node("sl-1")) as desk:
        with pytest.raises(OtherProtocol, match=r"version 7 .* this node 1"):
            await answered(desk.acquire)


async def test_no_identity_no_answer(world: World) -> None:
    world.license({"sl": 1})
    world.start()
    async with world.desk(node("sl-1")) as desk:
        await answered(desk.show)
    stranger = Authority.create(DOMAIN)
    source = FixedSource(stranger.issue(node("sl-1"), HOUR), {DOMAIN: world.authority.bundle})
    async with channel(world.address, LICENSE, source) as opened:
        with pytest.raises(Unanswered):
            await RemoteDesk(opened).acquire()
    async with grpc.aio.insecure_channel(world.address) as bare:
        with pytest.raises(Unanswered):
            await RemoteDesk(bare).acquire()


async def test_a_taken_port_is_named(world: World) -> None:
    world.license({"sl": 1})
    with socket.create_server(("127.0.0.1", int(world.address.split(":")[1]))):
        world.start()
        assert world.process is not None
        assert await asyncio.to_thread(world.process.wait, 20) == 1
    assert world.state()["state"] == "failed"
    assert world.address in world.state()["message"]

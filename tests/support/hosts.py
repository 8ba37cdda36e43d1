"""Hosts on this machine: network namespaces with an address each, joined by a bridge, and ways to hurt their links.

What this takes: root, `ip` and `tc` (iproute2), `iptables` with its match `statistic`, and /dev/net/tun.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import psutil

FAR = Path(__file__).with_name("far.py")
PARTS = ("root", "ip", "tc", "iptables", "nsenter", "unshare", "netns")


class Network:
    """Some hosts; `close` leaves nothing of them behind, whatever was done to them."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = list(hosts)
        # Names and addresses of this process's own: another session's tests may run on the same machine.
        self._tag = f"swt{os.getpid()}"
        self._net = f"10.213.{os.getpid() % 250}"
        self._relays: dict[str, subprocess.Popen[str]] = {}
        self.bridge = f"{self._tag}b"
        sweep()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.center}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for host in self.hosts:
            space, wire = self.netns(host), self.wire(host)
            ip("netns", "add", space)
            ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", wire, "master", self.bridge, "up")
            ip("-n", space, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", space, "link", "set", device, "up")
            # Without it this machine would answer for all its addresses on a wire that has left the bridge.
            Path(f"/proc/sys/net/ipv4/conf/{wire}/arp_ignore").write_text("1")

    def close(self) -> None:
        """Remove everything; what is not there any more is no failure."""
        for host in self.hosts:
            self._nearer(host)
            run(["ip", "link", "del", self.wire(host)], check=False)
            run(["ip", "netns", "del", self.netns(host)], check=False)
        run(["ip", "link", "del", self.bridge], check=False)

    @property
    def center(self) -> str:
        """The address that is no host's: of those that serve all."""
        return f"{self._net}.254"

    def address(self, host: str) -> str:
        """A host's address."""
        return f"{self._net}.{self.hosts.index(host) + 1}"

    def netns(self, host: str) -> str:
        """Its network namespace."""
        return f"{self._tag}-{self.hosts.index(host) + 1}"

    def wire(self, host: str) -> str:
        """The end of its cable that is plugged into the bridge."""
        return f"{self._tag}v{self.hosts.index(host) + 1}"

    # --- ways to hurt -------------------------------------------------------------------------------------

    def one_way(self, mute: str, deaf: Collection[str]) -> None:
        """What `mute` sends does not reach any of `deaf`; what they send reaches it."""
        for host in deaf:
            self._drop(host, "--source", self.address(mute))

    def halves(self, one: Collection[str], other: Collection[str]) -> None:
        """Nothing passes between the two; both reach the nodes that serve all."""
        for host in one:
            self.one_way(host, other)
        for host in other:
            self.one_way(host, one)

    def unplug(self, host: str) -> None:
        """The host reaches nobody, and nobody is told."""
        self._drop(host)
        self._rule(host, "OUTPUT")

    def slow(self, host: str, rate: str) -> None:
        """What the host sends and what it is sent passes at this rate, as `tc` writes it: 20mbit."""
        shape = ["root", "tbf", "rate", rate, "burst", "64kb", "latency", "400ms"]
        run(["tc", "qdisc", "replace", "dev", self.wire(host), *shape])
        run(["tc", "-n", self.netns(host), "qdisc", "replace", "dev", "eth0", *shape])

    def lossy(self, host: str, percent: float) -> None:
        """So much of what it sends and of what it is sent is lost."""
        chance = ("-m", "statistic", "--mode", "random", "--probability", f"{percent / 100:.4f}")
        self._drop(host, *chance)
        self._rule(host, "OUTPUT", *chance)

    def far(self, host: str, delay_s: float) -> None:
        """Each frame from it and to it takes so much longer; its link is the test suite's own relay."""
        self._nearer(host)
        ip("link", "set", self.wire(host), "nomaster")
        command = [sys.executable, str(FAR), self.wire(host), self.bridge, str(delay_s)]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._relays[host] = relay
        assert relay.stdout is not None and relay.stdout.readline() == "ready\n"

    def heal(self) -> None:
        """All links as they were."""
        for host in self.hosts:
            self._nearer(host)
            run(["tc", "qdisc", "del", "dev", self.wire(host), "root"], check=False)
            run(["tc", "-n", self.netns(host), "qdisc", "del", "dev", "eth0", "root"], check=False)
            self._inside(host, "iptables", "-w", "5", "-F")

    def _nearer(self, host: str) -> None:
        relay = self._relays.pop(host, None)
        if relay is not None:
            relay.terminate()
            relay.wait(timeout=10)
            if relay.stdout is not None:
                relay.stdout.close()
            run(["ip", "link", "set", self.wire(host), "master", self.bridge], check=False)

    def _drop(self, host: str, *match: str) -> None:
        self._rule(host, "INPUT", *match)

    def _rule(self, host: str, chain: str, *match: str) -> None:
        self._inside(host, "iptables", "-w", "5", "-A", chain, *match, "-j", "DROP")

    def _inside(self, host: str, *command: str) -> None:
        run(["nsenter", f"--net=/run/netns/{self.netns(host)}", "--", *command])


def sweep() -> None:
    """Remove the hosts of sessions that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, timeout=20, check=False).stdout
    for space, pid in re.findall(r"^(swt(\d+)-\d+)", listed, re.MULTILINE):
        if not psutil.pid_exists(int(pid)):
            run(["ip", "link", "del", space.replace("-", "v")], check=False)
            run(["ip", "netns", "del", space], check=False)
            run(["ip", "link", "del", f"swt{pid}b"], check=False)


def ip(*arguments: str) -> None:
    """One call of `ip`."""
    run(["ip", *arguments])


def run(command: list[str], *, check: bool = True) -> None:
    """A short command; raises with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")

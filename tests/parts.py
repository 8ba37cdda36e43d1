"""Parts of the machine that a test may need: says in one line which is missing.

In CI (the variable `CI` is set) a test whose part is missing fails; elsewhere it is skipped with that line.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def need(*names: str) -> None:
    """Go on only if all is here: a program's name, `python:<module>`, or a name that `missing` knows."""
    for name in names:
        reason = missing(name)
        if reason and os.environ.get("CI"):
            pytest.fail(f"{reason} (in CI every part must be there)", pytrace=False)
        if reason:
            pytest.skip(reason)


@functools.cache
def missing(name: str) -> str | None:
    """Why the part cannot be used; None when it can."""
    if name.startswith("python:"):
        module = name.removeprefix("python:")
        return None if importlib.util.find_spec(module) else f"the Python package {module} is not installed"
    if name == "extension":
        tool = Path(__file__).parents[1] / "extension/node_modules/.bin/esbuild"
        return None if tool.exists() else "extension/ is not installed: `cd extension && jlpm install`"
    if name == "front end":
        built = Path(__file__).parents[1] / "swarm_lab" / "jupyter"
        there = all((built / part).is_file() for part in ("labextension/package.json", "static/views.js"))
        return None if there else "the front end is not built: `make extension`"
    if name == "anvil":
        return _missing_anvil()
    if name == "faketime":  # the library alone, which Debian puts beside the program
        found = any(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        return None if found else "faketime is not installed"
    if name == "root":
        return None if os.geteuid() == 0 else "only root may do what this test does to the machine"
    if name == "netns":
        return _missing_netns()
    return None if shutil.which(name) else f"{name} is not on the PATH"


def _missing_netns() -> str | None:
    """Ask this machine for a network of one's own, and for what hurts its links; it is gone with the command."""
    shape = "tc qdisc add dev lo root tbf rate 1mbit burst 64kb latency 100ms"
    lose = "iptables -A INPUT -m statistic --mode random --probability 0.5 -j DROP"
    asked = f"ip link add type veth && ip link add type bridge && {shape} && {lose} && test -c /dev/net/tun"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", asked], capture_output=True, text=True, timeout=20, check=False
    )
    return f"no networks of one's own here: {done.stderr.strip() or done.returncode}" if done.returncode else None


def _missing_anvil() -> str | None:
    from swarm_lab.errors import SwarmLabError
    from swarm_lab.provision.tools import anvil

    try:
        anvil()
    except SwarmLabError as error:
        return str(error).splitlines()[0]
    return None

"""Bringing a swarm up and down: what is checked, what is waited for, and that nothing runs on after a failure."""

from __future__ import annotations

import errno
import importlib.util
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout

from swarm_lab.errors import NoFramework, NoRoom, NotReady, PortTaken, SwarmRuns, UsageError
from swarm_lab.facts.events import EventLog, read
from swarm_lab.facts.paths import SwarmPaths
from swarm_lab.facts.process import all_of
from swarm_lab.facts.swarm import SwarmFacts, read_swarm
from swarm_lab.front.status import READY, NodeStatus, SwarmStatus, last_words, status_of
from swarm_lab.nodes.config import Framework
from swarm_lab.provision.local import LocalNodes
from swarm_lab.provision.plan import plan
from swarm_lab.provision.ports import held_by, holder, is_free, port_of
from swarm_lab.spec import SwarmSpec

Say = Callable[[str], None]

_LOOK_S = 0.15
_LOCK_LIMIT_S = 10.0
_OTHER_PORTS = 3  # times that a new swarm looks for others, when somebody was faster
_PACKAGES: dict[Framework, str] = {"torch": "torch", "keras": "keras", "sklearn": "sklearn"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `up` was asked for beside the name; None where it was left out."""

    sl: int | None = None
    sn: int | None = None
    framework: Framework | None = None
    cold: bool | None = None


def bring_up(paths: SwarmPaths, spec: SwarmSpec, wanted: Wanted, wait_s: float, say: Say) -> SwarmStatus:
    """Start a new swarm or one that is down, and wait until every node is ready.

    Raises `SwarmRuns`, license and tool errors and `PortTaken` before any process starts, and `NotReady` after
    everything that had started was ended again.
    """
    with alone(paths), room(paths):
        status = _start_anywhere(paths, spec, wanted, wait_s, say)
        EventLog(paths.root).append("swarm_up", nodes=[node.name for node in status.nodes])
        return status


def _start_anywhere(paths: SwarmPaths, spec: SwarmSpec, wanted: Wanted, wait_s: float, say: Say) -> SwarmStatus:
    """Start; a new swarm whose ports somebody took meanwhile looks for others, a few times."""
    avoid: set[int] = set()
    for _ in range(_OTHER_PORTS):
        facts = _facts(paths, spec, wanted, avoid)
        try:
            return _start(paths, facts, spec, wait_s, say)
        except PortTaken as error:
            if _was_up(paths):
                raise  # it must keep its addresses
            say(f"{error.message}: taking other ports")
            avoid |= {port_of(address) for address in facts.ports.values()}
    return _start(paths, _facts(paths, spec, wanted, avoid), spec, wait_s, say)


def _start(paths: SwarmPaths, facts: SwarmFacts, spec: SwarmSpec, wait_s: float, say: Say) -> SwarmStatus:
    nodes = LocalNodes(paths, facts)
    if nodes.running:
        raise SwarmRuns(f"the swarm {facts.name!r} already runs")
    check_seats_of(paths, facts)
    _check_framework(facts.framework)
    _place_anvil(say)
    _write(paths, spec, facts)
    try:
        nodes.start(say)
        return _until_ready(paths, facts, wait_s, say)
    except BaseException:  # also Ctrl-C: a swarm is up as a whole or not at all
        say("ending what had started")
        nodes.stop(say)
        raise


def bring_down(paths: SwarmPaths, facts: SwarmFacts, say: Say) -> SwarmStatus:
    """End every process of the swarm, also those that a killed supervisor left behind."""
    with alone(paths):
        nodes = LocalNodes(paths, facts)
        was_up = nodes.running or bool(nodes.orphans())
        nodes.stop(say)
        from swarm_lab.licensing.desk import release_seats

        release_seats(paths.root)
        if was_up:
            EventLog(paths.root).append("swarm_down")
        return status_of(paths, facts)


@contextmanager
def alone(paths: SwarmPaths) -> Iterator[None]:
    """Hold the swarm's lock: only one caller at a time starts or ends its processes."""
    paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(paths.root / ".lock", timeout=_LOCK_LIMIT_S, mode=0o600):
            yield
    except Timeout:
        raise SwarmRuns(
            f"another call has been changing the swarm {paths.name!r} for more than {_LOCK_LIMIT_S:.0f} s",
            next_step="wait until it has ended, then call again",
        ) from None


@contextmanager
def room(paths: SwarmPaths) -> Iterator[None]:
    """Say of a full disk what it is."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"no space is left at {error.filename or paths.root}") from error
        raise


def installed_framework() -> Framework:
    """The ML framework of this environment: PyTorch, else Keras, else scikit-learn; raises `NoFramework`."""
    for framework, package in _PACKAGES.items():
        if importlib.util.find_spec(package) is not None:
            return framework
    raise NoFramework("none of torch, keras and scikit-learn is installed in this environment")


def _check_framework(framework: Framework) -> None:
    if importlib.util.find_spec(_PACKAGES[framework]) is None:
        raise NoFramework(
            f"the swarm is one of {framework}, which is not installed",
            next_step=f"`pip install 'swarm-lab[{framework}]'`",
        )


def _facts(paths: SwarmPaths, spec: SwarmSpec, wanted: Wanted, avoid: Collection[int]) -> SwarmFacts:
    """The facts of a swarm that exists, if they fit what is asked; else a plan for a new one, without these ports."""
    if _was_up(paths):
        facts = read_swarm(paths)
        _same(facts, wanted)
        return facts
    return plan(
        paths,
        sl=spec.sl,
        sn=spec.sn,
        framework=spec.framework or installed_framework(),
        cold=spec.cold,
        options=spec.node_options,
        now=time.time(),
        avoid=avoid,
        hosts=spec.hosts,
    )


def _was_up(paths: SwarmPaths) -> bool:
    """Whether the swarm has ever been up; what a failed first `up` resolved binds nobody."""
    return paths.swarm.exists() and any(event["event"] == "swarm_up" for event in read(paths.root))


def _same(facts: SwarmFacts, wanted: Wanted) -> None:
    have = {
        "sl": len(facts.seats),
        "sn": len(facts.network),
        "framework": facts.framework,
        "cold": facts.cold,
    }
    for name, value in have.items():
        asked = getattr(wanted, name)
        if asked is not None and asked != value:
            raise UsageError(
                f"the swarm {facts.name!r} exists with {name} {value}, not {asked}",
                next_step="leave the option out, use `add` and `remove`, or choose another --name",
            )


def check_seats_of(paths: SwarmPaths, facts: SwarmFacts) -> None:
    """Raise `NoSeat` unless the license has seats for all of the swarm's nodes."""
    from swarm_lab.licensing import check_seats

    kinds = [node.kind for node in facts.nodes]
    check_seats(paths.root, {kind: kinds.count(kind) for kind in ("sentinel", "sn", "sl")})


def _place_anvil(say: Say) -> None:
    from swarm_lab.provision.tools import anvil

    anvil(say)


def _write(paths: SwarmPaths, spec: SwarmSpec, facts: SwarmFacts) -> None:
    if not _was_up(paths):
        spec.write(paths.spec)
    facts.write(paths)


def _until_ready(paths: SwarmPaths, facts: SwarmFacts, wait_s: float, say: Say) -> SwarmStatus:
    until = time.monotonic() + wait_s
    told = ""
    while True:
        status = status_of(paths, facts)
        missing = [node for node in status.nodes if node.state not in READY]
        if not missing:
            return status
        given_up = [node for node in missing if node.state == "failed" and node.pid is None]
        if given_up or time.monotonic() > until:
            raise NotReady(complaint(paths, given_up or missing, wait_s, given_up=bool(given_up)))
        _check_ports(paths, facts, missing)
        news = f"{len(status.nodes) - len(missing)} of {len(status.nodes)} nodes ready; " + _say_of(missing[0])
        if news != told:
            told = news
            say(news)
        time.sleep(_LOOK_S)


def _check_ports(paths: SwarmPaths, facts: SwarmFacts, missing: list[NodeStatus]) -> None:
    """Raise `PortTaken` where a node ends again and again because somebody took its port after it was found free."""
    ended = {node.name for node in missing if node.pid is None}
    for name, address in facts.ports.items():
        port = port_of(address)
        if name not in ended or is_free(port):
            continue
        found = holder(port)
        # The node may have come back since it was asked for.
        if found is not None and found.pid not in {process.pid for process in all_of(paths.root)}:
            raise PortTaken(f"port {port} of {name} is held by {held_by(port)}")


def _say_of(node: NodeStatus) -> str:
    return f"{node.name} is {node.state}" + (f": {node.message}" if node.message else "")


def complaint(paths: SwarmPaths, missing: list[NodeStatus], wait_s: float, *, given_up: bool) -> str:
    """Who is missing and what it says, in its state or else in its log."""
    said = []
    for node in missing[:4]:
        words = node.message if node.pid is not None else ""
        words = words or last_words(paths.log(node.name)) or node.message
        said.append(f"{node.name} is {node.state}" + (f" ({words})" if words else ""))
    more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    limit = "a node does not start" if given_up else f"not every node was ready after {wait_s:.0f} s"
    return f"{limit}: {'; '.join(said)}{more}"

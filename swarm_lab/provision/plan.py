"""Which nodes a swarm on this machine has and where each listens; the nodes' configurations made from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from swarm_lab.errors import BadSpec
from swarm_lab.facts.paths import SwarmPaths, run_dir_of
from swarm_lab.facts.swarm import LOCAL, Host, NodeFacts, NodeKind, SwarmFacts, read_swarm, swarm_names
from swarm_lab.nodes.config import Framework, NodeConfig
from swarm_lab.provision.ports import LOOPBACK, free_ports, port_of

NOWHERE_ELSE: Mapping[str, Host] = MappingProxyType({})


def plan(
    paths: SwarmPaths,
    *,
    sl: int,
    sn: int,
    framework: Framework,
    cold: bool,
    options: dict[str, str],
    now: float,
    avoid: Collection[int] = (),
    hosts: Mapping[str, Host] = NOWHERE_ELSE,
) -> SwarmFacts:
    """A new swarm with `sl` seats and `sn` SNs, the sentinel among them, on ports that are free now.

    `avoid` are ports that it does not take, free or not; `hosts` the nodes that do not listen on loopback. Raises
    `BadSpec` for a host of a node that there is not, or that answers this machine only.
    """
    names: list[tuple[str, NodeKind]] = [("identity", "identity"), ("chain", "chain"), ("license", "license")]
    names += [("sentinel", "sentinel"), *((f"sn-{i}", "sn") for i in range(2, sn + 1))]
    names += [] if cold else [("seats", "seats")]
    names += [(f"sl-{i}", "sl") for i in range(1, sl + 1)]
    _check_hosts(hosts, names)
    return SwarmFacts(
        name=paths.name,
        trust_domain=f"{paths.name}.swarm",
        run_dir=run_dir_of(paths.root),
        framework=framework,
        cold=cold,
        created=now,
        nodes=_place(names, ports_of_others(paths.name).union(avoid), hosts),
        options=options,
    )


def more_seats(facts: SwarmFacts, count: int) -> tuple[NodeFacts, ...]:
    """`count` further seats, numbered on."""
    last = max((int(name.rpartition("-")[2]) for name in facts.seats), default=0)
    names: list[tuple[str, NodeKind]] = [(f"sl-{last + i}", "sl") for i in range(1, count + 1)]
    mine = {port_of(address) for address in facts.ports.values()}
    return _place(names, mine | ports_of_others(facts.name))


def config_of(facts: SwarmFacts, node: NodeFacts, paths: SwarmPaths) -> NodeConfig:
    """What the node's main program is given."""
    license_node, chain = facts.of_kind("license")[0], facts.of_kind("chain")[0]
    return NodeConfig(
        swarm=facts.name,
        name=node.name,
        kind=node.kind,
        trust_domain=facts.trust_domain,
        directory=paths.node(node.name),
        swarm_dir=paths.root,
        run_dir=facts.run_dir,
        address=node.address,
        sentinel=facts.of_kind("sentinel")[0].name,
        network=facts.network,
        license_address=license_node.address,
        chain_url=f"http://{chain.address}",
        framework=facts.framework,
        options={**facts.options, "cold": "1" if facts.cold else "0"},
    )


def ports_of_others(name: str) -> set[int]:
    """The ports that this user's other swarms keep, also those that do not run."""
    found: set[int] = set()
    for other in swarm_names():
        if other != name:
            addresses = read_swarm(SwarmPaths.of(other)).ports.values()
            found.update(map(port_of, addresses))
    return found


def stale_sockets(run_dir: Path) -> list[Path]:
    """What a swarm that was killed left behind: a socket file keeps the next one from binding."""
    return [path for path in run_dir.iterdir() if path.is_socket()]


def _check_hosts(hosts: Mapping[str, Host], names: Iterable[tuple[str, NodeKind]]) -> None:
    known = {name for name, kind in names if kind in ("license", "sentinel", "sn", "sl")}
    for name in hosts:
        if name not in known:
            raise BadSpec(f"hosts: {name} is no node with an address of its own; there are {', '.join(sorted(known))}")


def _place(
    names: Iterable[tuple[str, NodeKind]], taken: set[int], hosts: Mapping[str, Host] = NOWHERE_ELSE
) -> tuple[NodeFacts, ...]:
    nodes = []
    for name, kind in names:
        address, place = "", hosts.get(name)
        if kind not in ("identity", "seats"):
            port = next(free_ports(kind, taken))
            taken.add(port)
            address = f"{place.address if place else LOOPBACK}:{port}"
        host = (place.netns if place else None) or LOCAL
        nodes.append(NodeFacts(name=name, kind=kind, address=address, host=host))
    return tuple(nodes)

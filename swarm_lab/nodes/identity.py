"""The identity node: the dev issuer of a swarm, on a socket for its nodes and one for its owner."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from swarm_lab.errors import UsageError
from swarm_lab.facts.state import StateFile
from swarm_lab.identity.attest import NodeAttestor, OwnerAttestor, RefusedError
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.issuer import DEFAULT_LIFE, LEAST_LIFE, Issuance, Listener, WorkloadApi
from swarm_lab.identity.launches import Launches, SupervisorLauncher
from swarm_lab.nodes.config import ROLES, NodeConfig
from swarm_lab.nodes.run import run


def main(config: NodeConfig) -> None:
    """Run the issuer until a signal ends it; `options["svid_ttl"]` is the life of an SVID in seconds."""
    run(config, serve)


async def serve(config: NodeConfig) -> None:
    """Listen on both sockets until cancelled."""
    state = StateFile(config.directory / "state.json")
    state.update("starting", spiffe_id=str(config.spiffe_id))
    authority = Authority.load_or_create(config.directory, config.trust_domain)
    issuance = Issuance(authority, svid_life(config))
    launches = Launches(SupervisorLauncher(config.run_dir / "supervisor.sock"))
    owner = os.getuid()
    nodes = NodeAttestor(owner, launches, registered(config.swarm_dir, config.trust_domain))
    operator = OwnerAttestor(owner, launches, config.trust_domain)
    listeners = [
        Listener(config.workload_socket, WorkloadApi(issuance, nodes)),
        Listener(config.operator_socket, WorkloadApi(issuance, operator)),
    ]
    config.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for listener in listeners:
        await listener.start()
    state.update("ready", f"issues for {config.trust_domain}", authority_expires=authority.expires)
    try:
        await asyncio.Event().wait()  # until `run` cancels this task
    finally:
        for listener in listeners:
            await listener.close()


def svid_life(config: NodeConfig) -> timedelta:
    """The life of an SVID; raises `UsageError` where the option is no number of seconds."""
    text = config.options.get("svid_ttl")
    if text is None:
        return DEFAULT_LIFE
    try:
        life = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        life = timedelta(0)
    if life < LEAST_LIFE:
        least = LEAST_LIFE.total_seconds()
        raise UsageError(f"svid_ttl is {text!r}; it takes a number of seconds, {least:g} at least")
    return life


def registered(swarm_dir: Path, trust_domain: str) -> Callable[[str], SpiffeId]:
    """The identity that a node's own configuration names, read when asked: nodes may be added at any time."""

    def entry(name: str) -> SpiffeId:
        try:
            node = NodeConfig.read(swarm_dir / "nodes" / name / "config.json")
        except (OSError, ValidationError) as error:
            raise RefusedError(f"{name} has no configuration that can be read") from error
        if node.kind not in ROLES or node.kind == "swci":
            raise RefusedError(f"{name} is of kind {node.kind}, which has no identity")
        if (node.name, node.trust_domain) != (name, trust_domain):
            raise RefusedError(f"the configuration of {name} is of {node.name} in {node.trust_domain}")
        return node.spiffe_id

    return entry

"""The chain of a dev swarm: becomes `anvil`, with the same pid, closed to everything but this machine.

It keeps nothing on disk: when it was killed it comes back empty, and the SNs replay their journals.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from swarm_lab.errors import PortTaken, SwarmLabError
from swarm_lab.facts import logs, process
from swarm_lab.facts.state import StateFile
from swarm_lab.nodes.config import NodeConfig

log = logging.getLogger(__name__)

CHAIN_ID = 77431
# Far above what a block uses: a block more than half full would raise the base fee above 0.
_BLOCK_GAS = 1_000_000_000


def command(binary: Path, port: int, chain_id: int = CHAIN_ID, block_time: str | None = None) -> list[str]:
    """How anvil is started: no accounts of its own, gas free of charge, a block for each transaction at once.

    `block_time`: seconds between blocks instead, for trying out how a slow chain feels.
    """
    fixed = ["--host", "127.0.0.1", "--accounts", "0", "--quiet", "--no-cors", "--threads", "1"]
    gas = ["--base-fee", "0", "--gas-price", "0", "--gas-limit", str(_BLOCK_GAS)]
    bare = ["--disable-console-log", "--disable-default-create2-deployer", "--prune-history", "64"]
    timing = ["--block-time", block_time] if block_time else []
    return [str(binary), "--port", str(port), "--chain-id", str(chain_id), *fixed, *gas, *bare, *timing]


def main(config: NodeConfig) -> None:
    """Check the port, write the process's record, and become anvil.

    Options: `block_time` (seconds), `chain_id`. Where that cannot be, the cause is in `state.json` and the log.
    """
    logs.configure(config)
    config.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    process.record_self(config.directory)
    state = StateFile(config.directory / "state.json")
    try:
        arguments = _prepared(config, state)
    except SwarmLabError as error:
        log.error(error.message, extra={"code": error.code, "next": error.next_step})
        state.update("failed", f"{error.code}: {error.message}", next=error.next_step)
        raise SystemExit(1) from error
    log.info("the chain starts", extra={"address": config.address})
    # Said before it listens, a tenth of a second too early: afterwards there is nobody left to say it.
    state.update("ready", "")
    os.execv(arguments[0], arguments)  # noqa: S606 - no shell is the point


def _prepared(config: NodeConfig, state: StateFile) -> list[str]:
    """The command line; raises `PortTaken`, `ToolNotFetched`, `ToolDoesNotRun`."""
    from swarm_lab.provision.tools import anvil

    state.update("starting", "looking for anvil")
    port = int(config.address.rpartition(":")[2])
    binary = anvil(log.info)
    _must_be_free(port)
    chain_id = int(config.options.get("chain_id", CHAIN_ID))
    return command(binary, port, chain_id, config.options.get("block_time"))


def _must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(f"port {port} for the chain is taken: {error}") from error

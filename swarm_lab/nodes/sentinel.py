"""The sentinel: the first SN. It makes the contracts, and it alone enrols other SNs."""

from __future__ import annotations

import asyncio
import logging

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.deploy import deploy
from swarm_lab.ledger.network import registration
from swarm_lab.ledger.roster import RosterNode
from swarm_lab.nodes import sn
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.contracts import chain_id, save
from swarm_lab.nodes.run import run

log = logging.getLogger(__name__)

_RETRY_S = 0.3


def main(config: NodeConfig) -> None:
    """Run the sentinel until a signal ends it."""
    run(config, serve)


async def serve(config: NodeConfig) -> None:
    """Make what is missing of the contracts, then serve the SN API until cancelled."""
    async with sn.opened(config) as node:
        ledger = await _ledger(node)
        node.roster.put(RosterNode(config.spiffe_id, node.key.address, config.address, ""))
        await sn.serve(node, ledger)


async def _ledger(node: sn.SnNode) -> Ledger:
    """The ledger with contracts on it; starts again where the chain goes away in between."""
    config = node.config
    while True:
        await node.chain_is_there()
        try:
            contracts = await deploy(node.relay, node.key, await chain_id(node.relay))
            ledger = Ledger(node.relay, contracts, node.key)
            proof = registration(node.key, contracts, config.spiffe_id, config.address, "").proof
            await ledger.enrol(str(config.spiffe_id), node.key.address, "sn", proof)
        except LedgerUnreachable as error:
            node.waiting(f"waiting for the chain: {error.message}")
            await asyncio.sleep(_RETRY_S)
            continue
        save(config.directory, contracts)
        log.info("the contracts are in place", extra={"rounds": contracts.rounds})
        return ledger

"""An SN: registers with the sentinel, which makes the contracts, then offers the same API."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from swarm_lab.errors import LedgerUnreachable
from swarm_lab.ledger.client import Ledger
from swarm_lab.ledger.network import SnLink, read_contracts, registration
from swarm_lab.ledger.records import Contracts
from swarm_lab.ledger.roster import RosterNode
from swarm_lab.nodes import sn
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.contracts import save, saved
from swarm_lab.nodes.run import run

log = logging.getLogger(__name__)

_RETRY_S = 0.3


def main(config: NodeConfig) -> None:
    """Run an SN until a signal ends it."""
    run(config, serve)


async def serve(config: NodeConfig) -> None:
    """Wait for chain, contracts and enrolment, then serve the SN API until cancelled."""
    async with sn.opened(config) as node:
        sentinel = {config.sentinel: config.network[config.sentinel]}
        link = SnLink(node.dialer, sentinel, config.spiffe_id)
        await node.chain_is_there()
        contracts = await _contracts(node, link)
        ledger = Ledger(node.relay, contracts, node.key)
        request = registration(node.key, contracts, config.spiffe_id, config.address, "")
        await _until_enrolled(node, link, ledger, request)
        node.roster.put(RosterNode(config.spiffe_id, node.key.address, config.address, ""))
        await sn.serve(node, ledger)


async def _contracts(node: sn.SnNode, link: SnLink) -> Contracts:
    known = saved(node.config.directory)
    while known is None:
        try:
            known = await read_contracts(link)
        except LedgerUnreachable as error:
            node.waiting("waiting for the sentinel to make the contracts")
            log.debug("no answer", extra={"reason": error.message})
            await asyncio.sleep(_RETRY_S)
    save(node.config.directory, known)
    return known


async def _until_enrolled(node: sn.SnNode, link: SnLink, ledger: Ledger, request: Any) -> None:
    """Register with the sentinel; one that is enrolled already goes on without it."""
    while True:
        try:
            if await ledger.kind_of(node.key.address) == "sn":
                return
            await link.call("Register", request)
            return
        except LedgerUnreachable as error:
            node.waiting("waiting for the sentinel to enrol this SN")
            log.debug("not enrolled", extra={"reason": error.message})
            await asyncio.sleep(_RETRY_S)

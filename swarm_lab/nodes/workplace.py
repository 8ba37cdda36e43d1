"""What an SL node lends its trainings."""

from __future__ import annotations

from dataclasses import dataclass

from swarm_lab.facts.events import EventLog
from swarm_lab.facts.state import StateFile
from swarm_lab.ledger.client import Ledger
from swarm_lab.nodes.config import NodeConfig
from swarm_lab.nodes.directory import Directory
from swarm_lab.nodes.launching import Start
from swarm_lab.nodes.staging import Stage
from swarm_lab.nodes.stream_hub import StreamHub
from swarm_lab.nodes.transport import Transport


@dataclass(frozen=True)
class Workplace:
    """What a node lends its trainings."""

    config: NodeConfig
    ledger: Ledger
    directory: Directory
    transport: Transport
    streams: StreamHub
    events: EventLog
    state: StateFile
    stage: Stage
    start: Start
    start_cold: Start

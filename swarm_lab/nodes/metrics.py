"""The swarm's metrics at an SN, over mutual TLS: one service that the SN puts beside its own.

    server = grpc.aio.server(interceptors=[Authorizer(source, {**RULES, **metrics.RULES})], ...)
    metrics.add_to(server, config.swarm_dir)

It serves what lies in the swarm's directory on the SN's machine: nodes on other machines need an SN of their own there.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from swarm_lab.facts.metrics import exposition
from swarm_lab.protos import metrics_pb2, metrics_pb2_grpc

RULES = {"/swarm.v1.Metrics/": frozenset({"swci"})}
READ_LIMIT_S = 10.0


class MetricsService(metrics_pb2_grpc.MetricsServicer):
    """Reads the nodes' numbers when asked."""

    def __init__(self, swarm_dir: Path) -> None:
        self._swarm_dir = swarm_dir

    async def Read(
        self, request: metrics_pb2.MetricsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> metrics_pb2.MetricsReply:
        """All nodes' numbers."""
        return metrics_pb2.MetricsReply(text=await asyncio.to_thread(exposition, self._swarm_dir))


def add_to(server: grpc.aio.Server, swarm_dir: Path) -> None:
    """Offer the metrics of the swarm in `swarm_dir`; the server's `Authorizer` needs `RULES`."""
    metrics_pb2_grpc.add_MetricsServicer_to_server(MetricsService(swarm_dir), server)  # type: ignore[no-untyped-call]


async def read(channel: grpc.aio.Channel) -> str:
    """The swarm's metrics from the SN behind `channel`; raises gRPC's errors."""
    stub = metrics_pb2_grpc.MetricsStub(channel)  # type: ignore[no-untyped-call]
    reply: metrics_pb2.MetricsReply = await stub.Read(metrics_pb2.MetricsRequest(), timeout=READ_LIMIT_S)
    return reply.text

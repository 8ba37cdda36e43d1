"""The swarm's metrics over mutual TLS: for the operator, and for nobody else."""

from datetime import timedelta

import grpc
import pytest

from swarm_lab.facts import metrics as facts
from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import SERVER_OPTIONS, Authorizer, channel, server_credentials
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource
from swarm_lab.nodes import metrics

SN = SpiffeId("demo.swarm", "sn", "sentinel")
AUTHORITY = Authority.create("demo.swarm")


def source(who):
    return FixedSource(AUTHORITY.issue(who, timedelta(hours=1)), {"demo.swarm": AUTHORITY.bundle})


@pytest.fixture
async def address(tmp_path):
    (tmp_path / "nodes" / "sl-1").mkdir(parents=True)
    facts.write(tmp_path / "nodes" / "sl-1")
    mine = source(SN)
    server = grpc.aio.server(interceptors=[Authorizer(mine, metrics.RULES)], options=SERVER_OPTIONS)
    metrics.add_to(server, tmp_path)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(mine))
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def test_the_operator_reads_them(address):
    async with channel(address, SN, source(SpiffeId("demo.swarm", "swci", "operator"))) as opened:
        text = await metrics.read(opened)
    assert 'swarm_lab_rounds_total{node="sl-1"' in text


async def test_a_node_does_not(address):
    async with channel(address, SN, source(SpiffeId("demo.swarm", "sl", "sl-1"))) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await metrics.read(opened)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

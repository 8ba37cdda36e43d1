"""An SVID below an intermediate authority, as SPIRE issues it under an upstream one, over real gRPC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from swarm_lab.identity.authority import Authority
from swarm_lab.identity.credentials import Authorizer, channel, current_peer, server_credentials
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import FixedSource, Svid

HOUR = timedelta(hours=1)
SERVER, PEER = SpiffeId("a.swarm", "sl", "sl-1"), SpiffeId("a.swarm", "sl", "sl-2")


class Handlers(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.unary_unary_rpc_method_handler(self.whoami)

    async def whoami(self, request: bytes, context: Any) -> bytes:
        return str(current_peer()).encode()


def certificate(subject: x509.Name, key: Any, root: x509.Name, root_key: Any, length: int) -> bytes:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(root)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.BasicConstraints(True, length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
        .sign(root_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


async def test_the_intermediate_that_a_peer_sends_is_used() -> None:
    middle, root_key = Authority.create("a.swarm"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    root = certificate(name, root_key, name, root_key, 1)
    between = certificate(middle._cert.subject, middle._key, name, root_key, 0)

    def source(who: SpiffeId) -> FixedSource:
        svid = middle.issue(who, HOUR)
        chain = svid.cert_pem + between
        return FixedSource(Svid(who, chain, svid.key_pem, svid.issued, svid.expires), {"a.swarm": root})

    ours = source(SERVER)
    server = grpc.aio.server(interceptors=[Authorizer(ours, {"/t.": {"sl"}})])
    server.add_generic_rpc_handlers((Handlers(),))
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', server_credentials(ours))}"
    await server.start()
    async with channel(address, SERVER, source(PEER)) as opened:
        assert await opened.unary_unary("/t.T/WhoAmI")(b"", timeout=5) == str(PEER).encode()
    await server.stop(0)

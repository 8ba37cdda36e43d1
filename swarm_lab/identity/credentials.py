"""Mutual TLS between nodes: gRPC credentials made from an SVID source, for servers and clients.

What gRPC for Python leaves unchecked is checked here and in `peers`: a client trusts the bundle of the peer's trust
domain alone and insists on the peer's DNS name, which the authority gives to that node's SPIFFE ID and to no other;
a server verifies the caller's leaf against the trust domain that it claims (`Authorizer`).

The TLS 1.3 streams for tensors get their `ssl.SSLContext`s in `streams`, from the same source and with the same check.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import grpc
import grpc.aio

from swarm_lab.identity.authorizer import Authorizer, current_peer
from swarm_lab.identity.ids import SpiffeId
from swarm_lab.identity.svid import IdentitySource

__all__ = [
    "CHANNEL_OPTIONS",
    "SERVER_OPTIONS",
    "Authorizer",
    "channel",
    "current_peer",
    "server_credentials",
]

Option = tuple[str, int | str]

# A small model rides on a control message; larger ones go another way.
MAX_MESSAGE = 64 * 1024 * 1024
_SIZES: tuple[Option, ...] = (
    # A model is on its way while the other side still reads: with gRPC's 64 KiB each side waits for the other all the
    # time, and a model costs nearly twice as much.
    ("grpc.http2.lookahead_bytes", 8 * 1024 * 1024),
    ("grpc.http2.max_frame_size", 1024 * 1024),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
)
SERVER_OPTIONS: tuple[Option, ...] = (
    *_SIZES,
    ("grpc.http2.min_ping_recv_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Two servers on one port would share the callers between them and nobody would know.
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS: tuple[Option, ...] = (
    *_SIZES,
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A node that was started again is found within two seconds; gRPC's default grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Nodes talk to each other directly; a proxy of the environment is for other traffic.
    ("grpc.enable_http_proxy", 0),
    # Connections belong to one channel: the one with a new SVID must not go on with the old one's.
    ("grpc.use_local_subchannel_pool", 1),
)


def server_credentials(source: IdentitySource) -> grpc.ServerCredentials:
    """Credentials of a server that demands an SVID of its callers and shows its newest at each handshake.

    Use them with `Authorizer`, which checks what TLS here does not: `grpc.aio.server(interceptors=[Authorizer(...)],
    options=SERVER_OPTIONS)`.
    """
    shown = source.generation

    def configuration() -> grpc.ServerCertificateConfiguration:
        svid = source.svid()
        roots = b"".join(bundle for _, bundle in sorted(source.bundles().items()))
        return grpc.ssl_server_certificate_configuration([(svid.key_pem, svid.cert_pem)], roots)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        generation = source.generation
        if generation == shown:
            return None  # gRPC keeps the last one
        shown = generation
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        renewed,  # type: ignore[arg-type]
        require_client_authentication=True,
    )


@overload
def channel(
    address: str, peer: SpiffeId, source: IdentitySource, aio: Literal[True] = True, options: Sequence[Option] = ()
) -> grpc.aio.Channel: ...


@overload
def channel(
    address: str, peer: SpiffeId, source: IdentitySource, aio: Literal[False], options: Sequence[Option] = ()
) -> grpc.Channel: ...


def channel(
    address: str,
    peer: SpiffeId,
    source: IdentitySource,
    aio: bool = True,
    options: Sequence[Option] = (),
) -> Any:
    """A channel to `address` that speaks to `peer` and to nobody else, with the SVID of now.

    It does not rotate: what lives longer than an SVID uses `dialer.Dialer`. Raises `UnknownTrustDomain` and
    `IdentityExpired`.
    """
    svid = source.svid()
    credentials = grpc.ssl_channel_credentials(source.bundle(peer.trust_domain), svid.key_pem, svid.cert_pem)
    arguments = [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", peer.dns_name), *options]
    open_channel = grpc.aio.secure_channel if aio else grpc.secure_channel
    return open_channel(address, credentials, options=arguments)

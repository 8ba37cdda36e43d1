"""How messages between SL nodes are framed: `peer.proto`'s Frame, with the chunks of a model neither parsed nor copied.

protobuf copies the bytes of a field once when it is set and once when it is read; for a model that is most of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from swarm_lab.protos import peer_pb2
from swarm_lab.rounds.layout import Buffer

SERVICE = "swarm.v1.Peer"
DELIVER = f"/{SERVICE}/Deliver"
CHUNK = 1 << 20
_CHUNK_TAG = 0x12  # of `Frame.chunk`: field 2, length-delimited


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a model."""

    data: memoryview


def frames_of(head: peer_pb2.Head, payload: Buffer | None) -> Iterator[bytes]:
    """A message as it travels: its head, then its payload in chunks."""
    yield peer_pb2.Frame(head=head).SerializeToString()
    if payload is not None:
        view = memoryview(payload).cast("B")
        for start in range(0, view.nbytes, CHUNK):
            chunk = view[start : start + CHUNK]
            yield b"".join((bytes((_CHUNK_TAG,)), _varint(chunk.nbytes), chunk))


def parse(data: bytes) -> peer_pb2.Head | Chunk | None:
    """A frame; None for one that holds neither head nor chunk. Raises `DecodeError` where it is no frame."""
    if data[:1] == bytes((_CHUNK_TAG,)):
        size, start = 0, 1
        for shift in range(0, 35, 7):  # more than 4 GiB are no chunk
            byte = data[start] if start < len(data) else 0x80
            size, start = size | (byte & 0x7F) << shift, start + 1
            if byte < 0x80:
                break
        if start + size == len(data):
            return Chunk(memoryview(data)[start:])
    # A head, or a frame as somebody else's protobuf writes it.
    frame = peer_pb2.Frame.FromString(data)
    kind = frame.WhichOneof("content")
    return frame.head if kind == "head" else Chunk(memoryview(frame.chunk)) if kind == "chunk" else None


def add_to(server: grpc.aio.Server, servicer: Any) -> None:
    """Offer the service `Peer`: `Deliver` with frames as `parse` gives them, the rest as generated."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Deliver": grpc.stream_stream_rpc_method_handler(
            servicer.Deliver, request_deserializer=parse, response_serializer=peer_pb2.Ack.SerializeToString
        ),
        "Describe": grpc.unary_unary_rpc_method_handler(
            servicer.Describe,
            request_deserializer=peer_pb2.DescribeRequest.FromString,
            response_serializer=peer_pb2.DescribeReply.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def _varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)

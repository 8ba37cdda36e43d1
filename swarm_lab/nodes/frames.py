"""Frames of the tensor streams: a prefix with two lengths, a head in JSON, a body of raw bytes.

Nothing here does I/O. A connection begins with one `Hello` of each side; a side that will not go on says `Refusal`
and closes. After that every frame has a `Head`. `Hello` and `Refusal` keep their fields in every version, so that two
versions can tell each other that they differ; a later one may add fields.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from annotated_types import Interval, MaxLen, MinLen
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from swarm_lab import __version__
from swarm_lab.errors import OtherProtocol
from swarm_lab.rounds.codec import BadMessage
from swarm_lab.rounds.layout import Buffer

PROTOCOL: Final = 1
"""Version of what follows `Hello`."""

PREFIX: Final = struct.Struct("!IQ")
"""Bytes of the head, bytes of the body."""

MAX_HEAD: Final = 64 * 1024

Kind = Literal["BLOCK", "MERGED", "LIST", "SLICE", "TABLES", "NEED", "MESSAGE"]
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Node = Annotated[str, Field(pattern=r"^(0x[0-9a-f]{40})?$")]
Number = Annotated[int, Interval(ge=0, lt=2**32)]
Short = Annotated[str, MaxLen(64)]

_EXACT = ConfigDict(strict=True, extra="forbid")
_TOLERANT = ConfigDict(strict=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of each side. `chain` is its SVID's, PEM, leaf first: TLS shows the other side the leaf alone."""

    __pydantic_config__ = _TOLERANT

    protocol: Number
    package: Short
    instance: Short
    chain: Annotated[str, MaxLen(24 * 1024)] = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the side that sends it closes the connection: the code of an error ("" = none) and its message."""

    __pydantic_config__ = _TOLERANT

    refused: Annotated[str, MinLen(1), MaxLen(1024)]
    code: Annotated[str, Field(pattern=r"^(SWL-[0-9]{3})?$")] = ""


@dataclass(frozen=True, slots=True)
class Head:
    """What the body of a frame is; which fields count follows from `kind`. "" and 0 stand for absent.

    A body of blocks holds `count` of them from `block` on, one after the other.
    """

    __pydantic_config__ = _EXACT

    training: Annotated[str, MinLen(1), MaxLen(64)]
    kind: Kind
    name: Short = ""
    key: Digest = ""
    root: Digest = ""
    block: Number = 0
    blocks: Annotated[tuple[Number, ...], MaxLen(256)] = ()
    origin: Node = ""
    to: Node = ""
    text: Annotated[str, MaxLen(1024)] = ""
    count: Number = 1


_HEAD: Final[TypeAdapter[Head]] = TypeAdapter(Head)
_HELLO: Final[TypeAdapter[Hello]] = TypeAdapter(Hello)
_REFUSAL: Final[TypeAdapter[Refusal]] = TypeAdapter(Refusal)
_ANSWER: Final[TypeAdapter[Hello | Refusal]] = TypeAdapter(Hello | Refusal)


def greeting(instance: str, chain: bytes) -> Hello:
    """This side's `Hello`."""
    return Hello(PROTOCOL, __version__[:64], instance, chain.decode("ascii"))


def encode(head: Head | Hello | Refusal, nbytes: int = 0) -> bytes:
    """Prefix and head of a frame with a body of `nbytes`. Raises `ValueError` for a head that no peer would take."""
    if isinstance(head, Head):
        data = _HEAD.dump_json(head)
        decode(data)
    else:
        adapter: TypeAdapter[Any] = _HELLO if isinstance(head, Hello) else _REFUSAL
        data = adapter.dump_json(head)
    return PREFIX.pack(len(data), nbytes) + data


def lengths(prefix: Buffer) -> tuple[int, int]:
    """Bytes of head and body of the frame that begins with `prefix`. Raises `BadMessage`."""
    head, body = PREFIX.unpack_from(prefix)
    if not 0 < head <= MAX_HEAD:
        raise BadMessage(f"a frame whose head has {head} bytes: at most {MAX_HEAD}")
    return head, body


def decode(data: bytes) -> Head:
    """The head in `data`. Raises `BadMessage`, whose text names the first bad field, not its value."""
    head: Head = _checked(_HEAD, data, "head")
    return head


def decode_hello(data: bytes) -> Hello:
    """The `Hello` in `data`, of any version. Raises `BadMessage`."""
    hello: Hello = _checked(_HELLO, data, "hello")
    return hello


def decode_answer(data: bytes) -> Hello | Refusal:
    """What a server said: its `Hello`, or why it closes. Raises `BadMessage`."""
    answer: Hello | Refusal = _checked(_ANSWER, data, "answer")
    return answer


def check_version(hello: Hello, peer: str) -> None:
    """Raise `OtherProtocol`, with both versions, unless the peer speaks this one."""
    if hello.protocol != PROTOCOL:
        raise OtherProtocol(
            f"{peer} speaks stream protocol {hello.protocol} (swarm-lab {hello.package[:32]!r}), "
            f"the other side {PROTOCOL} (swarm-lab {__version__!r})"
        )


def _checked(adapter: TypeAdapter[Any], data: bytes, what: str) -> Any:
    if len(data) > MAX_HEAD:
        raise BadMessage(f"{what} of {len(data)} bytes: at most {MAX_HEAD}")
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:32] for part in first["loc"][:6])
        raise BadMessage(f"{what}: {where}: {first['msg'][:120]}") from None

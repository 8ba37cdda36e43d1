"""Bytes of the control messages: JSON, checked strictly against the types of `messages`: a peer may be hostile."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from swarm_lab.rounds import messages as m

MAX_BYTES: Final = 64 * 1024 + 640 * m.MAX_NODES
"""No control message is longer; blocks and models do not travel in one."""

_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {
    cls.KIND: TypeAdapter(cls)
    for cls in (
        m.Heartbeat,
        m.CheckInMessage,
        m.PlanMessage,
        m.VoteMessage,
        m.CertificateMessage,
        m.StoredMessage,
        m.FetchMessage,
        m.ModelMessage,
    )
}


class BadMessage(ValueError):
    """A peer sent what no honest node sends: an unknown kind, too many bytes, or a field out of its bounds."""


def encode(message: m.Message) -> bytes:
    """The message as JSON; its kind travels beside it (`message.KIND`)."""
    return _ADAPTERS[message.KIND].dump_json(message)


def decode(kind: str, data: bytes) -> m.Message:
    """The message of that kind in `data`. Raises BadMessage, whose text names the first bad field, not its value."""
    adapter = _ADAPTERS.get(kind)
    if adapter is None:
        raise BadMessage(f"unknown kind of message {kind[:32]!r}")
    if len(data) > MAX_BYTES:
        raise BadMessage(f"{kind} of {len(data)} bytes: at most {MAX_BYTES}")
    try:
        message: m.Message = adapter.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:32] for part in first["loc"][:6])
        raise BadMessage(f"{kind}: {where}: {first['msg'][:120]}") from None
    return message

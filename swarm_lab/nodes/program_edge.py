"""The edge to a program: its frames are checked here, by pydantic and against bounds, before anything believes them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from swarm_lab import __version__
from swarm_lab.callback.messages import PROTOCOL, Bye, Evaluated, Failed, FromProgram, Hello, Sync
from swarm_lab.rounds.layout import Layout, TensorSpec

_ADAPTERS: dict[str, TypeAdapter[Any]] = {cls.kind: TypeAdapter(cls) for cls in (Hello, Sync, Evaluated, Failed, Bye)}
MAX_COUNT = 2**63


class Misbehaviour(Exception):
    """What a program did against the rules of the link; users see it as ProgramMisbehaved, with the program's name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a program may ask for: seconds until it connects and after it failed, bytes, counts."""

    connect: float = 60.0
    end: float = 10.0
    model_bytes: int = 64 * 2**30
    tensors: int = 100_000
    name: int = 512
    rank: int = 16
    arguments: int = 64
    text: int = 128 * 1024


def decode_from_program(body: bytes, limits: Limits) -> FromProgram:
    """The message in a frame; raises Misbehaviour."""
    try:
        kind = json.loads(body).get("kind")
        message: FromProgram = _ADAPTERS[kind].validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise Misbehaviour(f"sent a malformed {kind}: {first['loc']} {first['msg']}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Misbehaviour(f"sent {len(body)} bytes that are no message of the link") from error
    _check(message, limits)
    return message


def checked_layout(hello: Hello, limits: Limits) -> Layout:
    """The layout that a program asks for; raises Misbehaviour on names, shapes or sizes out of bounds."""
    if not 0 < len(hello.layout) <= limits.tensors:
        raise Misbehaviour(f"wants {len(hello.layout)} tensors; 1 to {limits.tensors} are allowed")
    for spec in hello.layout:
        if not 0 < len(spec.name) <= limits.name or not spec.name.isprintable():
            raise Misbehaviour(f"has a tensor name of {len(spec.name)} characters, or one that cannot be printed")
        if len(spec.shape) > limits.rank or any(not 0 <= extent < 2**48 for extent in spec.shape):
            raise Misbehaviour(f"has a tensor {spec.name!r} of an impossible shape")
    try:
        layout = Layout.of([TensorSpec(spec.name, spec.dtype, spec.shape) for spec in hello.layout])
    except ValueError as error:
        raise Misbehaviour(f"has a model that cannot travel: {error}") from error
    if layout.nbytes > limits.model_bytes:
        raise Misbehaviour(f"has a model of {layout.nbytes} bytes; at most {limits.model_bytes} are allowed")
    return layout


def _check(message: FromProgram, limits: Limits) -> None:
    if isinstance(message, Hello):
        if message.protocol != PROTOCOL:
            other = f"version {message.protocol} of the link (swarm-lab {message.package[:40]})"
            raise Misbehaviour(f"speaks {other}, its node version {PROTOCOL} ({__version__})")
        long = [str(value) for value in message.arguments.values() if len(str(value)) > limits.name]
        if len(message.arguments) > limits.arguments or long or len(message.package) > limits.name:
            raise Misbehaviour("sent a hello with too many or too long arguments")
    elif isinstance(message, Failed):
        if max(len(message.traceback), len(message.message), len(message.type)) > limits.text:
            raise Misbehaviour("sent a failure report that is too long")
    elif isinstance(message, Sync):
        if not (0 <= message.batches < MAX_COUNT and 0 <= message.epoch < MAX_COUNT):
            raise Misbehaviour("sent a sync with impossible counts")
        _check_numbers(message.loss, message.metric, message.training_loss)
        _check_numbers(message.local_loss, message.local_metric)
    elif isinstance(message, Evaluated):
        _check_numbers(message.loss, message.metric)


def _check_numbers(*numbers: float | None) -> None:
    if any(number is not None and not math.isfinite(number) for number in numbers):
        raise Misbehaviour("sent a loss or a metric that is no finite number")

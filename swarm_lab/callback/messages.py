"""What a program and its node say to each other: length-prefixed JSON frames and one shared segment.

The program speaks first and only the node answers: `Hello` is answered by `Welcome` or `Refused`, `Sync` by
`Release` or `Refused`; nothing else is answered. The segment that comes with `Welcome` has a header of `HEADER`
bytes, then the contribution (written by the program), then the merged model (written by the node).
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from swarm_lab.callback.errors import LinkError

PROTOCOL = 3
MAX_FRAME = 8 * 1024 * 1024
LENGTH = struct.Struct(">I")

# The variable that names a folder of this training on this node: there the program keeps its place.
STATE = "SWARM_STATE_DIR"

HEADER = 4096
ALIGNMENT = 64
PAGE = 4096
# Positions in the header. The node writes the first two, the program everything else.
AT_ATTENTION = 0  # u8: 1 asks the program to come to a sync point after its present batch
AT_HOLD = 1  # u8: 1 while the node still needs the contribution that lies there
AT_HELD = 2  # u8: 1 while the program waits to write the next one; the node then makes room
AT_BATCHES = 8  # u64: batches done since the program began
AT_TIME = 16  # f64: CLOCK_MONOTONIC in seconds at the end of the last batch
AT_LOSS = 24  # f64: training loss of the last batch, NaN when unknown
AT_EPOCH = 32  # u64: epochs done

DTYPE_BYTES: dict[str, int] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip

Reason = Literal["begin", "interval", "end", "attention"]
Platform = Literal["torch", "keras", "sklearn"]
Argument = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of the model: the program's own name, a safetensors dtype name, the shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the dense tensor."""
        count = DTYPE_BYTES[self.dtype]
        for extent in self.shape:
            count *= extent
        return count


@dataclass(frozen=True, slots=True)
class Hello:
    """Program -> node, once: who is here, what the program asked for, and the model's tensors in order."""

    kind: ClassVar[str] = "hello"
    protocol: int
    package: str
    platform: Platform
    pid: int
    arguments: dict[str, Argument]
    layout: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """Program -> node: parked at a sync point; waits for `Release`.

    `batches` counts from the program's begin. `loss` and `metric` are those of the merged model that was loaded last,
    on the node's validation data; None without any. `local_loss` and `local_metric` are those of the contribution
    itself, before any merge, on the same data; there at `interval` and `end`. `fresh` tells whether the contribution
    in the segment was written anew (at a repeated `end` it is the one of the first).
    """

    kind: ClassVar[str] = "sync"
    reason: Reason
    batches: int
    epoch: int
    loss: float | None = None
    metric: float | None = None
    training_loss: float | None = None
    fresh: bool = True
    local_loss: float | None = None
    local_metric: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Program -> node, once, after the final model was loaded."""

    kind: ClassVar[str] = "evaluated"
    loss: float | None
    metric: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """Program -> node, last: the program raised. `line` is the one of the program's own file, 0 when none is known."""

    kind: ClassVar[str] = "failed"
    type: str
    message: str
    traceback: str
    line: int = 0
    code: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Bye:
    """Program -> node: `on_train_end` is over; the program may go on by itself."""

    kind: ClassVar[str] = "bye"


@dataclass(frozen=True, slots=True)
class Welcome:
    """Node -> program, with the segment's descriptor beside it.

    `offsets` are those of the tensors, in the order of `Hello.layout`, inside a region of `size` bytes. `arguments`
    are the values that hold for this training, the program's and the command line's. `resume` is empty at a program's
    first start in a training; else `start` counts its starts and `round` is that of the model it will be given.
    """

    kind: ClassVar[str] = "welcome"
    protocol: int
    interval: int
    size: int
    offsets: tuple[int, ...]
    seed: int | None = None
    arguments: dict[str, Argument] = field(default_factory=dict)
    resume: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Node -> program: go on.

    `model`: load the merged region first. `interval`: batches until the next sync point; None = go on counting.
    `stop`: train no more and come back with `Sync("end")` at once. `finished`: the swarm is over and the model is its
    final one. `digest` is the model's root, lower-case hex.
    """

    kind: ClassVar[str] = "release"
    model: bool
    round: int = 0
    interval: int | None = None
    stop: bool = False
    finished: bool = False
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Node -> program: no, and why."""

    kind: ClassVar[str] = "refused"
    code: str
    message: str
    next: str


Message = Hello | Sync | Evaluated | Failed | Bye | Welcome | Release | Refused
FromProgram = Hello | Sync | Evaluated | Failed | Bye
FromNode = Welcome | Release | Refused
_FROM_NODE: dict[str, type[FromNode]] = {cls.kind: cls for cls in (Welcome, Release, Refused)}


def encode(message: Message) -> bytes:
    """One frame: four bytes of length, then JSON. Raises LinkError above `MAX_FRAME`."""
    body = json.dumps({"kind": message.kind, **asdict(message)}, allow_nan=False).encode()
    if len(body) > MAX_FRAME:
        raise LinkError(f"a message of {len(body)} bytes; at most {MAX_FRAME} are allowed")
    return LENGTH.pack(len(body)) + body


def decode_from_node(body: bytes) -> FromNode:
    """The node's message in `body`; raises LinkError when it is of another version."""
    try:
        fields: dict[str, Any] = json.loads(body)
        cls: Any = _FROM_NODE[fields.pop("kind")]
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        message: FromNode = cls(**plain)
        return message
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LinkError(f"the node's answer has no known form: {error}") from error
